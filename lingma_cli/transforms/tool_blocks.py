"""A block that may hold calls, while it streams: where it ends, and what it had better ended at.

A block is read in segments: lines in a fence, pieces up to `>` in a tag. What closes a block does
not close it inside a string (JSON, Python) or inside a `<parameter>`. If quotes do not pair, the
first closing that stood in a string was meant: `fall_back` cuts there, and the rest is read anew.
How far one reads beyond such a place is bounded by a credit for the whole answer, so that reading
stays linear. An opening of the same kind outside strings ends a block that was never closed.

Source: Lingma protocol document, section 8.1 (string-aware scan; swallowed calls; re-scans).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lingma_cli.transforms.tool_dialects import Dialect, plausible
from lingma_cli.transforms.tool_fit import Offer
from lingma_cli.transforms.tool_openings import Opening, fence_dialect

_CLOSING_TAGS: Final = {
    Dialect.TOOL_CALL: "</tool_call>",
    Dialect.FUNCTION: "</function>",
    Dialect.INVOKES: "</function_calls>",
}
_TAGGED: Final = frozenset(_CLOSING_TAGS)
_HEAD: Final = 1024
_JSON_ESCAPE: Final = re.compile(r"\\.", re.DOTALL)
_PYTHON_TOKEN: Final = re.compile(r'\\.|"""|\'\'\'|["\'#\n]')
_FENCE_LINE: Final = re.compile(r"[ \t]*(?P<ticks>`{3,})(?P<info>[^`]*)")
_PARAMETER: Final = re.compile(r"<parameter(?:=|\s+name=)[^<>]*>\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """A block's inside, what closed it (nothing, if it was not closed), and what comes after."""

    body: str
    closing: str
    rest: str


class Block:
    """A block under way.

    Args:
        opening: what opened it.
        credit: how many characters may be read beyond a closing that stands in a string.
    """

    def __init__(self, opening: Opening, credit: int) -> None:
        self.opening = opening
        self._terminator = "\n" if opening.ticks else ">"
        self._credit = credit
        self._segments: list[str] = []
        self._partial: list[str] = []
        self._head = ""
        # What closes the string under way.
        self._inside = ""
        self._fallback: int | None = None
        self._beyond = 0
        self._is_settled = False

    @property
    def inside(self) -> str:
        """All that was read after the opening."""
        return "".join((*self._segments, *self._partial))

    def take(self, text: str) -> str | None:
        """Take text up to a segment's end.

        Returns:
            What lies behind a segment that is now complete, `None` if more text is needed.
        """
        end = text.find(self._terminator) + 1
        piece = text[:end] if end else text
        self._partial.append(piece)
        if len(self._head) < _HEAD:
            self._head = (self._head + piece)[:_HEAD]
        return text[end:] if end else None

    def is_plausible(self, offer: Offer) -> bool:
        """Tell whether what was read may still become calls of offered tools; a no is final."""
        if not self._is_settled:
            self._is_settled = len(self._head) == _HEAD
            return plausible(self.opening.dialect, self._head, offer)
        return True

    def end_segment(self) -> Ending | None:
        """Look at the segment that `take` completed, or at a last one that nothing ends."""
        segment = "".join(self._partial)
        self._partial.clear()
        ending = self._read_line(segment) if self.opening.ticks else self._read_piece(segment)
        self._segments.append(segment)
        if ending is None and self._fallback is not None:
            self._beyond += len(segment)
            return self.fall_back() if self._beyond > self._credit else None
        return ending

    def fall_back(self) -> Ending | None:
        """Return the ending at the first closing or opening that stood in a string, if any."""
        if self._fallback is None:
            return None
        before, segment = self._segments[: self._fallback], self._segments[self._fallback]
        rest = "".join(self._segments[self._fallback + 1 :])
        if self.opening.ticks and _opens(segment):
            return Ending(body="".join(before), closing="", rest=segment + rest)
        closing = segment if self.opening.ticks else _CLOSING_TAGS[self.opening.dialect]
        return Ending(
            body="".join((*before, segment.removesuffix(closing))), closing=closing, rest=rest
        )

    def _read_line(self, line: str) -> Ending | None:
        closes = line.rstrip().endswith(self.opening.ticks)
        if self._inside and (_opens(line) or (closes and not line.strip(" \t\r\n`"))):
            self._mark()
        elif not self._inside and _opens(line):
            return Ending(body=self.inside, closing="", rest=line)
        self._lex(line)
        if self._inside or not closes:
            return None
        last = line.rstrip().rstrip("`")
        return Ending(body=self.inside + last, closing=line[len(last) :], rest="")

    def _read_piece(self, piece: str) -> Ending | None:
        closing = _CLOSING_TAGS[self.opening.dialect]
        tag = piece[max(0, piece.rfind("<")) :]
        self._lex(piece)
        if tag == closing and not self._inside:
            body = self.inside + piece.removesuffix(closing)
            return Ending(body=body, closing=closing, rest="")
        if tag == closing:
            self._mark()
        elif not self._inside and self._opens_again(tag):
            return Ending(body=self.inside + piece.removesuffix(tag), closing="", rest=tag)
        return None

    def _opens_again(self, tag: str) -> bool:
        if self.opening.dialect is Dialect.FUNCTION:
            return tag.startswith("<function=")
        return tag == self.opening.source

    def _mark(self) -> None:
        if self._fallback is None:
            self._fallback = len(self._segments)

    def _lex(self, segment: str) -> None:
        if self.opening.dialect is Dialect.PYTHON:
            self._lex_python(segment)
        elif self.opening.dialect in _TAGGED and not self._head.lstrip().startswith(("{", "[")):
            self._lex_tags(segment)
        elif _JSON_ESCAPE.sub("", segment).count('"') % 2:
            self._inside = "" if self._inside else '"'

    def _lex_python(self, segment: str) -> None:
        for found in _PYTHON_TOKEN.finditer(segment):
            mark = found[0]
            if mark == "#" and not self._inside:
                return
            if mark == self._inside or (mark == "\n" and len(self._inside) == 1):
                self._inside = ""
            elif not self._inside and mark[0] in "\"'":
                self._inside = mark

    def _lex_tags(self, segment: str) -> None:
        if self._inside:
            self._inside = "" if segment.endswith(self._inside) else self._inside
        elif _PARAMETER.match(segment, max(0, segment.rfind("<"))):
            self._inside = "</parameter>"


def _opens(line: str) -> bool:
    fence = _FENCE_LINE.fullmatch(line)
    return fence is not None and fence_dialect(fence["info"]) is not None
