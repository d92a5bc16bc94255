"""The checker: one task that asks all engines whether they are well.

Three strikes in a row put an engine out. One that we own is then started again by its supervisor;
one that somebody else runs is asked on, and returns after two successes. What drains, starts or
has stopped is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.errors import ErrorKind, LingmaError

_log: Final = logging.getLogger(__name__)
_CHECKED: Final = frozenset({EngineState.READY, EngineState.ERROR})


@runtime_checkable
class Checkable(Protocol):
    """An engine that can be asked; one that cannot is believed."""

    async def check(self, within: float | None = None) -> None:
        """Ask it whether it is well.

        Args:
            within: seconds it may take.

        Raises:
            LingmaError: it is not, or it does not answer.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """How often and how long engines are asked, in seconds, and how many answers decide."""

    interval: float = 10.0
    timeout: float = 5.0
    strikes: int = 3
    successes: int = 2


@dataclass(slots=True)
class _Tally:
    """Failures and successes in a row, and the life that they belong to."""

    generation: int
    strikes: int = 0
    successes: int = 0


class Checker:
    """Asks the engines of a registry.

    Args:
        registry: the pool.
        options: see `CheckOptions`.
    """

    def __init__(self, registry: Registry, options: CheckOptions) -> None:
        self._registry = registry
        self._options = options
        self._tallies: dict[Slot, _Tally] = {}

    async def run(self) -> None:
        """Ask all, at the same time, in each interval, until cancelled."""
        while True:
            await asyncio.sleep(self._options.interval)
            slots = self._registry.slots
            self._tallies = {slot: self._tallies[slot] for slot in slots if slot in self._tallies}
            async with asyncio.TaskGroup() as group:
                for slot in slots:
                    if slot.state in _CHECKED and isinstance(slot.engine, Checkable):
                        group.create_task(self._look_at(slot, slot.engine))

    async def _look_at(self, slot: Slot, engine: Checkable) -> None:
        generation = slot.generation
        error = await self._asked(engine)
        if slot.generation == generation and slot.state in _CHECKED:
            self._count(slot, error)

    async def _asked(self, engine: Checkable) -> LingmaError | None:
        within = self._options.timeout
        try:
            async with asyncio.timeout(within):
                await engine.check(within)
        except LingmaError as error:
            return error
        except TimeoutError:
            return LingmaError(
                ErrorKind.ENGINE_TIMEOUT, f"the engine did not answer a check in {within:g} s"
            )
        except Exception as error:  # noqa: BLE001 - see below
            # A fault of ours around one engine must not end the checks of all.
            _log.exception("a check failed")
            return LingmaError(ErrorKind.INTERNAL, f"the check failed: {type(error).__name__}")
        return None

    def _count(self, slot: Slot, error: LingmaError | None) -> None:
        tally = self._tallies.get(slot)
        if tally is None or tally.generation != slot.generation:
            tally = self._tallies[slot] = _Tally(slot.generation)
        if error is None:
            tally.strikes, tally.successes = 0, tally.successes + 1
            slot.last_heartbeat = slot.wall_clock()
            # Ours has to be started again; whether it does so is not for a check to tell.
            if slot.state is EngineState.ERROR and not slot.is_owned:
                self._let_return(slot, tally)
            return
        tally.strikes, tally.successes = tally.strikes + 1, 0
        if slot.state is EngineState.READY and tally.strikes >= self._options.strikes:
            _log.warning("engine %s: %s", slot.engine.name, error)
            self._registry.move(slot, EngineState.ERROR, error)
            if slot.is_owned:
                slot.struck.set()

    def _let_return(self, slot: Slot, tally: _Tally) -> None:
        if tally.successes >= self._options.successes:
            _log.info("engine %s is well again", slot.engine.name)
            self._registry.move(slot, EngineState.READY)
