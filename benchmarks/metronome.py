"""Wake tasks at exact times.

The event loops' own timers have a resolution of a millisecond, which would bundle the chunks of
independent streams and make them cheaper than they are.
"""

import asyncio
import heapq
import itertools
import threading
import time
from types import TracebackType
from typing import Self


class Metronome:
    """A thread that sleeps until the next due time and then pokes the loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._order = itertools.count()
        self._due: list[tuple[float, int, asyncio.Future[None]]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    async def until(self, due: float) -> None:
        """Wait for a time of the monotonic clock, in seconds; past times return at once."""
        if due <= time.monotonic():
            return
        woken = self._loop.create_future()
        with self._changed:
            heapq.heappush(self._due, (due, next(self._order), woken))
            if self._due[0][2] is woken:
                self._changed.notify()
        await woken

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                else:
                    self._loop.call_soon_threadsafe(_wake, heapq.heappop(self._due)[2])


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
