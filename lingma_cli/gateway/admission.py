"""How many may be inside at once, and how many may wait at the door.

One ticket a request over the whole gateway, given in the order of arrival and returned exactly
once, by the `async with` that took it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lingma_cli.errors import ErrorKind, LingmaError


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """`max_in_flight` 0 or less means no limit; `queue_timeout` is seconds."""

    max_in_flight: int
    queue_size: int
    queue_timeout: float


class Admission:
    """The door of the gateway."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.in_flight = 0
        self.rejected_total = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False
        self._emptied: asyncio.Event = asyncio.Event()
        self._emptied.set()

    @property
    def queued(self) -> int:
        """Requests that wait now."""
        return len(self._waiting)

    @asynccontextmanager
    async def ticket(self) -> AsyncIterator[None]:
        """Hold a place for this context.

        Raises:
            LingmaError: the queue is full, time is up, or the gateway is shutting down.
        """
        if self._closed:
            raise _closing()
        if self._is_full() or self._waiting:
            await self._queue_up()
        else:
            self._enter()
        try:
            yield
        finally:
            self._leave()

    async def empty(self) -> None:
        """Return as soon as nobody is inside."""
        await self._emptied.wait()

    def close(self) -> None:
        """Let nobody in any more and send away whoever waits."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(_closing())
        self._waiting.clear()

    def _enter(self) -> None:
        self.in_flight += 1
        self._emptied.clear()

    def _leave(self) -> None:
        self.in_flight -= 1
        self._call_next()
        if self.in_flight == 0:
            self._emptied.set()

    def _is_full(self) -> bool:
        return 0 < self.limits.max_in_flight <= self.in_flight

    async def _queue_up(self) -> None:
        """Wait for a place; on return it is ours and already counted."""
        if len(self._waiting) >= self.limits.queue_size:
            raise self._reject(f"all places are taken and {len(self._waiting)} requests wait")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout(self.limits.queue_timeout):
                await place
        except TimeoutError:
            self._give_up(place)
            waited = f"{self.limits.queue_timeout:g} s"
            raise self._reject(f"no place became free in {waited}") from None
        except asyncio.CancelledError:
            self._give_up(place)
            raise

    def _give_up(self, place: asyncio.Future[None]) -> None:
        if place.done() and not place.cancelled() and place.exception() is None:
            # The place was given in the same moment: it goes to the next one.
            self._leave()
        elif place in self._waiting:
            self._waiting.remove(place)

    def _call_next(self) -> None:
        while self._waiting and not self._is_full():
            place = self._waiting.popleft()
            if not place.done():
                self._enter()
                place.set_result(None)

    def _reject(self, why: str) -> LingmaError:
        self.rejected_total += 1
        # By then at least one running answer has had as long again to end.
        retry_after = max(1.0, min(self.limits.queue_timeout, 10.0))
        return LingmaError(
            ErrorKind.OVERLOADED, f"the gateway is busy: {why}", retry_after=retry_after
        )


def _closing() -> LingmaError:
    return LingmaError(ErrorKind.SHUTTING_DOWN, "the gateway is shutting down", retry_after=5.0)
