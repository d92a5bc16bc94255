"""Bytes that break the stream, one kind of garbage each. Pure."""

from dataclasses import dataclass

from lingma_cli.demo import rpc
from lingma_cli.demo.wire import Message, frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """A message with broken content, or raw bytes beneath the WebSocket framing."""

    message: Message | None = None
    raw: bytes = b""


def garbage(kind: str, request_id: str) -> Garbage:
    """Make the garbage of a kind; those that look like a push name the given request."""
    if kind == "websocket":
        return Garbage(raw=b"\xff\xff\xff\xff" * 8)
    if kind == "text":
        return Garbage(message=Message(is_text=True, payload=frame(b'{"jsonrpc":"\xff\xfe"}')))
    return Garbage(message=Message(is_text=False, payload=_payload(kind, request_id)))


def _payload(kind: str, request_id: str) -> bytes:
    delta = {"requestId": request_id, "sessionId": "", "text": "odd", "overwrite": False}
    push = rpc.request(None, "chat/answer", delta)
    payloads = {
        "bytes": b"\x00\x01\xff\xfe no header at all\r\n\r\n",
        "length": b"Content-Length: many\r\n\r\n" + push,
        "nolength": b"Content-Type: application/json\r\n\r\n" + push,
        "huge": b"Content-Length: 999999999999\r\n\r\n{",
        "negative": b"Content-Length: -5\r\n\r\n" + push,
        "short": b"Content-Length: 10\r\n\r\n" + push,
        "json": frame(push[: len(push) // 2]),
        "utf8": frame(push.replace(b"odd", b"\xf0\x9f\xff")),
        "array": frame(b"[]"),
        "deep": frame(b"[" * 200_000),
        "params": frame(rpc.request(None, "chat/answer", [delta])),
        "types": frame(rpc.request(None, "chat/answer", delta | {"text": 17})),
    }
    return payloads[kind]
