"""What may open a block of calls: fences by their info string, and tags.

A text is decided as soon as its characters allow: what no opening begins with is let go at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lingma_cli.transforms.tool_dialects import Dialect
from lingma_cli.transforms.tool_fit import Offer

MAX_TICKS: Final = 64
_MAX_INFO: Final = 64
_MAX_TAG: Final = 96
_FENCES: Final = {
    "json action": Dialect.ACTION,
    "json_action": Dialect.ACTION,
    "json-action": Dialect.ACTION,
    "tool_call": Dialect.ACTION,
    "json": Dialect.JSON,
    "tool_code": Dialect.PYTHON,
}
_TAGS: Final = {
    "<tool_call>": Dialect.TOOL_CALL,
    "<function=": Dialect.FUNCTION,
    "<function_calls>": Dialect.INVOKES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What opened a block; `ticks` is empty for a tag."""

    dialect: Dialect
    source: str
    ticks: str = ""


@dataclass(frozen=True, slots=True)
class Undecided:
    """More text must tell whether something is opened."""


UNDECIDED: Final = Undecided()


def fence_dialect(info: str) -> Dialect | None:
    """Return the form that the info string of a fence names."""
    return _FENCES.get(_words(info))


def opening_fence(text: str, start: int, end: int) -> Opening | Undecided | None:
    """Return what the backticks from `start` to `end` open in `text`."""
    if end - start > MAX_TICKS:
        return None
    if end == len(text):
        return UNDECIDED
    if end - start < 3:
        return None
    info, line_break, _ = text[end : end + _MAX_INFO].partition("\n")
    if not line_break:
        may_come = any(fence.startswith(_words(info)) for fence in _FENCES)
        return UNDECIDED if may_come and len(info) < _MAX_INFO else None
    dialect = fence_dialect(info)
    if dialect is None:
        return None
    source = text[start : end + len(info) + 1]
    return Opening(dialect=dialect, source=source, ticks=text[start:end])


def opening_tag(text: str, start: int, offer: Offer) -> Opening | Undecided | None:
    """Return what the tag that begins at `start` opens in `text`."""
    begun = text[start : start + _MAX_TAG]
    for tag, dialect in _TAGS.items():
        if tag.startswith(begun) and begun != tag:
            return UNDECIDED
        if not begun.startswith(tag):
            continue
        if dialect is not Dialect.FUNCTION:
            return Opening(dialect=dialect, source=tag)
        name, end, _ = begun.removeprefix(tag).partition(">")
        if end and offer.find(name.strip("\"' ")):
            return Opening(dialect=dialect, source=f"{tag}{name}>")
        may_come = not end and len(begun) < _MAX_TAG and not set(name) & set("<\n")
        return UNDECIDED if may_come else None
    return None


def _words(info: str) -> str:
    return " ".join(info.split()).lower()
