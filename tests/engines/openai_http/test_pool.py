"""Connections over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import pytest
import trustme

from lingma_cli.engines.openai_http.pool import HttpAnswer, HttpPool, PoolOptions, proxy_for
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.openai_server import (
    BREAK_OFF,
    RESET,
    UNTIL_CLIENT_LEAVES,
    OpenAiServer,
    Piece,
    Reply,
    Until,
    json_reply,
    openai_server,
)

T = TypeVar("T")
PATH = "/v1/completions"
GOOD = Reply(pieces=[b"good"])


def pooled(
    act: Callable[[HttpPool], Awaitable[T]],
    options: PoolOptions | None = None,
    proxy: str | None = None,
) -> T:
    """Return what `act` makes of a pool."""

    async def main() -> T:
        async with asyncio.timeout(15), HttpPool(options or PoolOptions(), proxy=proxy) as pool:
            return await act(pool)

    return asyncio.run(main())


async def post(pool: HttpPool, server: OpenAiServer) -> bytes:
    """Send one request and return the whole body."""
    answer = await pool.send("POST", server.url + PATH, headers={}, body=b"{}")
    try:
        return await answer.read_all(100)
    finally:
        answer.close()


async def twice(pool: HttpPool, server: OpenAiServer) -> list[bytes]:
    """Send two requests, one after the other."""
    return [await post(pool, server), await post(pool, server)]


def error_of(
    server: OpenAiServer, options: PoolOptions | None = None, proxy: str | None = None
) -> LingmaError:
    """Return the error that one request raises."""
    with pytest.raises(LingmaError) as raised:
        pooled(lambda pool: post(pool, server), options, proxy)
    return raised.value


def connections(server: OpenAiServer) -> int:
    """Return over how many connections the requests came."""
    return len({asked.connection for asked in server.asked})


def test_a_connection_serves_one_request_after_the_other() -> None:
    """What has been read to its end is kept."""
    with openai_server(completions=GOOD) as server:
        assert pooled(lambda pool: twice(pool, server)) == [b"good", b"good"]

        assert connections(server) == 1


def test_an_answer_that_was_left_takes_its_connection_with_it() -> None:
    """Its rest must not be taken for the next answer."""
    endless = Reply(pieces=[b"a", UNTIL_CLIENT_LEAVES])
    with openai_server(completions=[endless, GOOD]) as server:

        async def act(pool: HttpPool) -> bytes:
            answer = await pool.send("POST", server.url + PATH, headers={}, body=b"{}")
            assert await answer.read() == b"a"
            answer.close()
            return await post(pool, server)

        assert pooled(act) == b"good"
        assert server.client_left.wait(5)
        assert connections(server) == 2


@pytest.mark.parametrize("end", [BREAK_OFF, RESET], ids=["closed", "reset"])
def test_a_question_is_sent_once(end: Piece) -> None:
    """A server that dies of it must not get it again, though a kept connection may just end."""
    with openai_server(completions=[GOOD, Reply(before=[end]), GOOD]) as server:

        async def act(pool: HttpPool) -> None:
            await post(pool, server)
            with pytest.raises(LingmaError) as raised:
                await post(pool, server)
            assert raised.value.kind is ErrorKind.ENGINE_UNAVAILABLE
            assert await post(pool, server) == b"good"

        pooled(act)
        assert len(server.asked) == 3


@pytest.mark.parametrize("end", [BREAK_OFF, RESET], ids=["closed", "reset"])
def test_a_look_at_a_server_is_repeated(end: Piece) -> None:
    """What changes nothing may be asked again when a kept connection turns out to be dead."""
    with openai_server(models=[GOOD, Reply(before=[end]), GOOD]) as server:

        async def look(pool: HttpPool) -> bytes:
            answer = await pool.send("GET", server.url + "/v1/models", headers={})
            try:
                return await answer.read_all(100)
            finally:
                answer.close()

        async def act(pool: HttpPool) -> list[bytes]:
            return [await look(pool), await look(pool)]

        assert pooled(act) == [b"good", b"good"]
        assert len(server.asked) == 3


@pytest.mark.parametrize("end", [BREAK_OFF, RESET], ids=["closed", "reset"])
def test_a_new_connection_that_dies_is_an_error(end: Piece) -> None:
    """Who hangs up on a fresh request has taken it: it is not sent twice."""
    with openai_server(completions=[Reply(before=[end]), GOOD]) as server:
        assert error_of(server).kind is ErrorKind.ENGINE_FAILED
        assert len(server.asked) == 1


def test_a_head_cut_in_the_middle_is_not_asked_again() -> None:
    """Once bytes have come, the server has begun to answer."""
    cut = Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-le")
    with openai_server(completions=[cut, GOOD]) as server:
        assert error_of(server).kind is ErrorKind.ENGINE_FAILED
        assert len(server.asked) == 1


def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    """However busy we were when it did: no question is lost in a pipe without an end."""
    with hanging_up(5) as (url, closed):

        async def act(pool: HttpPool) -> None:
            for _ in range(5):
                answer = await pool.send("POST", url, headers={}, body=b"{}")
                assert await answer.read_all(10) == b"good"
                answer.close()
                # The loop stands still meanwhile, and hears of nothing.
                assert closed.acquire(timeout=5)

        pooled(act)


@contextmanager
def hanging_up(answers: int) -> Iterator[tuple[str, threading.Semaphore]]:
    """Serve so many connections, each closed after its answer without a word; tell when it is."""
    closed = threading.Semaphore(0)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            for _ in range(answers):
                connection, _ = listener.accept()
                with connection:
                    while not connection.recv(10_000).endswith(b"{}"):
                        pass
                    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood")
                closed.release()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/", closed
        finally:
            thread.join(10)


def test_no_more_connections_are_kept_than_may_be() -> None:
    """Those above the limit are closed after their one answer."""
    gate = threading.Event()
    with openai_server(completions=Reply(before=[Until(gate)], pieces=[b"a"])) as server:

        async def act(pool: HttpPool) -> None:
            both = [asyncio.ensure_future(held(pool)) for _ in range(2)]
            await asyncio.sleep(0)
            gate.set()
            answers = await asyncio.gather(*both)
            # Both are open now: the third is one too many to be kept.
            third = await held(pool)
            for answer in (*answers, third):
                await answer.read_all(10)
                answer.close()
            await asyncio.gather(post(pool, server), post(pool, server))

        async def held(pool: HttpPool) -> HttpAnswer:
            return await pool.send("POST", server.url + PATH, headers={}, body=b"{}")

        pooled(act, PoolOptions(max_idle=2))
        came = [asked.connection for asked in server.asked]
        assert set(came[3:]) <= set(came[:2])
        assert came[2] not in came[3:]


def test_a_body_that_breaks_off_is_an_error() -> None:
    """Half an answer is not taken for a whole one."""
    for end in (BREAK_OFF, RESET):
        with openai_server(completions=Reply(pieces=[b"half", end])) as server:
            assert error_of(server).kind is ErrorKind.ENGINE_FAILED


def test_a_body_that_is_too_long_is_an_error() -> None:
    """Memory is bounded."""
    with openai_server(completions=Reply(pieces=[b"a" * 60, b"b" * 60])) as server:
        assert "longer than 100 bytes" in error_of(server).message


@pytest.mark.parametrize(
    "raw",
    [b"220 mail.example ESMTP\r\n", b"\x15\x03\x01\x00\x02\x02P", b"HTTP/1.1 999999 X\r\n\r\n"],
)
def test_what_is_no_http_is_an_error(raw: bytes) -> None:
    """Another kind of server is no reason for a traceback."""
    with openai_server(completions=Reply(raw=raw)) as server:
        assert error_of(server).kind is ErrorKind.ENGINE_FAILED


def test_nobody_at_home() -> None:
    """The error says where nobody was."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    error = error_of(OpenAiServer(f"http://127.0.0.1:{port}", {}))

    assert error.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert f"127.0.0.1:{port}" in error.message


def test_redirects_are_not_followed() -> None:
    """The address that was given is the one that is asked, key and all."""
    with openai_server(models=json_reply({})) as other:
        moved = Reply(status=302, headers={"location": other.url + "/v1/models"})
        with openai_server(completions=moved) as server:

            async def act(pool: HttpPool) -> int:
                answer = await pool.send("POST", server.url + PATH, headers={}, body=b"{}")
                answer.close()
                return answer.status

            assert pooled(act) == 302
            assert other.asked == []


def test_certificates_are_checked() -> None:
    """A server of an authority that is not trusted gets no request."""
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    with openai_server(tls=theirs, completions=GOOD) as server:
        refused = error_of(server)

        assert refused.kind is ErrorKind.ENGINE_UNAVAILABLE
        assert "certificate" in refused.message
        assert server.asked == []
        trusting = PoolOptions(tls=ours)
        assert pooled(lambda pool: post(pool, server), trusting) == b"good"


def test_a_dead_proxy_is_named_without_its_password() -> None:
    """Its address may hold one."""
    with openai_server(completions=GOOD) as server:
        error = error_of(server, proxy="http://me:hunter2@127.0.0.1:9")

        assert error.kind is ErrorKind.ENGINE_UNAVAILABLE
        assert "proxy" in error.message
        assert "hunter2" not in error.message


def test_a_proxy_is_asked_for_the_whole_url() -> None:
    """What is not on this machine goes through the proxy that was named."""
    url = "http://far.invalid/v1/completions"
    with openai_server(completions=GOOD) as proxy:
        proxy.replies[url] = [GOOD]
        far = OpenAiServer("http://far.invalid", {})

        assert pooled(lambda pool: post(pool, far), proxy=proxy.url) == b"good"
        assert [asked.path for asked in proxy.asked] == [url]


PROXY = {"HTTP_PROXY": "http://p:1", "https_proxy": "http://p:2", "NO_PROXY": "corp.test,10.0.0.9"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://far.test", "http://p:1"),
        ("https://far.test", "http://p:2"),
        ("http://127.0.0.1:8080", None),
        ("http://127.9.9.9", None),
        ("http://localhost:8080", None),
        ("http://[::1]:8080", None),
        ("https://corp.test", None),
        ("https://a.corp.test:443", None),
        ("http://10.0.0.9:8000", None),
        ("http://10.0.0.8:8000", "http://p:1"),
    ],
)
def test_which_proxy(url: str, proxy: str | None) -> None:
    """The environment's, but never for this machine, nor for what it excludes."""
    assert proxy_for(url, PROXY) == proxy


def test_proxies_in_other_spellings() -> None:
    """A bare host is an HTTP proxy; another kind is refused instead of being gone around."""
    assert proxy_for("http://far.test", {"http_proxy": "p:1"}) == "http://p:1"
    assert proxy_for("http://far.test", {"http_proxy": ""}) is None
    assert proxy_for("http://far.test", {"http_proxy": "p:1", "no_proxy": "*"}) is None
    with pytest.raises(LingmaError) as raised:
        proxy_for("http://far.test", {"http_proxy": "socks5://me:hunter2@p:1"})
    assert raised.value.kind is ErrorKind.USAGE
    assert "hunter2" not in raised.value.advice
