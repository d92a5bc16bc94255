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

_OPENING: Final = re.compile(r"(?m)(?<!`)<think>|^(?P<ticks>`{3,})(?P<word>[^`\n]{0,512})\n")
# The end of the buffer may be the beginning of an opening; longer info strings are no markers.
_OPENING_BEGUN: Final = re.compile(
    r"(?m)(?:(?<!`)<(?:t(?:h(?:i(?:n(?:k)?)?)?)?)?|^`{1,2}|^`{3,}[^`\n]{0,512})\Z"
)


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
        closing = rf"(?m)^{ticks}`*[ \t]*(?=\n|\Z)"
        begun = r"(?m)^`+[ \t]*\Z"
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
        # What stands before the buffer, so that "start of a line" can be seen: "" at the start.
        self._before = ""
        self._block: _Block | None = None
        self._dropping_newlines = True
        self._last = False
        self._out: list[Piece] = []

    def feed(self, text: str) -> list[Piece]:
        """Return the pieces that `text` makes certain."""
        if self._is_plain(text):
            self._before = text[-1]
            return [(BlockKind.TEXT, text)]
        self._buffer += text
        while self._buffer and (self._read_text() if self._block is None else self._read_block()):
            pass
        out, self._out = self._out, []
        return out

    def close(self) -> list[Piece]:
        """Return what was held back, at the end of the answer."""
        self._last = True
        return self.feed("")

    def _is_plain(self, text: str) -> bool:
        """Tell whether `text` is outside all markers and cannot begin one: nearly always."""
        if self._buffer or self._dropping_newlines or self._block is not None or not text:
            return False
        return "<" not in text and "`" not in text

    def _read_text(self) -> bool:
        """Read up to the next opening; tell whether there may be more to read."""
        if self._dropping_newlines and not self._drop_newlines():
            return False
        joined, start = self._before + self._buffer, len(self._before)
        found = _OPENING.search(joined, start)
        if found is None:
            self._take(BlockKind.TEXT, self._certain(_OPENING_BEGUN))
            return False
        self._take(BlockKind.TEXT, found.start() - start)
        ticks, word = found["ticks"], (found["word"] or "").strip()
        if ticks is None:
            self._enter(_TAGGED, found[0])
        elif word.startswith("think::"):
            self._enter(_fenced(BlockKind.REASONING, ticks), found[0])
        elif word.startswith("toolCall::"):
            self._enter(_fenced(None, ticks), found[0])
        else:
            language = (
                word.partition("|CODE_EDIT_BLOCK|")[0]
                if "|CODE_EDIT_BLOCK|" in word
                else found["word"]
            )
            self._out.append((BlockKind.TEXT, f"{ticks}{language}\n"))
            self._enter(_fenced(BlockKind.TEXT, ticks), found[0])
        return True

    def _read_block(self) -> bool:
        """Read up to the block's closing; tell whether there may be more to read."""
        block = self._block
        if block is None:
            return False
        joined, start = self._before + self._buffer, len(self._before)
        found = block.closing.search(joined, start)
        open_end = found is not None and found.end() == len(joined) and found.re != _TAGGED.closing
        if found is None or (open_end and not self._last):
            self._take(block.kind, self._certain(block.closing_begun))
            return False
        self._take(block.kind, found.start() - start)
        self._take(BlockKind.TEXT if block.keep_closing else None, len(found[0]))
        self._block = None
        self._dropping_newlines = not block.keep_closing
        return True

    def _drop_newlines(self) -> bool:
        """Drop line breaks around a marker; those at the start of an answer come back as text."""
        stripped = self._buffer.lstrip("\n")
        if not stripped and not self._last:
            return False
        if self._before:
            self._take(None, len(self._buffer) - len(stripped))
        elif _OPENING.match(stripped):
            self._buffer = stripped
        elif not self._last and _OPENING_BEGUN.match(stripped):
            return False
        self._dropping_newlines = False
        return bool(self._buffer)

    def _certain(self, begun: re.Pattern[str]) -> int:
        """Return how much of the buffer cannot belong to a marker."""
        start = len(self._before)
        found = None if self._last else begun.search(self._before + self._buffer, start)
        return found.start() - start if found else len(self._buffer)

    def _take(self, kind: BlockKind | None, length: int) -> None:
        if length <= 0:
            return
        text, self._buffer = self._buffer[:length], self._buffer[length:]
        self._before = text[-1]
        if kind is not None:
            self._out.append((kind, text))

    def _enter(self, block: _Block, opening: str) -> None:
        self._take(None, len(opening))
        self._block = block
