"""The pool: one slot an engine, its state, and who holds it.

Choosing a slot and taking its lease is one synchronous step: no two requests can see the same
free place. Must not know what a request is or why an engine died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from typing import Final

from lingma_cli.control.breaker import BreakerState
from lingma_cli.control.lifecycle import EngineState, may_move, reason_of
from lingma_cli.control.slot import Slot
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError

__all__ = ["Choose", "EngineState", "Registry", "Serves", "Slot", "everybody", "fewest_in_flight"]

_RETRY_SECONDS: Final = 2.0
# How long an engine that has failed too often is left alone if there is no other.
_LEAST_REST_SECONDS: Final = 2.0

Choose = Callable[[Sequence[Slot], AbstractSet[str]], Slot | None]
"""Chooses a slot: given all that serve the request, in their order, and the ids of those that may
be chosen; at least one may. `None` for none of them."""


def fewest_in_flight(slots: Sequence[Slot], eligible: AbstractSet[str]) -> Slot | None:
    """Choose the slot with the fewest leases, of equals the first."""
    able = [slot for slot in slots if slot.id in eligible]
    return min(able, key=lambda slot: slot.in_flight, default=None)


Serves = Callable[[Sequence[Slot]], Sequence[Slot]]
"""Returns those of all slots, in their order, that have what a request needs."""


def everybody(slots: Sequence[Slot]) -> Sequence[Slot]:
    """Return all slots: the request needs nothing special."""
    return slots


class Registry:
    """All slots of the pool, in the order in which they came.

    Raises:
        LingmaError: two of them share a name.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots: Sequence[Slot] = ()
        self._changed: asyncio.Event = asyncio.Event()
        self._closed_by: LingmaError | None = None
        for slot in slots:
            self.add(slot)

    # who belongs to it

    def add(self, slot: Slot) -> None:
        """Take in one more.

        Raises:
            LingmaError: its id or its engine's name is taken.
        """
        taken = {name for known in self.slots for name in (known.id, known.engine.name)}
        if taken & {slot.id, slot.engine.name}:
            raise LingmaError(
                ErrorKind.CONFLICT, f"there is an engine `{slot.engine.name}` already"
            )
        self.slots = (*self.slots, slot)
        self.wake()

    def remove(self, slot: Slot) -> None:
        """Forget one that has stopped.

        Raises:
            LingmaError: it has not.
        """
        if slot.state is not EngineState.STOPPED:
            raise LingmaError(
                ErrorKind.CONFLICT, f"the engine `{slot.engine.name}` has not stopped"
            )
        self.slots = tuple(known for known in self.slots if known is not slot)
        self.wake()

    def find(self, name: str) -> Slot:
        """Return the slot with this id, or whose engine is called so.

        Raises:
            LingmaError: there is none.
        """
        for slot in self.slots:
            if name in (slot.id, slot.engine.name):
                return slot
        raise LingmaError(
            ErrorKind.NOT_FOUND,
            f"there is no engine `{name}`",
            hint="run `lingma engine list` for those that are there",
        )

    # how it goes

    def move(self, slot: Slot, state: EngineState, error: LingmaError | None = None) -> None:
        """Set a slot's state and wake whoever waits for one.

        Raises:
            ValueError: no life goes that way.
        """
        if slot.state is not state:
            reason = reason_of(slot.state, state)
            slot.state, slot.reason = state, reason
            if state is EngineState.READY:
                slot.generation += 1
                slot.ready_at = slot.last_heartbeat = slot.wall_clock()
                # A new life has no past.
                slot.breaker.reset()
        if error is not None:
            slot.reason = error.message
        if state is not EngineState.STARTING:
            slot.last_error = error
        self.wake()

    def try_move(self, slot: Slot, state: EngineState, error: LingmaError | None = None) -> bool:
        """Move a slot if its life goes that way, and tell whether it does."""
        if not may_move(slot.state, state):
            return False
        self.move(slot, state, error)
        return True

    def begun(self, slot: Slot) -> None:
        """Take note of an answer that has begun."""
        if slot.breaker.state is not BreakerState.CLOSED:
            slot.breaker.begun()
            self.wake()

    def heard(self, slot: Slot, error: LingmaError | None) -> None:
        """Take note of what became of a request, while its lease is out.

        Args:
            slot: whose engine was asked.
            error: why it went wrong, at whatever point; `None` for an answer with its end.
        """
        was_closed = slot.breaker.state is BreakerState.CLOSED
        slot.heard(error)
        if not was_closed:
            # Somebody may wait for the end of a probe.
            self.wake()

    def close(self, error: LingmaError) -> None:
        """Send away whoever waits for a slot, and whoever comes."""
        self._closed_by = error
        self.wake()

    def wake(self) -> None:
        """Let everybody who waits look again: something has changed about a slot."""
        self._changed.set()
        self._changed = asyncio.Event()

    def next_change(self) -> asyncio.Event:
        """Return what is set when something changes from now on."""
        return self._changed

    # leases

    @contextmanager
    def lease(
        self,
        choose: Choose = fewest_in_flight,
        *,
        serves: Serves = everybody,
        avoid: Collection[str] = (),
    ) -> Iterator[Slot]:
        """Take a ready slot for this context.

        Those that have quota and are logged in go before those that are not; among equals `choose`
        decides.

        Args:
            choose: see `Choose`.
            serves: see `Serves`.
            avoid: ids of slots that must not be chosen.

        Raises:
            LingmaError: no slot can be had.
        """
        slots = serves(self.slots)
        able = [slot for slot in slots if slot.id not in avoid]
        _relent(able)
        free = [slot for slot in able if slot.is_free]
        best = min((slot.rank for slot in free), default=None)
        eligible = {slot.id for slot in free if slot.rank == best}
        slot = choose(slots, eligible) if eligible else None
        if slot is None or slot.id not in eligible:
            raise _unfit() if eligible else _unready(able)
        probe, asked = slot.breaker.enter(), slot.cooldown.enter()
        slot.in_flight += 1
        try:
            yield slot
        finally:
            slot.in_flight -= 1
            slot.breaker.leave(probe)
            slot.cooldown.leave(asked)
            if slot.state is not EngineState.READY or slot.limit or probe is not None:
                self.wake()

    async def wait_ready(
        self, within: float, *, serves: Serves = everybody, avoid: Collection[str] = ()
    ) -> None:
        """Wait until a slot can serve, or until none will: without a login the engine says so.

        Args:
            within: seconds to wait while one is starting, logging in, or busy.
            serves: see `lease`.
            avoid: see `lease`.

        Raises:
            LingmaError: time is up, or every engine failed to start and rests before the next try.
        """

        def wanted() -> list[Slot]:
            return [slot for slot in serves(self.slots) if slot.id not in avoid]

        _relent(wanted())
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not any(map(_can_serve, wanted())):
                    if self._closed_by is not None:
                        raise self._closed_by.copy()
                    if not any(map(_is_coming, wanted())):
                        break
                    await self._changed.wait()
        if not any(slot.is_free for slot in wanted()):
            raise _unready(wanted())

    def has_good(self, *, serves: Serves = everybody, avoid: Collection[str] = ()) -> bool:
        """Tell whether a slot can be had now that is not known to refuse; see `lease`."""
        wanted = (slot for slot in serves(self.slots) if slot.id not in avoid)
        return any(slot.is_free and not slot.is_out for slot in wanted)

    async def wait_idle(self, slot: Slot, within: float) -> None:
        """Wait until a slot that is not ready any more has no lease out.

        Args:
            slot: the slot.
            within: seconds to wait at most.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while slot.in_flight:
                    await self._changed.wait()


def _unready(slots: Sequence[Slot]) -> LingmaError:
    """Return why none of these can be had: those that are ready tell more than broken ones."""
    ready = [slot for slot in slots if slot.state is EngineState.READY]
    if any(slot.is_full for slot in ready):
        return LingmaError(
            ErrorKind.OVERLOADED, "every engine is at its limit", retry_after=_RETRY_SECONDS
        )
    if ready:
        return LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE,
            "every engine has failed too often and is left alone for a moment",
            retry_after=_RETRY_SECONDS,
        )
    for slot in slots:
        if slot.last_error is not None:
            return slot.last_error.copy()
    return LingmaError(
        ErrorKind.ENGINE_UNAVAILABLE, "no engine is ready", retry_after=_RETRY_SECONDS
    )


def _unfit() -> LingmaError:
    """Return why none was chosen of those that can be had: only a header asks for one of them."""
    return LingmaError(
        ErrorKind.ENGINE_UNAVAILABLE,
        "no engine that can be had fits the request's routing header",
        retry_after=_RETRY_SECONDS,
    )


def _relent(slots: Sequence[Slot]) -> None:
    """Let one request at a time try those that are only not trusted, if nobody else can serve."""
    if not any(slot.is_free for slot in slots):
        for slot in slots:
            slot.breaker.relent(_LEAST_REST_SECONDS)


def _can_serve(slot: Slot) -> bool:
    return slot.is_free and slot.engine.login is not LoginState.OUT


def _is_coming(slot: Slot) -> bool:
    is_ready = slot.state is EngineState.READY
    is_probed = slot.breaker.state is BreakerState.HALF_OPEN
    is_awaited = slot.is_logging_in or slot.is_full or is_probed
    return slot.state is EngineState.STARTING or (is_ready and is_awaited)
