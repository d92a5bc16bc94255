"""One task an engine: start it, and start it again when it dies, ever more slowly.

A start that has answered a request resets the pauses; else they double from half a second to a
minute, with jitter, so a binary that cannot start or live costs next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial
from typing import Final

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.errors import ErrorKind, LingmaError

_log: Final = logging.getLogger(__name__)
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 60.0


class Supervisor:
    """Keeps the engines of a registry running.

    Args:
        registry: the pool whose slots are moved.
        on_trouble: told of each failure, for the person at the terminal.
        jitter: returns a factor between 0 and 1.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        on_trouble: Callable[[LingmaError], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.registry = registry
        self._on_trouble = on_trouble
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
                self.registry.move(slot, EngineState.STARTING)
                try:
                    await slot.engine.run(partial(self._on_change, slot, generation))
                except LingmaError as error:
                    _log.warning("engine %s: %s", slot.engine.name, error)
                    self._tell(slot, generation, error)
                except Exception as error:  # noqa: BLE001 - see below
                    # A fault of ours in one engine must not take the server along.
                    _log.exception("engine %s", slot.engine.name)
                    fault = LingmaError(ErrorKind.INTERNAL, f"the engine failed: {error!r}")
                    self._tell(slot, generation, fault)
                failures = 0 if slot.answered > answered else failures + 1
                if failures:
                    await asyncio.sleep(self._pause(failures))
        finally:
            self.registry.move(slot, EngineState.STOPPED)

    def _tell(self, slot: Slot, generation: int, error: LingmaError) -> None:
        self._on_trouble(error)
        self._on_change(slot, generation, error)

    def _on_change(self, slot: Slot, generation: int, error: LingmaError | None) -> None:
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
