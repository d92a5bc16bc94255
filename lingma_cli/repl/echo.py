"""Keeps the terminal from showing keys itself: during an answer they would end up in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO


@contextmanager
def unechoed(stream: TextIO) -> Iterator[None]:
    """Let the terminal of `stream` show no keys by itself in this context.

    A prompt that reads the keys shows them; keys of an answer's time wait for the next prompt.
    Ctrl-C works as before. Without such a terminal, as on Windows, nothing happens.
    """
    before = _modes(stream)
    if before is None:
        yield
        return
    import termios  # noqa: PLC0415 - does not exist on Windows

    silent = [*before]
    # Line by line, the terminal would also take Ctrl-D and the deleting keys for itself.
    silent[3] &= ~(termios.ECHO | termios.ICANON)
    try:
        termios.tcsetattr(stream.fileno(), termios.TCSANOW, silent)
        yield
    finally:
        termios.tcsetattr(stream.fileno(), termios.TCSANOW, before)


def _modes(stream: TextIO) -> list[Any] | None:
    try:
        import termios  # noqa: PLC0415
    except ImportError:
        return None
    try:
        return termios.tcgetattr(stream.fileno())
    except (OSError, ValueError, termios.error):
        return None
