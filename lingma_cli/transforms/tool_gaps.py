"""Text and calls on their way out, without the blank lines around what became calls.

White space at the beginning of a line is held back, as the line may turn out to be a block of
calls. Of the white space around calls only that remains which parts text before from text after.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

CallT = TypeVar("CallT")

_MAX_GAP: Final = 256


class GappedOut(Generic[CallT]):
    """Collects text and calls; `gap` is the white space that is held back."""

    def __init__(self) -> None:
        self._out: list[str | CallT] = []
        self._gap = ""
        self._has_text = False
        self._is_after_call = False
        self._drops_space = False

    def put(self, text: str) -> None:
        """Add text, after the white space before it."""
        if text := self._gap + text:
            self._out.append(text)
            self._gap = ""
            self._has_text = True
            self._is_after_call = self._drops_space = False

    def space(self, space: str) -> None:
        """Add white space that may vanish with a block behind it."""
        if self._drops_space:
            return
        gap = self._gap + space
        if len(gap) > _MAX_GAP:
            self._gap = ""
            self.put(gap[:-_MAX_GAP])
        self._gap = gap[-_MAX_GAP:]

    def vanish(self) -> None:
        """Let a block vanish, and with it the white space on one side of it, or both."""
        self._gap = self._gap if self._has_text else ""
        self._drops_space = bool(self._gap) or not self._has_text
        self._is_after_call = True

    def call(self, call: CallT) -> None:
        """Add a call."""
        self._out.append(call)

    def break_line(self) -> None:
        """Part what comes from the text before it."""
        if self._has_text and not self._gap:
            self._gap = "\n"

    def end(self) -> str:
        """Return the white space that ends the answer; there may be a next one."""
        gap = "" if self._is_after_call else self._gap
        self._gap = ""
        self._has_text = self._is_after_call = self._drops_space = False
        return gap

    def taken(self) -> list[str | CallT]:
        """Return what was added since the last time, neighbouring texts joined."""
        joined: list[str | CallT] = []
        texts: list[str] = []
        for piece in self._out:
            if isinstance(piece, str):
                texts.append(piece)
                continue
            if texts:
                joined.append("".join(texts))
                texts.clear()
            joined.append(piece)
        if texts:
            joined.append("".join(texts))
        self._out.clear()
        return joined
