"""The person at the terminal, or the script that feeds standard input."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import TYPE_CHECKING, Final

import typer

from lingma_cli.cli import output
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

if TYPE_CHECKING:
    from prompt_toolkit.output import Output

_MAX_LINE: Final = 64 * 1024


class TerminalPerson:
    """Talks on stderr; asks with an editor at a terminal, else takes a line of standard input."""

    def __init__(self) -> None:
        self._is_there = output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)
        self._lines: asyncio.Queue[bytes | None] | None = None

    @property
    def is_there(self) -> bool:
        """Whether this is a terminal."""
        return self._is_there

    def say(self, text: str) -> None:
        """Write a line of talk."""
        output.say(text)

    def consents(self, question: str) -> bool:
        """Return whether a question is answered with yes; where nobody is, it is not."""
        return self._is_there and typer.confirm(question, err=True)

    async def ask(self, prompt: str, *, secret: bool = False) -> Secret:
        """Return a line, without the white space around it.

        Raises:
            LingmaError: the input has ended.
        """
        line = await (self._typed(prompt, secret=secret) if self._is_there else self._fed())
        if line is None:
            raise LingmaError(
                ErrorKind.USAGE,
                f"nothing came in answer to `{prompt.strip()}`",
                hint="run it at a terminal, or write the answers to standard input, a line each",
            )
        return Secret(line.strip())

    async def _typed(self, prompt: str, *, secret: bool) -> str | None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.history import DummyHistory

        session: PromptSession[str] = PromptSession(
            history=DummyHistory(), output=_talking_output(), reserve_space_for_menu=0
        )
        try:
            return await session.prompt_async(prompt, is_password=secret)
        except EOFError:
            return None

    async def _fed(self) -> str | None:
        if self._lines is None:
            self._lines = asyncio.Queue()
            feeding = (asyncio.get_running_loop(), self._lines)
            threading.Thread(target=_feed, args=feeding, daemon=True).start()
        line = await self._lines.get()
        if line is None:
            # Whoever asks next gets the same answer.
            self._lines.put_nowait(None)
            return None
        return line.decode(errors="replace")


def _feed(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes | None]) -> None:
    """Move the lines of standard input into the queue, `None` at the end; runs in a thread."""
    rest = b""

    def hand_over(line: bytes | None) -> bool:
        try:
            loop.call_soon_threadsafe(lines.put_nowait, line)
        except RuntimeError:  # the loop has ended before the input
            return False
        return True

    # Not by `sys.stdin`: a thread that waits inside it cannot be left at the program's end.
    while sys.stdin is not None and len(rest) <= _MAX_LINE:
        try:
            piece = os.read(sys.stdin.fileno(), 4096)
        except (OSError, ValueError):
            break
        *whole, rest = (rest + piece).split(b"\n")
        if not all(map(hand_over, whole)):
            return
        if not piece:
            break
    if rest:
        hand_over(rest)
    hand_over(None)


def _talking_output() -> Output | None:
    from prompt_toolkit.output import create_output
    from prompt_toolkit.output.vt100 import Vt100_Output

    # Standard output is for data, even while somebody is asked.
    created = create_output(sys.stderr)
    if isinstance(created, Vt100_Output):
        # Nothing here needs to know where the cursor is, and not every terminal tells.
        created.enable_cpr = False
    return created
