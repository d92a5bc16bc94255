"""OpenAI's error object, read back into the error it was.

Source: OpenAI API reference, "Error codes": `{"error": {"message", "type", "param", "code"}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from lingma_cli.errors import FACES, ErrorKind, LingmaError

_KINDS: Final[Mapping[str, ErrorKind]] = MappingProxyType(
    {face.openai_code or kind.value: kind for kind, face in FACES.items()}
)
# What goes wrong on the caller's own machine is no reading of a status; of the others the first
# row wins.
_LOCAL: Final = (
    ErrorKind.USAGE,
    ErrorKind.PORT_IN_USE,
    ErrorKind.ALREADY_RUNNING,
    ErrorKind.SERVER_NOT_FOUND,
)
_STATUSES: Final[Mapping[int, ErrorKind]] = MappingProxyType(
    {face.status: kind for kind, face in reversed(tuple(FACES.items())) if kind not in _LOCAL}
)


class ErrorFields(msgspec.Struct):
    """What a server says about an error."""

    message: str
    param: str | None = None
    code: str | int | None = None


class _Body(msgspec.Struct):
    error: ErrorFields


def decode_error(body: bytes, status: int) -> LingmaError | None:
    """Return the error in the body of an answer, `None` when it is no error object."""
    try:
        return to_error(msgspec.json.decode(body, type=_Body).error, status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def to_error(said: ErrorFields, status: int | None = None) -> LingmaError:
    """Return the error that the server reported; an unknown code falls back to `status`."""
    fallback = _STATUSES.get(status or 0, ErrorKind.ENGINE_FAILED)
    kind = _KINDS.get(str(said.code), fallback)
    return LingmaError(kind, said.message, param=said.param)
