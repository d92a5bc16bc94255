"""Markers that Lingma writes into answer text, taken out while the text streams.

Source: Lingma local protocol, "Text-level markers": `<think>` tags, four-backtick blocks opened by
`think::…` and closed by four backticks on their own line, fences whose info string is
`toolCall::name::id::STATUS`, and code fences whose info string is `lang|CODE_EDIT_BLOCK|path`.

A marker may be cut anywhere, so text is held back while its last bytes may still become one, and
no longer. Inside a code fence, and right after a backtick, nothing is a marker: an answer can talk
about them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lingma_cli.core.events import BlockKind

Piece = tuple[BlockKind, str]

_MAX_INDENT: Final = 64
_PORTION: Final = 4096
_OPENING: Final = re.compile(
    r"(?m)(?<!`)<think>|^[ \t]{0,64}(?P<ticks>`{3,64})(?P<word>[^`\n]{0,512})\n"
)
# The end of the buffer may be the beginning of an opening; longer info strings are no markers.
_OPENING_BEGUN: Final = re.compile(
    r"(?m)(?:(?<!`)<(?:t(?:h(?:i(?:n(?:k)?)?)?)?)?|^[ \t]{0,64}(?:`{1,2}|`{3,64}[^`\n]{0,512}))\Z"
)
_LINE_START: Final = re.compile(r"(?:\A|\n)[ \t]{0,64}\Z")
_TOOL_MARKER: Final = re.compile(r"[ \t]*toolCall::(?P<name>[^:\n]+)::(?P<id>[^:\n]+)::")
_EDIT_PATH: Final = re.compile(r"\|CODE_EDIT_BLOCK\|[^\n]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A block under way: `kind` is what its inside is, `None` when it is dropped."""

    kind: BlockKind | None
    closing: re.Pattern[str]
    closing_begun: re.Pattern[str]
    keep_closing: bool = False


_TAGGED: Final = _Block(
    kind=BlockKind.REASONING,
    closing=re.compile(r"</think>"),
    closing_begun=re.compile(r"<(?:/(?:t(?:h(?:i(?:n(?:k)?)?)?)?)?)?\Z"),
)


def _fenced(kind: BlockKind | None, ticks: str) -> _Block:
    if kind is BlockKind.TEXT:
        # A code fence may be closed by more backticks than opened it, and stays in the text.
        closing = rf"(?m)^[ \t]{{0,64}}{ticks}`*[ \t]*(?=\n|\Z)"
        begun = r"(?m)^[ \t]{0,64}`+[ \t]*\Z"
    else:
        # The line break before the closing fence belongs to it.
        closing = rf"(?m)\n?^{ticks}[ \t]*(?=\n|\Z)"
        begun = r"(?m)\n?^`*[ \t]*\Z|\n\Z"
    return _Block(
        kind=kind,
        closing=re.compile(closing),
        closing_begun=re.compile(begun),
        keep_closing=kind is BlockKind.TEXT,
    )


class MarkerReader:
    """Splits answer text into text and reasoning pieces; the markers themselves vanish."""

    def __init__(self) -> None:
        self._buffer = ""
        # What stands before the buffer, as far as it tells whether a line starts there.
        self._before = ""
        self._search_from = 0
        self._block: _Block | None = None
        self._dropping_newlines = True
        self._last = False
        self._out: list[Piece] = []
        # Tool call id to tool name, as the dropped `toolCall` fences told them.
        self.tool_names: dict[str, str] = {}

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that `text` makes certain."""
        if self._is_plain(text):
            self._remember(text)
            return [(BlockKind.TEXT, text)]
        # In portions: each step copies what it has not read yet.
        for start in range(0, len(text), _PORTION):
            self._buffer += text[start : start + _PORTION]
            self._read()
        out, self._out = self._out, []
        return out

    def close(self) -> list[Piece]:
        """Return what was held back, at the end of the answer."""
        self._last = True
        self._read()
        out, self._out = self._out, []
        return out

    def _read(self) -> None:
        while self._buffer and (self._read_text() if self._block is None else self._read_block()):
            pass

    def _is_plain(self, text: str) -> bool:
        """Tell whether `text` is outside all markers and cannot begin one: nearly always."""
        if self._buffer or self._dropping_newlines or self._block is not None or not text:
            return False
        return "<" not in text and "`" not in text

    def _read_text(self) -> bool:
        """Read up to the next opening; tell whether there may be more to read."""
        if self._dropping_newlines and not self._drop_newlines():
            return False
        found = self._search(_OPENING)
        certain = self._certain(_OPENING_BEGUN)
        if found is None or self._span(found)[0] > certain:
            # A tag inside what may still become a fence line is not a tag yet.
            self._take(BlockKind.TEXT, certain)
            return False
        # An indentation is text: by the time its fence is known it may have been given out.
        start, end = self._span(found, "ticks" if found["ticks"] else 0)
        self._take(BlockKind.TEXT, start)
        self._block = _block_of(found)
        if (marker := _TOOL_MARKER.match(found["word"] or "")) is not None:
            self.tool_names[marker["id"]] = marker["name"]
        if self._block.kind is BlockKind.TEXT:
            fence = _EDIT_PATH.sub("", self._buffer[: end - start])
            self._out.append((BlockKind.TEXT, fence))
        self._take(None, end - start)
        return True

    def _read_block(self) -> bool:
        """Read up to the block's closing; tell whether there may be more to read."""
        block = self._block
        if block is None:
            return False
        found = self._search(block.closing)
        if found is None or (block is not _TAGGED and not self._last and self._at_end(found)):
            self._take(block.kind, self._certain(block.closing_begun))
            return False
        start, end = self._span(found)
        self._take(block.kind, start)
        self._take(BlockKind.TEXT if block.keep_closing else None, end - start)
        self._block = None
        self._dropping_newlines = not block.keep_closing
        return True

    def _drop_newlines(self) -> bool:
        """Drop line breaks around a marker; those at the start of an answer come back as text."""
        stripped = self._buffer.lstrip("\n")
        if self._before:
            self._take(None, len(self._buffer) - len(stripped))
            if not stripped:
                return False
        elif not stripped.strip(" \t") and not self._last and len(self._buffer) < _MAX_INDENT:
            return False
        elif (found := _OPENING.match(stripped)) and _block_of(found).kind is not BlockKind.TEXT:
            self._buffer = stripped
        elif not self._last and _OPENING_BEGUN.match(stripped):
            return False
        self._dropping_newlines = False
        return bool(self._buffer)

    def _certain(self, begun: re.Pattern[str]) -> int:
        """Return how much of the buffer cannot belong to a marker."""
        found = None if self._last else self._search(begun)
        return self._span(found)[0] if found else len(self._buffer)

    def _search(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return pattern.search(self._before + self._buffer, self._search_from)

    def _span(self, found: re.Match[str], start: str | int = 0) -> tuple[int, int]:
        """Return where `found`, from its group `start` on, stands in the buffer."""
        before = len(self._before)
        return max(0, found.start(start) - before), found.end() - before

    def _at_end(self, found: re.Match[str]) -> bool:
        return self._span(found)[1] == len(self._buffer)

    def _take(self, kind: BlockKind | None, length: int) -> None:
        if length <= 0:
            return
        text, self._buffer = self._buffer[:length], self._buffer[length:]
        self._remember(text)
        if kind is not None:
            self._out.append((kind, text))

    def _remember(self, text: str) -> None:
        # In the middle of a line, white space is no indentation.
        before = self._before if self._search_from == 0 else "."
        indent = _LINE_START.search(before + text[-_MAX_INDENT - 1 :])
        self._before = indent[0] if indent else text[-1]
        self._search_from = 0 if indent else 1


def _block_of(opening: re.Match[str]) -> _Block:
    """Return the block that an opening opens."""
    ticks, word = opening["ticks"], (opening["word"] or "").strip()
    if ticks is None:
        return _TAGGED
    if word.startswith("think::"):
        return _fenced(BlockKind.REASONING, ticks)
    return _fenced(None if word.startswith("toolCall::") else BlockKind.TEXT, ticks)
