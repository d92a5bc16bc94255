"""One engine's place in the pool: its state, its load, and how far it is trusted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from lingma_cli.control.breaker import Breaker, BreakerOptions
from lingma_cli.control.cooldown import Cooldown, CooldownOptions
from lingma_cli.control.lifecycle import EngineState
from lingma_cli.control.persisted import Entry
from lingma_cli.core.chat import ToolRoute
from lingma_cli.core.login import LoginState
from lingma_cli.engines.base import Engine
from lingma_cli.errors import ErrorKind, LingmaError

# In doubt an engine is asked, and its answer tells; one that is known to be out comes last.
_RANKS: Final[Mapping[LoginState, int]] = MappingProxyType(
    {LoginState.IN: 0, LoginState.UNKNOWN: 1, LoginState.OUT: 2}
)
# What an engine owes. A bad request, a missing login and a used-up quota are others' doing.
_ITS_FAULT: Final = frozenset(
    {ErrorKind.ENGINE_FAILED, ErrorKind.ENGINE_TIMEOUT, ErrorKind.ENGINE_UNAVAILABLE}
)


def _breaker() -> Breaker:
    return Breaker(BreakerOptions(), time.monotonic)


def _cooldown() -> Cooldown:
    return Cooldown(CooldownOptions(), time.monotonic)


@dataclass(slots=True, kw_only=True, eq=False)
class Slot:
    """One engine of the pool.

    Attributes:
        id: the same for as long as the engine belongs to the pool, also over restarts of the
            server; the engine's name unless given.
        account: the account that it is logged in with, empty when it sees to that itself.
        login_hint: what a person can do when its login is missing.
        is_logging_in: a login without a person is under way.
        is_owned: we start and stop what answers, so that one that fails can be started again.
        limit: leases out at a time, 0 for any number.
        kind: what it is for: `llm` or `embedding`.
        entry: what was said when it was added; `None` for engines that come from elsewhere.
        is_remembered: its entry stands on disk, and brings it back with the next start.
        policy: how one is chosen among engines like this, unless something else is configured.
        reason: what its state is due to, for a person.
        generation: grows each time the engine gets ready, so that what was true of an earlier
            life can be recognised.
        in_flight: leases out.
        answered: requests it finished well.
        created: when it was added, seconds since 1970 like the other moments.
        ready_at: when it got ready last.
        last_heartbeat: when it last got ready or answered a request or a check.
        wall_clock: tells these moments.
        tool_routes: how tools were seen to work, by model.
        last_error: why it is not ready, if it failed.
        again: set when the engine is to be started again.
        struck: set when its checks have failed, and its life is to end as a failure.
        leaving: set when its life is to end, and no other to begin.
    """

    engine: Engine
    id: str = ""
    account: str = ""
    login_hint: str = ""
    is_logging_in: bool = False
    is_owned: bool = True
    limit: int = 0
    kind: str = "llm"
    entry: Entry | None = None
    is_remembered: bool = False
    policy: str = "affinity"
    state: EngineState = EngineState.STARTING
    reason: str = "it has been added"
    generation: int = 0
    in_flight: int = 0
    answered: int = 0
    wall_clock: Callable[[], float] = time.time
    created: float = 0.0
    ready_at: float | None = None
    last_heartbeat: float | None = None
    tool_routes: dict[str, ToolRoute] = field(default_factory=dict)
    last_error: LingmaError | None = None
    breaker: Breaker = field(default_factory=_breaker)
    cooldown: Cooldown = field(default_factory=_cooldown)
    again: asyncio.Event = field(default_factory=asyncio.Event)
    struck: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.id = self.id or self.engine.name
        self.created = self.created or self.wall_clock()

    @property
    def is_full(self) -> bool:
        """Whether it has no place free."""
        return 0 < self.limit <= self.in_flight

    @property
    def is_free(self) -> bool:
        """Whether a lease can be had now, be it the last choice."""
        is_ready = self.state is EngineState.READY
        return is_ready and not self.is_full and self.breaker.admits()

    @property
    def is_out(self) -> bool:
        """Whether it would refuse a request, as far as is known: no quota, or no login."""
        return self.cooldown.is_cold or self.engine.login is LoginState.OUT

    @property
    def rank(self) -> tuple[bool, int]:
        """How good a choice it is, the least is the best: a quota, a login.

        Only an answer tells that a quota or a login is back, so the worst is better than none.
        """
        return self.cooldown.is_cold, _RANKS[self.engine.login]

    def advised(self, error: LingmaError) -> LingmaError:
        """Return `error`, with the command to run if it is about the login."""
        if error.kind is not ErrorKind.LOGIN_REQUIRED or not self.login_hint:
            return error
        return LingmaError(error.kind, error.message, hint=self.login_hint)

    def heard(self, error: LingmaError | None) -> None:
        """Take note of what became of a request; see `Registry.heard`."""
        if error is None:
            self.last_heartbeat = self.wall_clock()
            self.breaker.succeeded()
            self.cooldown.succeeded()
        elif error.kind is ErrorKind.QUOTA_EXCEEDED:
            self.cooldown.freeze(error)
        elif error.kind in _ITS_FAULT:
            self.breaker.failed()
