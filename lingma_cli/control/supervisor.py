"""One task an engine: start it, and start it again when it dies, ever more slowly.

A start that has answered a request resets the pauses, so a binary that cannot start or live costs
next to nothing; see `backoff`. Engines come and go while the others run.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final

from lingma_cli.control.backoff import LONGEST_PAUSE, LONGEST_PAUSE_OF_OTHERS, Backoff
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.errors import ErrorKind, LingmaError

_log: Final = logging.getLogger(__name__)
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
        self._group: asyncio.TaskGroup | None = None
        self._lives: dict[Slot, asyncio.Task[None]] = {}
        self._drains: dict[Slot, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Run all engines until cancelled; every engine is stopped on return."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for slot in self.registry.slots:
                    # One that was stopped by hand waits for whoever did it.
                    if slot.state is not EngineState.STOPPED:
                        self._begin(slot)
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    # engines that come and go

    def add(self, slot: Slot) -> None:
        """Take one more into the pool; it is started when the others are, or now.

        Raises:
            LingmaError: its id or its engine's name is taken.
        """
        self.registry.add(slot)
        if slot.state is not EngineState.STOPPED:
            self._begin(slot)

    def restart(self, slot: Slot) -> None:
        """Start an engine again: after its answers under way, or at once if it is away.

        Raises:
            LingmaError: it is about to stop.
        """
        if slot.state is EngineState.DRAINING:
            raise LingmaError(
                ErrorKind.CONFLICT, f"the engine `{slot.engine.name}` is about to stop"
            )
        slot.again.set()
        if slot.state is EngineState.STOPPED:
            self._begin(slot)

    def drain(self, slot: Slot, within: float) -> asyncio.Future[None]:
        """Let an engine finish its answers and stop it; from now on it gets no requests.

        Whoever asks again waits for the same end, and may hasten it.

        Args:
            slot: its place in the pool.
            within: seconds for the answers; what is not done by then ends with the engine.

        Returns:
            Done when it has stopped; it stops as well if this is cancelled.
        """
        loop = asyncio.get_running_loop()
        if slot.state is EngineState.STOPPED or self._group is None:
            done: asyncio.Future[None] = loop.create_future()
            done.set_result(None)
            return done
        life, draining = self._lives.get(slot), self._drains.get(slot)
        if draining is None:
            self.registry.move(slot, EngineState.DRAINING)
            draining = self._drains[slot] = self._group.create_task(self._drain(slot, life))
        deadline = loop.call_later(within, self._leave, slot, life)
        draining.add_done_callback(lambda _: deadline.cancel())
        return asyncio.shield(draining)

    async def remove(self, slot: Slot, within: float) -> None:
        """Drain an engine and forget it; see `drain`."""
        await self.drain(slot, within)
        if slot in self.registry.slots:
            self.registry.remove(slot)

    async def _drain(self, slot: Slot, life: asyncio.Task[None] | None) -> None:
        while self._lives.get(slot) is life and slot.in_flight and not slot.leaving.is_set():
            await self.registry.next_change().wait()
        self._leave(slot, life)
        if life is not None:
            await asyncio.wait([life])

    def _leave(self, slot: Slot, life: asyncio.Task[None] | None) -> None:
        """Let an engine end, unless it has ended and may have been started again."""
        if self._lives.get(slot) is life:
            slot.leaving.set()
            self.registry.wake()

    # one engine

    def _begin(self, slot: Slot) -> None:
        if self._group is not None and slot not in self._lives:
            slot.leaving.clear()
            # What it logs has nothing to do with the request that has added it.
            nobody = contextvars.Context()
            self._lives[slot] = self._group.create_task(self._keep(slot), context=nobody)

    async def _keep(self, slot: Slot) -> None:
        longest = LONGEST_PAUSE if slot.is_owned else LONGEST_PAUSE_OF_OTHERS
        backoff = Backoff(asyncio.get_running_loop().time, self._jitter, longest)
        try:
            # Not one that has drained.
            while self.registry.try_move(slot, EngineState.STARTING):
                generation, answered = slot.generation, slot.answered
                slot.again.clear()
                slot.struck.clear()
                backoff.started()
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
                if slot.again.is_set() or slot.answered > answered:
                    backoff.reset()
                else:
                    await self._rest(slot, backoff.pause())
        finally:
            del self._lives[slot]
            self._drains.pop(slot, None)
            self.registry.move(slot, EngineState.STOPPED)

    async def _live(self, slot: Slot, generation: int) -> None:
        """Run the engine until it ends, is to end, or is wanted anew."""
        life = asyncio.ensure_future(slot.engine.run(partial(self._on_change, slot, generation)))
        again, struck, leaving = (
            asyncio.ensure_future(event.wait()) for event in (slot.again, slot.struck, slot.leaving)
        )
        try:
            await asyncio.wait([life, again, struck, leaving], return_when=asyncio.FIRST_COMPLETED)
            if slot.state is EngineState.DRAINING:
                await asyncio.wait([life, leaving], return_when=asyncio.FIRST_COMPLETED)
            elif not life.done() and slot.again.is_set():
                self.registry.move(slot, EngineState.STARTING)
                await self.registry.wait_idle(slot, _LAST_ANSWERS_SECONDS)
        finally:
            for one in (again, struck, leaving, life):
                one.cancel()
            await asyncio.wait([life, again, struck, leaving])
        if not life.cancelled():
            life.result()
        elif slot.struck.is_set() and slot.last_error is not None:
            raise slot.last_error.copy()

    async def _rest(self, slot: Slot, pause: float) -> None:
        """Wait so long, or until it is wanted or to leave."""
        waits = [asyncio.ensure_future(one.wait()) for one in (slot.again, slot.leaving)]
        try:
            await asyncio.wait(waits, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.wait(waits)

    def _tell(self, slot: Slot, generation: int, error: LingmaError) -> None:
        self._on_trouble(error)
        self._on_change(slot, generation, error)

    def _on_change(self, slot: Slot, generation: int, error: LingmaError | None) -> None:
        # One that drains stays as it is, whatever its connection does meanwhile.
        if error is None:
            # It may have come back just before its end.
            if not slot.again.is_set():
                self.registry.try_move(slot, EngineState.READY)
        elif slot.generation > generation:
            # It worked and will be back in a moment: requests wait for it.
            self.registry.try_move(slot, EngineState.STARTING, error)
        else:
            # It could not even start: requests fail at once, with the reason.
            self.registry.try_move(slot, EngineState.ERROR, error)
