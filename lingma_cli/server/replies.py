"""Whole answers over ASGI, errors in the envelope of the path's protocol among them.

Owns: the headers that every such answer carries. Must not know: handlers, or why they answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.errors import FACES, LingmaError
from lingma_cli.protocols import anthropic_messages
from lingma_cli.protocols.openai_error import encode_error
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.protocols.worker_error import encode_worker_error, is_worker_path

HeaderPair = tuple[bytes, bytes]

JSON: Final = b"application/json"
_ENCODERS: Final = {
    path: protocol.encode_error for protocol in PROTOCOLS for path in protocol.paths
}
_ANTHROPIC: Final = anthropic_messages.PROTOCOL


def error_headers(error: LingmaError) -> list[HeaderPair]:
    """Return what tells a client whether and when to try again.

    `retry-after` is in whole seconds, rounded up; `x-should-retry: false` is the header that the
    OpenAI and Anthropic SDKs obey.
    """
    headers: list[HeaderPair] = []
    if not FACES[error.kind].retryable:
        headers.append((b"x-should-retry", b"false"))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
    return headers


async def send_body(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    headers: Iterable[HeaderPair] = (),
) -> None:
    """Answer with `body` as a whole and nothing after it."""
    described = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    head = [*described, *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def json_app(value: Any, status: int = 200, headers: Iterable[HeaderPair] = ()) -> ASGIApp:
    """Return the answer with `value` as JSON."""
    return body_app(msgspec.json.encode(value), JSON, headers, status)


def body_app(
    body: bytes, content_type: bytes, headers: Iterable[HeaderPair] = (), status: int = 200
) -> ASGIApp:
    """Return the answer with `body` as a whole."""

    async def reply(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_body(send, status, body, content_type, headers)

    return reply


async def send_json(
    send: Send, status: int, body: bytes, headers: Iterable[HeaderPair] = ()
) -> None:
    """Answer with `body`, an encoded JSON value."""
    await send_body(send, status, body, JSON, headers)


async def send_error(
    scope: Scope, send: Send, error: LingmaError, headers: Iterable[HeaderPair] = ()
) -> None:
    """Answer with `error`: status and retry advice by its row in `FACES`.

    The envelope is that of the protocol served at the request's path or above it, or that the
    request's headers speak, or that of worker routes; OpenAI's elsewhere.
    """
    encode = _encoder(scope)
    advice = [*error_headers(error), *headers]
    await send_json(send, FACES[error.kind].status, encode(error), advice)


def _encoder(scope: Scope) -> Callable[[LingmaError], bytes]:
    path: str = scope["path"]
    if path in _ENCODERS:
        return _ENCODERS[path]
    if is_worker_path(path):
        return encode_worker_error
    below = any(path.startswith(f"{base}/") for base in _ANTHROPIC.paths)
    if below or any(name == b"anthropic-version" for name, _ in scope["headers"]):
        return _ANTHROPIC.encode_error
    return encode_error
