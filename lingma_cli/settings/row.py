"""What the settings table knows about one setting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Table = Mapping[str, Any]
"""A table of the file; in the environment, JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What the table knows about one setting besides its name, type and default.

    Attributes:
        help: one line, lower-case.
        flag: the option of `lingma serve`, empty when there is none.
        secret: kept out of argv and printed as dots.
        choices: the only values allowed, empty for any.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
    """

    help: str
    flag: str = ""
    secret: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def row(default: Any, help_: str, flag: str = "", **more: Any) -> Any:
    """Return a field of the table."""
    metadata = {"row": Row(help=help_, flag=flag, **more)}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)
