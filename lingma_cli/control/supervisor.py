"""One task an engine: start it, and start it again when it dies, ever more slowly.

A start that has answered a request resets the pauses; else they double from half a second to a
minute, with jitter, so a binary that cannot start or live costs next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from typing import Final

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.errors import ErrorKind, LingmaError

_log: Final = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0
# What an engine that is wanted anew may take for the answers under way.
_LAST_ANSWERS_SECONDS: Final = 10.0

Around = Callable[[Slot], AbstractAsyncContextManager[None]]


class Supervisor:
    """Keeps the engines of a registry running.

    Args:
        registry: the pool whose slots are moved.
        on_trouble: told of each failure, for the person at the terminal.
        around: what surrounds each life of an engine; a failure to enter is one to start.
        jitter: returns a factor between 0 and 1.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        on_trouble: Callable[[LingmaError], None],
        around: Around = lambda _: nullcontext(),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.registry = registry
        self._on_trouble = on_trouble
        self._around = around
        self._jitter = jitter

    async def run(self) -> None:
        """Run all engines until cancelled; every engine is stopped on return."""
        async with asyncio.TaskGroup() as group:
            for slot in self.registry.slots:
                group.create_task(self._keep(slot))

    async def _keep(self, slot: Slot) -> None:
        failures = 0
        try:
            while True:
                generation, answered = slot.generation, slot.answered
                slot.again.clear()
                self.registry.move(slot, EngineState.STARTING)
                try:
                    async with self._around(slot):
                        await self._live(slot, generation)
                except LingmaError as error:
                    _log.warning("engine %s: %s", slot.engine.name, error)
                    self._tell(slot, generation, error)
                except Exception as error:  # noqa: BLE001 - see below
                    # A fault of ours in one engine must not take the server along.
                    _log.exception("engine %s", slot.engine.name)
                    fault = LingmaError(ErrorKind.INTERNAL, f"the engine failed: {error!r}")
                    self._tell(slot, generation, fault)
                is_wanted = slot.again.is_set()
                failures = 0 if is_wanted or slot.answered > answered else failures + 1
                if failures:
                    await self._rest(slot, failures)
        finally:
            self.registry.move(slot, EngineState.STOPPED)

    async def _live(self, slot: Slot, generation: int) -> None:
        """Run the engine until it ends, or until it is wanted anew."""
        life = asyncio.ensure_future(slot.engine.run(partial(self._on_change, slot, generation)))
        again = asyncio.ensure_future(slot.again.wait())
        try:
            await asyncio.wait([life, again], return_when=asyncio.FIRST_COMPLETED)
            if not life.done():
                self.registry.move(slot, EngineState.STARTING)
                await self.registry.wait_idle(slot, _LAST_ANSWERS_SECONDS)
        finally:
            again.cancel()
            life.cancel()
            await asyncio.wait([life, again])
        if not life.cancelled():
            life.result()

    async def _rest(self, slot: Slot, failures: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pause(failures)):
                await slot.again.wait()

    def _tell(self, slot: Slot, generation: int, error: LingmaError) -> None:
        self._on_trouble(error)
        self._on_change(slot, generation, error)

    def _on_change(self, slot: Slot, generation: int, error: LingmaError | None) -> None:
        if error is None and slot.again.is_set():
            # It has come back just before its end.
            return
        if error is None:
            self.registry.move(slot, EngineState.READY)
        elif slot.generation > generation:
            # It worked and will be back in a moment: requests wait for it.
            self.registry.move(slot, EngineState.STARTING, error)
        else:
            # It could not even start: requests fail at once, with the reason.
            self.registry.move(slot, EngineState.ERROR, error)

    def _pause(self, failures: int) -> float:
        longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (failures - 1))
        return longest * (0.5 + 0.5 * self._jitter())
