"""The pool: one slot an engine, its state, and who holds it.

Choosing a slot and taking its lease is one synchronous step: no two requests can see the same
free place. Must not know what a request is or why an engine died.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from lingma_cli.core.chat import ToolRoute
from lingma_cli.core.login import LoginState
from lingma_cli.engines.base import Engine
from lingma_cli.errors import ErrorKind, LingmaError

_RETRY_SECONDS: Final = 2.0
# In doubt an engine is asked, and its answer tells; one that is known to be out comes last.
_RANKS: Final[Mapping[LoginState, int]] = MappingProxyType(
    {LoginState.IN: 0, LoginState.UNKNOWN: 1, LoginState.OUT: 2}
)


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
        account: the account that it is logged in with, empty when it sees to that itself.
        login_hint: what a person can do when its login is missing.
        is_logging_in: a login without a person is under way.
        generation: grows each time the engine gets ready, so that what was true of an earlier
            life can be recognised.
        in_flight: leases out.
        answered: requests it finished well.
        tool_routes: how tools were seen to work, by model.
        last_error: why it is not ready, if it failed.
        again: set when the engine is to be started again.
    """

    engine: Engine
    account: str = ""
    login_hint: str = ""
    is_logging_in: bool = False
    state: EngineState = EngineState.STARTING
    generation: int = 0
    in_flight: int = 0
    answered: int = 0
    tool_routes: dict[str, ToolRoute] = field(default_factory=dict)
    last_error: LingmaError | None = None
    again: asyncio.Event = field(default_factory=asyncio.Event)

    def advised(self, error: LingmaError) -> LingmaError:
        """Return `error`, with the command to run if it is about the login."""
        if error.kind is not ErrorKind.LOGIN_REQUIRED or not self.login_hint:
            return error
        return LingmaError(error.kind, error.message, hint=self.login_hint)


class Registry:
    """All slots of the pool, in a fixed order."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots: Sequence[Slot] = tuple(slots)
        self._changed: asyncio.Event = asyncio.Event()
        self._closed_by: LingmaError | None = None

    def move(self, slot: Slot, state: EngineState, error: LingmaError | None = None) -> None:
        """Set a slot's state and wake whoever waits for one."""
        slot.state = state
        if state is EngineState.READY:
            slot.generation += 1
        if state is not EngineState.STARTING:
            slot.last_error = error
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

    @contextmanager
    def lease(self) -> Iterator[Slot]:
        """Take a ready slot for this context.

        One that is logged in goes first, then the one with the fewest leases, then the first.

        Raises:
            LingmaError: no slot is ready.
        """
        ready = [slot for slot in self.slots if slot.state is EngineState.READY]
        if not ready:
            raise self._unready()
        slot = min(ready, key=lambda slot: (_RANKS[slot.engine.login], slot.in_flight))
        slot.in_flight += 1
        try:
            yield slot
        finally:
            slot.in_flight -= 1
            if slot.state is not EngineState.READY:
                self.wake()

    async def wait_ready(self, within: float) -> None:
        """Wait until a slot can serve, or until none will: without a login the engine says so.

        Args:
            within: seconds to wait while one is starting or logging in.

        Raises:
            LingmaError: time is up, or every engine failed to start and rests before the next try.
        """
        try:
            async with asyncio.timeout(within):
                while not any(map(_can_serve, self.slots)):
                    if self._closed_by is not None:
                        raise self._closed_by
                    if not any(map(_is_coming, self.slots)):
                        break
                    await self._changed.wait()
        except TimeoutError:
            pass
        if not any(slot.state is EngineState.READY for slot in self.slots):
            raise self._unready()

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

    def _unready(self) -> LingmaError:
        for slot in self.slots:
            if slot.last_error is not None:
                return slot.last_error
        return LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE, "no engine is ready", retry_after=_RETRY_SECONDS
        )


def _can_serve(slot: Slot) -> bool:
    return slot.state is EngineState.READY and slot.engine.login is not LoginState.OUT


def _is_coming(slot: Slot) -> bool:
    is_ready = slot.state is EngineState.READY
    return slot.state is EngineState.STARTING or (is_ready and slot.is_logging_in)
