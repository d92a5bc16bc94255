"""Whole answers over ASGI, errors in OpenAI's envelope among them.

Owns: the headers that every such answer carries. Must not know: routes, or why they answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from starlette.types import Send

from lingma_cli.errors import FACES, LingmaError
from lingma_cli.protocols.openai_error import encode_error

HeaderPair = tuple[bytes, bytes]

JSON: Final = b"application/json"


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


async def send_json(
    send: Send, status: int, body: bytes, headers: Iterable[HeaderPair] = ()
) -> None:
    """Answer with `body`, an encoded JSON value."""
    await send_body(send, status, body, JSON, headers)


async def send_error(send: Send, error: LingmaError, headers: Iterable[HeaderPair] = ()) -> None:
    """Answer with `error`: status, envelope and retry advice by its row in `FACES`."""
    advice = [*error_headers(error), *headers]
    await send_json(send, FACES[error.kind].status, encode_error(error), advice)
