"""The pool: one slot an engine, its state, and who holds it.

Choosing a slot and taking its lease is one synchronous step: no two requests can see the same
free place. Must not know what a request is or why an engine died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from lingma_cli.core.chat import ToolRoute
from lingma_cli.engines.base import Engine
from lingma_cli.errors import ErrorKind, LingmaError

_RETRY_SECONDS: Final = 2.0


class EngineState(Enum):
    """Where an engine is in its life; `ERROR` means it waits to be started again."""

    STARTING = "starting"
    READY = "ready"
    ERROR = "error"
    STOPPED = "stopped"


@dataclass(slots=True, kw_only=True)
class Slot:
    """One engine of the pool.

    Attributes:
        generation: grows each time the engine gets ready, so that what was true of an earlier
            life can be recognised.
        in_flight: leases out.
        answered: requests it finished well.
        tool_routes: how tools were seen to work, by model.
        last_error: why it is not ready, if it failed.
    """

    engine: Engine
    state: EngineState = EngineState.STARTING
    generation: int = 0
    in_flight: int = 0
    answered: int = 0
    tool_routes: dict[str, ToolRoute] = field(default_factory=dict)
    last_error: LingmaError | None = None


class Registry:
    """All slots of the pool, in a fixed order."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self.slots: Sequence[Slot] = tuple(Slot(engine=engine) for engine in engines)
        self._changed: asyncio.Event = asyncio.Event()
        self._closed_by: LingmaError | None = None

    def move(self, slot: Slot, state: EngineState, error: LingmaError | None = None) -> None:
        """Set a slot's state and wake whoever waits for one."""
        slot.state = state
        if state is EngineState.READY:
            slot.generation += 1
        if state is not EngineState.STARTING:
            slot.last_error = error
        self._wake()

    def close(self, error: LingmaError) -> None:
        """Send away whoever waits for a slot, and whoever comes."""
        self._closed_by = error
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    @contextmanager
    def lease(self) -> Iterator[Slot]:
        """Take the ready slot with the fewest leases, the first on ties, for this context.

        Raises:
            LingmaError: no slot is ready.
        """
        ready = [slot for slot in self.slots if slot.state is EngineState.READY]
        if not ready:
            raise self._unready()
        slot = min(ready, key=lambda slot: slot.in_flight)
        slot.in_flight += 1
        try:
            yield slot
        finally:
            slot.in_flight -= 1

    async def wait_ready(self, within: float) -> None:
        """Wait until a slot is ready.

        Args:
            within: seconds to wait while one is starting.

        Raises:
            LingmaError: time is up, or every engine failed to start and rests before the next try.
        """
        try:
            async with asyncio.timeout(within):
                while not any(slot.state is EngineState.READY for slot in self.slots):
                    if self._closed_by is not None:
                        raise self._closed_by
                    if all(slot.state is not EngineState.STARTING for slot in self.slots):
                        raise self._unready()
                    await self._changed.wait()
        except TimeoutError:
            raise self._unready() from None

    def _unready(self) -> LingmaError:
        for slot in self.slots:
            if slot.last_error is not None:
                return slot.last_error
        return LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE, "no engine is ready", retry_after=_RETRY_SECONDS
        )
