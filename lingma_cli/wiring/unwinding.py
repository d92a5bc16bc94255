"""Work that is taken back in order when a signal ends the process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_ENDS: Final = ("SIGTERM", "SIGHUP", "SIGBREAK")


@contextmanager
def unwound(clear: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Call `clear` after this context, also if a signal ends it, which then ends the process.

    Such a signal raises in the body what Ctrl-C does. Who hears or ignores signals in a way of
    its own goes on doing so.
    """
    caught: list[int] = []

    def unwind(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        if len(caught) == 1:
            # As Ctrl-C does: asyncio's own way, where it runs. In the background of a script
            # Ctrl-C is ignored. A terminal that is closed may tell twice.
            interrupt = signal.getsignal(signal.SIGINT)
            (interrupt if callable(interrupt) else signal.default_int_handler)(number, frame)

    numbers = _deadly()
    for number in numbers:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, lambda number, _: caught.append(number))
        clear()
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        if caught:
            signal.raise_signal(caught[0])


def _deadly() -> list[int]:
    """Return the signals that would end this process at once; none if it has a way of its own."""
    numbers = [getattr(signal, name) for name in _ENDS if hasattr(signal, name)]
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return []
    return [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
