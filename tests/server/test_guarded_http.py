"""The guarded protocol class, spoken to in raw bytes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest
import uvloop

from lingma_cli.server.guarded_http import guarded_protocol
from tests.support.raw_http import WAIT_SECONDS, Echo, LoopFactory, RawClient, ask, listening

HOST = b"Host: localhost\r\n"
GET = b"GET /%b HTTP/1.1\r\n" + HOST + b"\r\n"
SMUGGLED = GET % b"smuggled"
CHUNKED = b"POST /chunked HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def _no_noise(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No client, however bad, may cause a line above info."""
    yield
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


@dataclass
class Servers:
    """Servers with different limits around one app, each started when it is first needed."""

    app: Echo
    stack: ExitStack
    running: dict[tuple[object, ...], tuple[str, int]] = field(default_factory=dict)

    def limited(
        self,
        *,
        head: float = WAIT_SECONDS,
        body: float = WAIT_SECONDS,
        room: int = 50,
        max_head: int = 64 * 1024,
        keep_alive: float = 5,
        loop_factory: LoopFactory = uvloop.new_event_loop,
    ) -> tuple[str, int]:
        """Return the address of a server with these limits."""
        key = (head, body, room, max_head, keep_alive, loop_factory)
        if key not in self.running:
            protocol = guarded_protocol(
                head_timeout=head, body_timeout=body, max_connections=room, max_head=max_head
            )
            server = listening(self.app, protocol, keep_alive=keep_alive, loop_factory=loop_factory)
            self.running[key] = self.stack.enter_context(server)
        return self.running[key]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(Echo(), stack)


@pytest.fixture
def echo(servers: Servers) -> Echo:
    servers.app.forget()
    return servers.app


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def address(servers: Servers, request: pytest.FixtureRequest) -> tuple[str, int]:
    return servers.limited(loop_factory=request.param)


def post(*headers: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    lines = [b"POST / HTTP/" + version, b"Host: localhost", *headers, b"", b""]
    return b"\r\n".join(lines) + body


def get(target: bytes, *headers: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join([b"GET " + target + b" " + version, b"Host: localhost", *headers, b"", b""])


LENGTH = b"Content-Length: 3"
CODING = b"Transfer-Encoding: chunked"
LAST = b"0\r\n\r\n"
REFUSED = {
    "length then coding": (400, post(LENGTH, CODING, body=LAST)),
    "coding then length": (400, post(CODING, LENGTH, body=LAST)),
    "twin lengths, alike": (400, post(LENGTH, LENGTH, body=b"abc")),
    "twin lengths, different": (400, post(LENGTH, b"Content-Length: 4", body=b"abcd")),
    "list of lengths": (400, post(b"Content-Length: 3, 3", body=b"abc")),
    "length with plus": (400, post(b"Content-Length: +3", body=b"abc")),
    "length below zero": (400, post(b"Content-Length: -3", body=b"abc")),
    "hexadecimal length": (400, post(b"Content-Length: 0x3", body=b"abc")),
    "empty length": (400, post(b"Content-Length:", body=b"abc")),
    "endless length": (400, post(b"Content-Length: 99999999999999999999999")),
    "space before colon": (400, post(b"Content-Length : 3", body=b"abc")),
    "unknown coding": (400, post(b"Transfer-Encoding: xchunked", body=LAST)),
    "identity coding": (400, post(b"Transfer-Encoding: identity")),
    "two codings": (400, post(b"Transfer-Encoding: gzip, chunked", body=LAST)),
    "chunked not last": (400, post(b"Transfer-Encoding: chunked, gzip", body=LAST)),
    "twin codings": (400, post(CODING, CODING, body=LAST)),
    "hidden coding": (400, post(b"Transfer-Encoding:\x0bchunked", body=LAST)),
    "coding in HTTP/1.0": (400, post(CODING, body=LAST, version=b"1.0")),
    "folded header": (400, get(b"/", b"X-A: a\r\n b")),
    "header folded by tab": (400, get(b"/", b"X-A: a\r\n\tb")),
    "folded coding": (400, post(b"Transfer-Encoding:\r\n chunked", body=LAST)),
    "space before first header": (400, b"GET / HTTP/1.1\r\n X-A: a\r\n" + HOST + b"\r\n"),
    "line feeds only": (400, b"GET / HTTP/1.1\nHost: localhost\n\n"),
    "line feed after header": (400, b"GET / HTTP/1.1\r\nHost: localhost\n\r\n"),
    "line feed at end": (400, b"GET / HTTP/1.1\r\nHost: localhost\r\n\n"),
    "carriage return in header": (400, get(b"/", b"X-A: a\rX-B: b")),
    "NUL in header": (400, get(b"/", b"X-A: a\x00")),
    "control byte in header": (400, get(b"/", b"X-A: a\x01")),
    "header without name": (400, get(b"/", b": a")),
    "header without colon": (400, get(b"/", b"X-A")),
    "non-ASCII header": (400, get(b"/", b"X-A: \xe4\xbd\xa0")),
    "non-ASCII header name": (400, get(b"/", b"X-\xff: a")),
    "non-ASCII path": (400, get(b"/\xe4\xbd\xa0")),
    "non-ASCII query": (400, get(b"/?q=\xff")),
    "broken escape": (400, get(b"/%zz")),
    "cut escape": (400, get(b"/a%2")),
    "lone percent": (400, get(b"/a%")),
    "broken escape in query": (400, get(b"/?a=%g0")),
    "escape of no UTF-8": (400, get(b"/%80")),
    "escaped NUL": (400, get(b"/%00")),
    "escaped line end": (400, get(b"/%0d%0a")),
    "fragment": (400, get(b"/#a")),
    "space in path": (400, get(b"/a b")),
    "asterisk": (400, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n"),
    "absolute form": (421, get(b"http://localhost/")),
    "absolute form, other host": (421, get(b"http://evil.example/v1/models")),
    "absolute form, https": (421, get(b"HTTPS://localhost:80/")),
    "CONNECT": (421, b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "CONNECT with path": (421, b"CONNECT / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "no scheme": (400, get(b"localhost:80")),
    "no slash": (400, get(b"v1/models")),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "HTTP/2.0": (400, get(b"/", version=b"HTTP/2.0")),
    "HTTP/1.2": (400, get(b"/", version=b"HTTP/1.2")),
    "HTTP/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "unknown method": (400, b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "lower-case method": (400, b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "one long header": (431, get(b"/", b"X-A: " + b"a" * 100_000)),
    "one long header, unfinished": (431, b"GET / HTTP/1.1\r\nX-A: " + b"a" * 1_000_000),
    "many headers": (431, get(b"/", *[b"X-A: aaaaaaaaaaaaaaaa"] * 4_000)),
    "long target": (431, get(b"/" + b"a" * 100_000)),
    "endless line ends": (431, b"\r\n" * 500_000),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_heads_get_one_answer_and_the_end(
    address: tuple[str, int], echo: Echo, case: str
) -> None:
    """One OpenAI error, a close, no second answer, and nothing reaches the application."""
    status, request = REFUSED[case]
    with RawClient(address) as client:
        answer = client.ask(request + SMUGGLED)

        assert answer.status == status
        assert answer.error["type"] == "invalid_request_error"
        assert answer.header("connection") == ["close"]
        assert client.rest() == b""
        assert echo.arrived.empty()


@pytest.mark.parametrize("size", [65_000, 66_000])
def test_head_size_counts_line_and_headers(address: tuple[str, int], size: int) -> None:
    """A head a little below 64 KiB is served and one a little above is not."""
    half = b"a" * (size // 2)

    answer = ask(address, get(b"/" + half, b"X-A: " + half))

    assert answer.status == (200 if size < 65_536 else 431)


def test_refusal_is_readable_while_the_client_still_sends(address: tuple[str, int]) -> None:
    """Unread bytes must not make the kernel throw the answer away."""
    with RawClient(address) as client:
        client.send(get(b"/", b"X-A: " + b"a" * 100_000) + b"a" * 10_000_000)

        assert client.receive().status == 431
        assert client.rest() == b""


def test_refusal_is_readable_when_reading_had_stopped(servers: Servers, echo: Echo) -> None:
    """Back-pressure ends with the refusal: what still comes is read and thrown away."""
    with RawClient(servers.limited()) as client:
        client.send(CHUNKED.replace(b"/chunked", b"/hold") + b"ea60\r\n" + b"a" * 60_000 + b"\r\n")
        assert client.is_silent(0.1)
        client.send(b"1770\r\n" + b"a" * 6_000 + b"\r\nzz\r\n")
        client.send(b"a" * 10_000_000)

        assert client.receive().status == 400
        assert client.rest() == b""
        echo.release()
        assert echo.left.get(timeout=WAIT_SECONDS) == "/hold"


def test_refused_client_cannot_keep_its_connection(address: tuple[str, int]) -> None:
    """Who does not close after a refusal is cut off, however much is still coming."""
    begun = time.monotonic()
    with RawClient(address) as client:
        assert client.ask(get(b"/%zz")).status == 400

        def send_on() -> None:
            while time.monotonic() - begun < WAIT_SECONDS:
                client.send(b"a" * 1_000)

        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            send_on()


BROKEN_BODIES = {
    "line feed after size": b"3\nabc\r\n0\r\n\r\n",
    "space after size": b"3 \r\nabc\r\n0\r\n\r\n",
    "size with prefix": b"0x3\r\nabc\r\n0\r\n\r\n",
    "endless size": b"fffffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "longer than its size": b"3\r\nabcdef\r\n0\r\n\r\n",
    "weird extension": b"3;\xff\x00\r\nabc\r\n0\r\n\r\n",
    "line feeds at the end": b"3\r\nabc\r\n0\n\n",
    "length as trailer": b"3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("case", BROKEN_BODIES)
def test_broken_chunks_get_one_answer(address: tuple[str, int], echo: Echo, case: str) -> None:
    """The application is told that its client has gone, and only the refusal is sent."""
    with RawClient(address) as client:
        answer = client.ask(CHUNKED + BROKEN_BODIES[case] + SMUGGLED)

        assert answer.status == 400
        assert answer.error["code"] == "invalid_request"
        assert client.rest() == b""
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/chunked"
        assert echo.left.get(timeout=WAIT_SECONDS) == "/chunked"


@pytest.mark.parametrize("path", [b"hold", b"late"])
def test_refused_request_is_not_answered_later(servers: Servers, echo: Echo, path: bytes) -> None:
    """What the application still says after a refusal, `100 Continue` included, is not sent."""
    head = CHUNKED.replace(b"/chunked", b"/" + path).replace(
        HOST, HOST + b"Expect: 100-continue\r\n"
    )
    with RawClient(servers.limited()) as client:
        assert client.ask(head + b"zz\r\n").status == 400
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/" + path.decode()
        echo.release()

        assert echo.left.get(timeout=WAIT_SECONDS) == "/" + path.decode()
        assert client.rest() == b""


def test_no_second_answer_when_a_body_breaks_after_its_answer(
    address: tuple[str, int], echo: Echo
) -> None:
    """A request that was answered before its body came is not answered again."""
    with RawClient(address) as client:
        client.send(CHUNKED.replace(b"/chunked", b"/early"))

        assert client.receive().status == 200
        client.send(b"zzz\r\n" + SMUGGLED)
        assert client.rest() == b""
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/early"
        assert echo.arrived.empty()


def test_pipelined_requests_are_answered_in_order(
    servers: Servers,
    echo: Echo,
) -> None:
    """Requests sent ahead wait for their turn."""
    with RawClient(servers.limited()) as client:
        client.send(GET % b"hold" + post(LENGTH, body=b"abc") + GET % b"third")
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        echo.release()

        assert [client.receive().told["path"] for _ in range(3)] == ["/hold", "/", "/third"]
        assert client.ask(GET % b"more").told["path"] == "/more"


@pytest.mark.parametrize("second", [get(b"/%zz"), CHUNKED + b"zz\r\n", b"GET \x00"])
def test_refusal_waits_for_the_answers_before_it(
    servers: Servers, echo: Echo, second: bytes
) -> None:
    """A bad request behind a good one neither cuts nor overtakes the good one's answer."""
    with RawClient(servers.limited()) as client:
        client.send(GET % b"hold" + GET % b"next" + second + SMUGGLED)
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        assert client.is_silent(0.1)
        echo.release()

        assert [client.receive().status for _ in range(3)] == [200, 200, 400]
        assert client.rest() == b""
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/next"
        assert echo.arrived.empty()


def test_pipeline_has_an_end(servers: Servers, echo: Echo) -> None:
    """A flood of requests on one connection is bounded, and the first ones are still served."""
    with RawClient(servers.limited()) as client:
        client.send(GET % b"hold" + GET % b"next" * 16 + SMUGGLED * 1_000)
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        echo.release()

        assert [client.receive().status for _ in range(18)] == [200] * 17 + [400]
        assert client.rest() == b""


def test_request_of_a_pipelining_client_hears_of_its_end(servers: Servers, echo: Echo) -> None:
    """The running request is told that its client left, not only the newest one."""
    address = servers.limited()
    with RawClient(address) as client:
        client.send(GET % b"endless" + GET % b"next")
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/endless"

    assert echo.left.get(timeout=WAIT_SECONDS) == "/endless"


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"\r\n"])
def test_slow_head_times_out(servers: Servers, start: bytes) -> None:
    """A head that is not complete in time gets 408, also if nothing of it came."""
    with RawClient(servers.limited(head=0.25)) as client:
        begun = time.monotonic()
        answer = client.ask(start)

        assert time.monotonic() - begun >= 0.2
        assert answer.status == 408
        assert answer.error["code"] == "request_timeout"
        assert client.rest() == b""


@pytest.mark.parametrize(("start", "drop"), [(b"GET /", b"a"), (b"", b"\r\n")])
def test_dribbled_head_times_out(servers: Servers, start: bytes, drop: bytes) -> None:
    """Single bytes do not buy more time."""
    with RawClient(servers.limited(head=0.25)) as client:
        begun = time.monotonic()
        client.send(start)
        while client.is_silent(0.05):
            client.send(drop)
            assert time.monotonic() - begun < WAIT_SECONDS

        assert client.receive().status == 408


def test_idle_connection_is_not_a_slow_head(servers: Servers) -> None:
    """Between requests the keep-alive time counts; the next head has its own clock."""
    with RawClient(servers.limited(head=0.25)) as client:
        assert client.ask(GET % b"one").status == 200
        assert client.is_silent(0.4)
        assert client.ask(GET % b"two").status == 200

        assert client.ask(b"GET /three HT").status == 408


def test_stray_line_ends_do_not_keep_a_connection_alive(servers: Servers) -> None:
    """The keep-alive time ends even if a client sends line ends."""
    with RawClient(servers.limited(keep_alive=0.4)) as client:
        assert client.ask(GET % b"one").status == 200
        begun = time.monotonic()
        while client.is_silent(0.1):
            client.send(b"\r\n")
            assert time.monotonic() - begun < WAIT_SECONDS

        assert client.rest() == b""


def test_running_answer_is_not_cut_by_half_a_head(servers: Servers, echo: Echo) -> None:
    """The head's clock starts when the answers before it are written."""
    with RawClient(servers.limited(head=0.25)) as client:
        client.send(GET % b"hold" + b"GET /half HT")
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        assert client.is_silent(0.4)
        echo.release()

        assert client.receive().status == 200
        assert client.ask(b"TP/1.1\r\n" + HOST + b"\r\n").told["path"] == "/half"


def test_half_a_head_has_its_own_clock_after_the_answer(servers: Servers, echo: Echo) -> None:
    """Neither the answer nor the keep-alive time ends it, but the head's time does."""
    for address, status in (
        (servers.limited(head=0.25), 408),
        (servers.limited(keep_alive=0.4), 200),
    ):
        with RawClient(address) as client:
            client.send(GET % b"hold" + b"GET /half HT")
            assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
            echo.release()
            assert client.receive().status == 200

            assert client.is_silent(0.6) == (status == 200)
            if status == 200:
                client.send(b"TP/1.1\r\n" + HOST + b"\r\n")
            assert client.receive().status == status
            echo.forget()


def test_running_answer_is_not_cut_by_the_keep_alive_time(servers: Servers, echo: Echo) -> None:
    """An answer may take its time, the first and those after it."""
    with RawClient(servers.limited(keep_alive=0.4)) as client:
        for _ in range(2):
            client.send(GET % b"hold")
            assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
            assert client.is_silent(0.6)
            echo.release()

            assert client.receive().status == 200


def test_slow_body_times_out(servers: Servers, echo: Echo) -> None:
    """A body that is not complete in time gets 408, and the application hears of it."""
    with RawClient(servers.limited(body=0.25)) as client:
        client.send(post(b"Content-Length: 100000"))
        begun = time.monotonic()
        while client.is_silent(0.05):
            client.send(b"a")
            assert time.monotonic() - begun < WAIT_SECONDS

        answer = client.receive()
        assert answer.status == 408
        assert answer.error["code"] == "request_timeout"
        assert client.rest() == b""
        assert echo.left.get(timeout=WAIT_SECONDS) == "/"


def test_body_that_never_ends_after_its_answer_is_cut(servers: Servers) -> None:
    """An early answer does not free the body from its clock."""
    with RawClient(servers.limited(body=0.25)) as client:
        assert client.ask(CHUNKED.replace(b"/chunked", b"/early")).status == 200

        assert client.rest() == b""


def test_connection_goes_on_after_an_early_answer(servers: Servers) -> None:
    """The rest of a body that was answered early is read, and the connection stays watched."""
    with RawClient(servers.limited(keep_alive=0.4)) as client:
        assert client.ask(CHUNKED.replace(b"/chunked", b"/early") + b"3\r\n").status == 200
        assert client.is_silent(0.6)
        client.send(b"abc\r\n0\r\n\r\n")
        assert client.ask(GET % b"next").told["path"] == "/next"
        assert client.ask(CHUNKED.replace(b"/chunked", b"/early")).status == 200
        client.send(b"3\r\nabc\r\n0\r\n\r\n")

        assert client.rest() == b""


def test_waiting_application_does_not_time_out_the_client(servers: Servers, echo: Echo) -> None:
    """While we do not read, the body's clock stands."""
    size = 4_000_000
    with RawClient(servers.limited(body=0.25)) as client:
        head = b"POST /hold HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size
        client.send(head + b"a" * 100_000)
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        assert client.is_silent(0.4)
        echo.release()
        client.send(b"a" * (size - 100_000))

        assert len(client.receive().told["body"]) == size


def test_client_that_waits_for_continue_is_not_timed_out(servers: Servers, echo: Echo) -> None:
    """Who was not asked for the body yet cannot be late with it."""
    with RawClient(servers.limited(body=0.25)) as client:
        head = b"POST /hold HTTP/1.1\r\n" + HOST
        client.send(head + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        assert client.is_silent(0.4)
        echo.release()

        assert client.receive().status == 100
        assert client.ask(b"abc").told["body"] == "abc"


UPGRADES = {
    "websocket": b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n",
}
FRAMED = {
    "length": (b"Content-Length: 3\r\n\r\n", b"abc"),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("upgrade", UPGRADES)
@pytest.mark.parametrize("framing", FRAMED)
def test_offered_upgrades_are_declined(
    address: tuple[str, int], upgrade: str, framing: str
) -> None:
    """The request is served as plain HTTP with its whole body, and so is the next one."""
    rest_of_head, body = FRAMED[framing]
    head = b"POST /up?a=b HTTP/1.1\r\n" + HOST + UPGRADES[upgrade] + rest_of_head
    for cut in (len(head), len(head) + 1, len(head) - 2, 30):
        with RawClient(address) as client:
            request = head + body + SMUGGLED.replace(b"smuggled", b"next")
            client.send(request[:cut])
            client.send(request[cut:])

            told = client.receive().told
            assert (told["path"], told["query"], told["body"]) == ("/up", "a=b", "abc")
            assert client.receive().told["path"] == "/next"


def test_trailers_do_not_become_headers(address: tuple[str, int]) -> None:
    """What comes after the body cannot change what the doors have seen."""
    answer = ask(address, CHUNKED + b"3\r\nabc\r\n0\r\nX-Api-Key: late\r\n\r\n")

    assert answer.told["body"] == "abc"
    assert "x-api-key" not in dict(answer.told["headers"])


@pytest.mark.parametrize("start", [b"0\r\nX-A: ", b"3;a="])
def test_endless_trailers_and_extensions_are_refused(
    address: tuple[str, int], echo: Echo, start: bytes
) -> None:
    """What stands around the body's bytes is bounded like the head."""
    with RawClient(address) as client:
        client.send(CHUNKED)
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/chunked"
        client.send(start + b"a" * 1_000_000)

        assert client.receive().status == 431
        assert client.rest() == b""
        assert echo.left.get(timeout=WAIT_SECONDS) == "/chunked"


def test_chunk_sizes_in_packets_of_their_own_are_fine(servers: Servers) -> None:
    """The bound is on one chunk's line, not on the sum over a long body."""
    with RawClient(servers.limited(max_head=300)) as client:
        client.send(CHUNKED)
        for _ in range(4):
            client.send(b"1;a=" + b"b" * 200 + b"\r\n")
            assert client.is_silent(0.03)
            client.send(b"a\r\n")
            assert client.is_silent(0.03)

        assert client.ask(b"0\r\n\r\n").told["body"] == "aaaa"


def test_newcomer_takes_the_place_of_the_oldest_idle_connection(
    servers: Servers,
    echo: Echo,
) -> None:
    """At the limit the longest idle connection closes; busy and younger ones go on."""
    address = servers.limited(room=3)
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(RawClient(address)) for _ in range(3))
        first.send(GET % b"hold")
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        assert second.ask(GET % b"second").status == 200
        assert third.ask(GET % b"third").status == 200

        newcomer = stack.enter_context(RawClient(address))
        assert newcomer.ask(GET % b"new").status == 200
        assert second.rest() == b""
        assert third.ask(GET % b"third").status == 200
        echo.release()
        assert first.receive().status == 200


def test_newcomer_is_told_when_all_are_busy(servers: Servers, echo: Echo) -> None:
    """With no idle connection to close the new one gets 429, and room comes back."""
    address = servers.limited(room=1)
    with RawClient(address) as busy:
        busy.send(GET % b"hold")
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/hold"
        with RawClient(address) as newcomer:
            answer = newcomer.receive()
            assert answer.status == 429
            assert answer.error["code"] == "overloaded"
            assert answer.header("retry-after") == ["1"]
            assert newcomer.rest() == b""
        echo.release()
        assert busy.receive().status == 200

    assert ask(address, GET % b"next").status == 200


def test_clients_that_leave_make_room(servers: Servers, echo: Echo) -> None:
    """A connection that closed while busy does not count any more."""
    address = servers.limited(room=2)
    for _ in range(3):
        with RawClient(address) as client:
            client.send(GET % b"endless")
            assert echo.arrived.get(timeout=WAIT_SECONDS) == "/endless"
        assert echo.left.get(timeout=WAIT_SECONDS) == "/endless"

    assert ask(address, GET % b"served").status == 200


def test_flood_of_connections_leaves_no_trace(servers: Servers) -> None:
    """Silent connections beyond the limit are closed, and a client is served all the same."""
    address = servers.limited(room=10)
    with ExitStack() as stack:
        flood = [stack.enter_context(RawClient(address)) for _ in range(200)]

        assert ask(address, GET % b"served").status == 200
        assert [client.rest() for client in flood[:190]] == [b""] * 190


def test_old_http_is_served_and_closed(address: tuple[str, int], echo: Echo) -> None:
    """HTTP/1.0 and `Connection: close` end the connection after one answer."""
    for request in (
        get(b"/one", version=b"HTTP/1.0"),
        get(b"/one", b"Connection: close") + SMUGGLED,
    ):
        with RawClient(address) as client:
            assert client.ask(request).status == 200
            assert client.rest() == b""
        assert echo.arrived.get(timeout=WAIT_SECONDS) == "/one"
    assert echo.arrived.empty()


def test_good_targets_arrive_as_they_are(address: tuple[str, int]) -> None:
    """Escapes of UTF-8 are decoded in the path and kept in the query."""
    answer = ask(address, b"\r\n" + get(b"//a/%E4%BD%A0%20b?q=%ff&r=a/b?c"))

    assert answer.told["path"] == "//a/你 b"
    assert answer.told["query"] == "q=%ff&r=a/b?c"
