"""How an answer looks: its reasoning dimmed and only for a person, its text as it comes.

A pipe gets the text as it is. On a terminal with style a conversation's text is rendered as
Markdown, from a thread of its own: a few times a second it shows what has come since, however
the text is cut and however fast it comes.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, replace
from typing import Final, Protocol, TextIO

from lingma_cli.core.events import BlockClosed, BlockDelta, BlockKind, BlockOpened, ChatEvent
from lingma_cli.core.terminal import Sanitiser
from lingma_cli.repl.markdown import Splitter
from lingma_cli.repl.painter import Painter
from lingma_cli.repl.render import Line, Renderer

_DIM: Final = "\x1b[2m"
_PLAIN: Final = "\x1b[0m"
_FRAME_SECONDS: Final = 0.04
_USUAL_SIZE: Final = os.terminal_size((80, 24))


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """Where answers go.

    Attributes:
        out: the stream; written through at once.
        is_terminal: whether a person reads it.
        has_style: whether it may be styled.
    """

    out: TextIO
    is_terminal: bool
    has_style: bool

    def size(self) -> os.terminal_size:
        """Return columns and lines as they are now."""
        try:
            size = os.get_terminal_size(self.out.fileno())
        except (OSError, ValueError):
            return _USUAL_SIZE
        return size if size.columns and size.lines else _USUAL_SIZE


class View(Protocol):
    """Shows one answer; feed it the events, then `end` it, however it ended."""

    def feed(self, event: ChatEvent) -> None:
        """Show what `event` adds."""

    def end(self) -> None:
        """Leave the cursor at the start of a line."""


class PlainView:
    """Shows an answer as it was written."""

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


class MarkdownView:
    """Shows an answer rendered; reasoning stays as it was written."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._plain = PlainView(screen)
        self._text: _LiveText | None = None
        self._after_reasoning = False

    def feed(self, event: ChatEvent) -> None:
        """Show what `event` adds; a text appears within a frame."""
        match event:
            case BlockOpened(kind=BlockKind.TEXT):
                self._screen.out.write("\n" if self._after_reasoning else "")
                self._after_reasoning = False
                self._text = _LiveText(self._screen)
            case BlockDelta(kind=BlockKind.TEXT, text=text) if self._text is not None:
                self._text.add(text)
            case BlockClosed() if self._text is not None:
                self._end_text(self._text)
            case _:
                self._after_reasoning |= event == BlockOpened(kind=BlockKind.REASONING)
                self._plain.feed(event)

    def end(self) -> None:
        """Show what is left and leave the cursor at the start of a line."""
        if self._text is not None:
            self._end_text(self._text)
        self._plain.end()

    def _end_text(self, text: _LiveText) -> None:
        text.end()
        self._text = None


class _LiveText:
    """One text block and the thread that paints it; `end` ends both."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._sanitiser = Sanitiser()
        self._splitter = Splitter()
        self._renderer = Renderer()
        self._painter = Painter(screen.out)
        self._waiting: list[str] = []
        self._woken = threading.Event()
        self._ending = threading.Event()
        # A second Ctrl-C may cut `end` short; then nothing must keep the program alive.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, text: str) -> None:
        """Hand over the next piece."""
        self._waiting.append(self._sanitiser.feed(text))
        self._woken.set()

    def end(self) -> None:
        """Show the rest for good."""
        self._ending.set()
        self._woken.set()
        self._thread.join()
        self._paint(is_last=True)

    def _run(self) -> None:
        while not self._ending.is_set():
            self._woken.wait()
            self._woken.clear()
            self._paint(is_last=False)
            self._ending.wait(_FRAME_SECONDS)

    def _paint(self, *, is_last: bool) -> None:
        # Taken piece by piece: the other thread may add at any time.
        count = len(self._waiting)
        pieces = self._splitter.feed("".join(self._waiting[:count]))
        del self._waiting[:count]
        if is_last:
            pieces += self._splitter.close()
        live: list[Line] = []
        size = self._screen.size()
        # A full row would make terminals differ about where the cursor is.
        width = max(1, size.columns - 1)
        fixed = [line for piece in pieces for line in self._renderer.finished(piece, width)]
        tail = None if is_last else self._splitter.tail
        if tail is not None:
            # More than fits on the screen would be rendered in vain, again and again; where it is
            # cut moves seldom, for all lines move with it.
            screenful = size.columns * size.lines
            seen = tail.text[max(0, len(tail.text) // screenful - 1) * screenful :]
            live = self._renderer.unfinished(replace(tail, text=seen), width)
        self._painter.paint(fixed, live, size)
