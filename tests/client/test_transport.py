"""What failures on the way mean."""

from __future__ import annotations

import os
import subprocess
import sys

import httpx
import pytest

from lingma_cli.client import transport
from lingma_cli.core.events import BlockDelta, BlockKind, Failed
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from tests.support.openai_server import answer, openai_server

URL = "http://127.0.0.1:8317"


@pytest.mark.parametrize(
    ("error", "kind", "is_lost"),
    [
        (httpx.ConnectError("x"), ErrorKind.SERVER_NOT_FOUND, True),
        (httpx.ConnectTimeout("x"), ErrorKind.SERVER_NOT_FOUND, True),
        (httpx.ReadError("x"), ErrorKind.ENGINE_FAILED, True),
        (httpx.WriteError("x"), ErrorKind.ENGINE_FAILED, True),
        (httpx.RemoteProtocolError("x"), ErrorKind.ENGINE_FAILED, True),
        (httpx.ReadTimeout("x"), ErrorKind.ENGINE_TIMEOUT, False),
        (httpx.PoolTimeout("x"), ErrorKind.ENGINE_TIMEOUT, False),
        (httpx.ProxyError("x"), ErrorKind.ENGINE_FAILED, False),
        (httpx.DecodingError("x"), ErrorKind.ENGINE_FAILED, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_httpx_raises_has_a_meaning(
    error: httpx.RequestError,
    kind: ErrorKind,
    is_lost: bool,
) -> None:
    """One kind each; only what is the matter of a connection lets a call go elsewhere."""
    with pytest.raises(LingmaError) as raised, transport.errors_mapped(URL):
        raise error

    assert raised.value.kind is kind
    assert isinstance(error, transport.CONNECTION_ERRORS) is is_lost


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b'{"error": {"message": "no"}}', ErrorKind.OVERLOADED, "no"),
        (b"<html>", ErrorKind.ENGINE_FAILED, f"`{URL}` does not answer like lingma (status 429)"),
    ],
)
def test_a_refusal(body: bytes, kind: ErrorKind, message: str) -> None:
    """Is the server's own words, or no word of lingma's."""
    error = transport.refusal(URL, 429, body)

    assert error.kind is kind
    assert error.message.endswith(message)
    assert error.hint


def test_a_failure_among_events_is_raised() -> None:
    """After what came before it."""
    piece = BlockDelta(kind=BlockKind.TEXT, text="a")
    events = transport.unfailed([piece, Failed(error=transport.broken_off())])

    assert next(events) is piece
    with pytest.raises(LingmaError, match="broke off"):
        next(events)


@pytest.mark.parametrize("error", [httpx.InvalidURL("x"), ValueError("x"), ImportError("socks")])
def test_an_address_that_cannot_be_used(error: Exception) -> None:
    """Is the caller's mistake, and so is a proxy that needs a missing package."""
    with pytest.raises(LingmaError) as raised, transport.address_checked(URL):
        raise error

    assert raised.value.kind is ErrorKind.USAGE


def test_a_key_is_shown_as_a_bearer() -> None:
    """No key, no header."""
    assert transport.bearer(Secret("k")) == {"authorization": "Bearer k"}
    assert transport.bearer(None) == {}


@pytest.mark.parametrize("key", ["ключ", "a b", "a\nb", "a\x7f", "a\u200b"])
def test_a_key_that_no_header_can_hold(key: str) -> None:
    """Is refused as such, and neither it nor its like stands in the error or what led to it."""
    with pytest.raises(LingmaError) as raised:
        transport.bearer(Secret(key))

    assert raised.value.kind is ErrorKind.USAGE
    assert key not in raised.value.advice
    assert raised.value.__context__ is None
    assert [transport.as_secret(one) for one in (None, "", Secret(""))] == [None] * 3


def test_connecting_takes_no_longer_than_silence() -> None:
    """Five seconds, or less if less is allowed."""
    assert (transport.time_limits(60.0).connect, transport.time_limits(60.0).read) == (5.0, 60.0)
    assert transport.time_limits(1.0).connect == 1.0


PROGRAM = """
from lingma_cli.client.transport import uses_environment
from lingma_cli.client import LingmaClient
with LingmaClient.create(control_plane_url={url!r}) as client:
    print(*client.stream_chat("hi"))
print(uses_environment("http://192.0.2.1"), uses_environment("http://[::1]:1"))
"""


def test_proxies_of_the_environment_are_not_for_this_machine() -> None:
    """A server at loopback is reached directly, whatever the variables say."""
    proxies = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    with openai_server(chat=answer("direct")) as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(url=server.url)],
            env={**os.environ, **proxies, "NO_PROXY": "", "no_proxy": ""},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.stdout.split() == ["direct", "True", "False"], done.stderr
