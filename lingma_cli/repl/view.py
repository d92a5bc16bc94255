"""How an answer looks: its text as it comes, its reasoning dimmed and only for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TextIO

from lingma_cli.core.events import BlockClosed, BlockDelta, BlockKind, BlockOpened, ChatEvent
from lingma_cli.core.terminal import Sanitiser

_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Where answers go.

    Attributes:
        out: the stream; written through at once.
        is_terminal: whether a person reads it.
        has_style: whether it may be dimmed.
    """

    out: TextIO
    is_terminal: bool
    has_style: bool


class AnswerView:
    """Shows one answer; feed it the events, then `end` it, however it ended."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._sanitiser = Sanitiser()
        self._is_dim = False
        self._at_line_start = True

    def feed(self, event: ChatEvent) -> None:
        """Show what `event` adds."""
        match event:
            case BlockOpened(kind=kind):
                self._sanitiser = Sanitiser()
                self._is_dim = kind is BlockKind.REASONING and self._screen.has_style
            case BlockDelta(kind=BlockKind.TEXT, text=text):
                self._write(self._sanitiser.feed(text))
            case BlockDelta(kind=BlockKind.REASONING, text=text) if self._screen.is_terminal:
                self._write(self._sanitiser.feed(text))
            case BlockClosed():
                self._is_dim = False
                if self._screen.is_terminal:
                    self._start_line()
            case _:
                pass

    def end(self) -> None:
        """Leave the cursor at the start of a line."""
        self._is_dim = False
        self._start_line()

    def _start_line(self) -> None:
        if not self._at_line_start:
            self._write("\n")

    def _write(self, text: str) -> None:
        if not text:
            return
        # Each piece brings its own style back: an answer may be cut off at any point.
        self._screen.out.write(f"{_DIM}{text}{_PLAIN}" if self._is_dim else text)
        self._screen.out.flush()
        self._at_line_start = text.endswith("\n")
