"""JSON-RPC 2.0 messages, without I/O.

Source: JSON-RPC 2.0; Lingma local protocol, "JSON-RPC". Each side numbers its own requests, so
ids of the two directions collide: the presence of `method` tells a request from a response.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

METHOD_NOT_FOUND: Final = -32601

MessageId = int | str


class MessageError(Exception):
    """A frame body is no JSON-RPC message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, or a notification when `id` is `None`; `params` is undecoded JSON."""

    method: str
    params: msgspec.Raw
    id: MessageId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The answer to one of our requests; `result` is undecoded JSON."""

    id: MessageId
    result: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """The refusal of one of our requests."""

    id: MessageId | None
    code: int
    message: str


Incoming = Call | Response | ErrorResponse


class _Error(msgspec.Struct):
    code: Any = 0
    message: Any = ""


class _Wire(msgspec.Struct):
    method: str | None = None
    id: int | str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: _Error | None = None


_LONE_SURROGATE: Final = re.compile(
    rb"(?i)\\ud[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})"
    rb"|(?<!\\ud[89ab][0-9a-f]{2})\\ud[c-f][0-9a-f]{2}"
)
_decode: Final[Callable[[bytes], _Wire]] = msgspec.json.Decoder(_Wire, strict=False).decode


def decode(body: bytes) -> Incoming:
    """Return the message in `body`.

    Raises:
        MessageError: it is not JSON, or has neither method nor id.
    """
    try:
        # quirk: a writer that cuts text between UTF-16 halves sends each alone.
        wire = _decode(_LONE_SURROGATE.sub(rb"\\ufffd", body) if b"\\u" in body else body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError(f"a message is no JSON-RPC: {error}") from error
    if wire.method is not None:
        return Call(method=wire.method, params=wire.params, id=wire.id)
    if wire.error is not None:
        code, message = wire.error.code, wire.error.message
        return ErrorResponse(
            id=wire.id,
            code=code if isinstance(code, int) else 0,
            message=message if isinstance(message, str) else str(code),
        )
    if wire.id is None:
        raise MessageError("a message has neither method nor id")
    return Response(id=wire.id, result=bytes(wire.result))


def request(id_: MessageId, method: str, params: Any) -> bytes:
    """Return a request; `params` must be an object, the binary refuses anything else."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})


def notification(method: str, params: Any) -> bytes:
    """Return a notification."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method, "params": params})


def response(id_: MessageId, result: Any) -> bytes:
    """Return the answer to the other side's request `id_`."""
    return msgspec.json.encode({"jsonrpc": "2.0", "id": id_, "result": result})
