"""Whole answers, as they stand on the wire."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.server.guarded_http import guarded_protocol
from lingma_cli.server.replies import send_body, send_error, send_json
from tests.support.raw_http import WAIT_SECONDS, RawClient, listening

BUSY = LingmaError(ErrorKind.OVERLOADED, "busy", hint="wait", retry_after=1.2)
BAD = LingmaError(ErrorKind.INVALID_REQUEST, "no list", param="messages")


async def app(scope: Scope, _: Receive, send: Send) -> None:
    """Answer as the path says."""
    match scope["path"]:
        case "/busy":
            await send_error(scope, send, BUSY, [(b"x-more", b"1")])
        case "/bad":
            await send_error(scope, send, BAD)
        case "/json":
            await send_json(send, 201, '["你"]'.encode(), [(b"x-more", b"2")])
        case _:
            await send_body(send, 200, b"text", b"text/plain")


def test_answers_are_complete_and_described() -> None:
    """Length and type are declared, the connection lives on, errors carry their advice."""
    protocol = guarded_protocol(head_timeout=WAIT_SECONDS, max_connections=5)
    with listening(app, protocol) as address, RawClient(address) as client:
        busy, bad, json_, text = (
            client.ask(b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
            for path in (b"/busy", b"/bad", b"/json", b"/text")
        )

    assert (busy.status, busy.error["message"]) == (429, "busy; wait")
    assert busy.header("retry-after") == ["2"]
    assert busy.header("x-should-retry") == []
    assert busy.header("x-more") == ["1"]
    assert (bad.status, bad.error["param"]) == (400, "messages")
    assert bad.header("retry-after") == []
    assert bad.header("x-should-retry") == ["false"]
    assert (json_.status, json_.told, json_.header("x-more")) == (201, ["你"], ["2"])
    assert (text.body, text.header("content-type")) == (b"text", ["text/plain"])
