"""Cuts Markdown that is still being written into pieces that will not change any more.

Source: CommonMark 0.31, its block structure only, and only as much as tells where a block has
ended for good: at a blank line, at a heading, at the next item of a list, at a fence. Inside a
fence each line is final. A piece can be rendered without what comes after it; how
the inside of a piece reads is not decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_FENCE: Final = re.compile(r" {0,3}(?P<marks>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)")
_INNER_FENCE: Final = re.compile(r"\s*(?:[-*+]\s+|\d+[.)]\s+)?(?P<marks>`{3,}(?=[^`]*$)|~{3,})")
_ITEM: Final = re.compile(r" ?(?:[-*+]|(?P<number>\d{1,9})[.)])(?:\s|$)")
_HEADING: Final = re.compile(r" {0,3}#{1,6}(?:\s|$)")
# What a line begins with before it tells what it is: a rule, a list, a table, a fence.
_UNDECIDED: Final = re.compile(r"[\s\-=*+#>`~|:_]*|\s*\d{1,9}[.)]?\s?|\s*(?:`{3}|~{3}).*")


class PieceKind(Enum):
    """What a piece is."""

    PROSE = auto()
    FENCE_OPENED = auto()
    CODE = auto()
    FENCE_CLOSED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some whole lines.

    Attributes:
        kind: prose is Markdown, code any number of lines, the others one line.
        text: without the last line feed.
        joins: whether it follows the piece before without a blank line.
    """

    kind: PieceKind
    text: str
    joins: bool = False


class Splitter:
    """Takes an answer however it is cut; `tail` is what may still change."""

    def __init__(self) -> None:
        self._partial: list[str] = []
        self._lines: list[str] = []
        self._fence = ""
        self._inner_fence = ""
        self._in_list = False
        self._joins = False
        self._after_gap = False

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that `text` completes."""
        pieces: list[Piece] = []
        first, *others = text.split("\n")
        self._partial.append(first)
        for part in others:
            self._take("".join(self._partial), pieces)
            self._partial = [part]
        return pieces

    def close(self) -> list[Piece]:
        """Return what is left when nothing more will come."""
        pieces: list[Piece] = []
        if any(self._partial):
            self._take("".join(self._partial), pieces)
        self._finish(pieces)
        self._partial = []
        return pieces

    @property
    def tail(self) -> Piece | None:
        """The unfinished piece, without a last line whose meaning is still open."""
        partial = "".join(self._partial)
        if self._fence:
            return Piece(kind=PieceKind.CODE, text=partial, joins=True) if partial else None
        if _UNDECIDED.fullmatch(partial) and not self._inner_fence:
            partial = ""
        text = "\n".join([*self._lines, partial])
        if not text.strip():
            return None
        return Piece(kind=PieceKind.PROSE, text=text, joins=self._joins)

    def _take(self, line: str, pieces: list[Piece]) -> None:
        if self._fence:
            self._take_code(line, pieces)
        elif self._inner_fence:
            self._lines.append(line)
            if _closes(line, self._inner_fence):
                self._inner_fence = ""
        elif not line.strip():
            self._take_blank(pieces)
        else:
            self._take_prose(line, pieces)

    def _take_code(self, line: str, pieces: list[Piece]) -> None:
        if _closes(line, self._fence):
            self._fence = ""
            pieces.append(Piece(kind=PieceKind.FENCE_CLOSED, text=line, joins=True))
            return
        if pieces and pieces[-1].kind is PieceKind.CODE:
            line = f"{pieces.pop().text}\n{line}"
        pieces.append(Piece(kind=PieceKind.CODE, text=line, joins=True))

    def _take_blank(self, pieces: list[Piece]) -> None:
        if self._in_list:
            # What is indented after it still belongs to the item.
            self._lines.append("")
            self._after_gap = True
        else:
            self._finish(pieces)

    def _take_prose(self, line: str, pieces: list[Piece]) -> None:
        if self._in_list and line.startswith(("  ", "\t")):
            self._continue(line)
        elif fence := _FENCE.fullmatch(line):
            self._finish(pieces)
            self._fence = fence["marks"]
            pieces.append(Piece(kind=PieceKind.FENCE_OPENED, text=line))
        elif _HEADING.match(line):
            self._finish(pieces)
            pieces.append(Piece(kind=PieceKind.PROSE, text=line))
        elif self._begins_item(line):
            joins = self._in_list and not self._after_gap
            self._finish(pieces)
            self._in_list, self._joins = True, joins
            self._continue(line)
        else:
            if self._after_gap:
                self._finish(pieces)
            self._lines.append(line)

    def _begins_item(self, line: str) -> bool:
        item = _ITEM.match(line)
        # A number at the start of a line within a paragraph is part of a sentence, but for 1.
        return item is not None and (
            self._in_list or not self._lines or item["number"] in (None, "1")
        )

    def _continue(self, line: str) -> None:
        self._after_gap = False
        self._lines.append(line)
        if fence := _INNER_FENCE.match(line):
            self._inner_fence = fence["marks"]

    def _finish(self, pieces: list[Piece]) -> None:
        text = "\n".join(self._lines).strip("\n")
        if text.strip():
            pieces.append(Piece(kind=PieceKind.PROSE, text=text, joins=self._joins))
        self._lines.clear()
        self._inner_fence = ""
        self._in_list = self._joins = self._after_gap = False


def _closes(line: str, fence: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(fence) and set(bare) == {fence[0]}
