"""A request body, read up to a limit: as bytes or as a JSON object."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.fields import decode_object


class ClientLeftError(Exception):
    """The client disconnected before its body was complete."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Return the whole body.

    Args:
        scope: of the request; a declared length over the limit is refused before reading.
        receive: of the request.
        limit: bytes.

    Raises:
        LingmaError: the body is larger than `limit`, or compressed.
        ClientLeftError: the client went away.
    """
    headers = dict(scope["headers"])
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise LingmaError(
            ErrorKind.UNSUPPORTED_MEDIA_TYPE, "compressed request bodies are not read"
        )
    declared = headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


async def read_object(request: Request, limit: int) -> dict[str, Any]:
    """Return the JSON object in a request's body; an empty body is an empty one.

    Args:
        request: whose body was not read yet.
        limit: bytes.

    Raises:
        LingmaError: see `read_body`; or it is no JSON object.
        ClientLeftError: the client went away.
    """
    return decode_object(await read_body(request.scope, request.receive, limit) or b"{}")


def _too_large(limit: int) -> LingmaError:
    return LingmaError(ErrorKind.BODY_TOO_LARGE, f"the request body is larger than {limit} bytes")
