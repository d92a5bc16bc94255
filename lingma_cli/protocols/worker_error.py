"""The error of the worker routes: `{"error", "code"}`.

Source: the SGLang model gateway (`/workers`) and the slime router (`/add_worker` and its like,
whose errors have no code).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from lingma_cli.errors import FACES, ErrorKind, LingmaError

_PATHS: Final = frozenset({"/workers", "/add_worker", "/list_workers", "/remove_worker"})
_CODES: Final[Mapping[ErrorKind, str]] = MappingProxyType(
    {ErrorKind.NOT_FOUND: "WORKER_NOT_FOUND", ErrorKind.CONFLICT: "WORKER_CONFLICT"}
)


def is_worker_path(path: str) -> bool:
    """Tell whether errors at `path` look so."""
    return path in _PATHS or path.startswith("/workers/")


def encode_worker_error(error: LingmaError) -> bytes:
    """Return the JSON body of `error`; its hint follows the message."""
    is_bad = FACES[error.kind].status == 400
    code = "BAD_REQUEST" if is_bad else _CODES.get(error.kind, error.kind.name)
    return msgspec.json.encode({"error": error.advice, "code": code})
