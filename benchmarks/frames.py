"""The bytes of both upstreams: Lingma messages in WebSocket frames, and ready-made SSE events.

Sources: "Lingma local protocol" sections 3 and 4.5; RFC 6455 section 5.2; the OpenAI Chat
Completions API.
"""

import struct
from typing import Any

import msgspec

from benchmarks.script import Script

_encode = msgspec.json.encode
_HEAD_END = b"\r\n\r\n"


def web_socket_text(payload: bytes) -> bytes:
    """One unmasked text frame, as a server sends it."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def lingma_message(body: bytes) -> bytes:
    """A JSON-RPC body under its Content-Length header in a text frame of its own."""
    return web_socket_text(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


def take_message(buffer: bytearray) -> dict[str, Any] | None:
    """Remove and decode the first whole message of a byte stream, or None if more is needed."""
    head_end = buffer.find(_HEAD_END)
    if head_end < 0:
        return None
    fields = (line.partition(b":") for line in bytes(buffer[:head_end]).split(b"\r\n"))
    sizes = [int(value) for name, _, value in fields if name.lower() == b"content-length"]
    start = head_end + len(_HEAD_END)
    end = start + sizes[0]
    if len(buffer) < end:
        return None
    message: dict[str, Any] = msgspec.json.decode(buffer[start:end])
    del buffer[:end]
    return message


def push(method: str, params: dict[str, Any], push_id: int | None = None) -> bytes:
    """A whole frame with a push of the binary, a request if it has an id."""
    head: dict[str, Any] = (
        {"jsonrpc": "2.0"} if push_id is None else {"jsonrpc": "2.0", "id": push_id}
    )
    return lingma_message(_encode(head | {"method": method, "params": params}))


def answer(request: str, session: str, text: str, push_id: int | None = None) -> bytes:
    """A whole frame with one `chat/answer` delta."""
    params = {
        "requestId": request,
        "sessionId": session,
        "text": text,
        "overwrite": False,
        "isFiltered": False,
        "timestamp": 1_780_000_000_000,
        "extra": {"sessionType": "chat", "intentionType": ""},
    }
    return push("chat/answer", params, push_id)


def finish(request: str, session: str, reason: str = "success") -> bytes:
    """A whole frame with a good `chat/finish`."""
    params = {
        "requestId": request,
        "sessionId": session,
        "reason": reason,
        "statusCode": 200,
        "fullAnswer": "",
        "extra": {},
    }
    return push("chat/finish", params)


def sse_stream(script: Script) -> tuple[bytes, list[bytes], bytes]:
    """A whole OpenAI stream: the role, one event per chunk, and the end with its `[DONE]`."""
    role = _event({"role": "assistant", "content": ""})
    events = [_event({"content": text}) for text in script.texts()]
    return role, events, _event({}, "stop") + b"data: [DONE]\n\n"


def completion(script: Script) -> bytes:
    """The same answer as one JSON body."""
    message = {"role": "assistant", "content": "".join(script.texts())}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
    return _encode({**_envelope("chat.completion"), "choices": [choice], "usage": usage})


def _event(delta: dict[str, str], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return (
        b"data: " + _encode({**_envelope("chat.completion.chunk"), "choices": [choice]}) + b"\n\n"
    )


def _envelope(kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-0123456789abcdef0123456789abcdef",
        "object": kind,
        "created": 1_780_000_000,
        "model": "org_auto",
    }
