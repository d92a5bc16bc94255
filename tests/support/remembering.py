"""An engine with sessions, a house over it, and the two turns of a short conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, TypeVar

from lingma_cli.core.chat import ChatRequest, Model
from lingma_cli.core.record import ReuseReason
from lingma_cli.engines.base import Ask
from lingma_cli.sessions.upstream import SessionLimits
from tests.support.house import House
from tests.support.scripted_engine import Script, ScriptedAsk, ScriptedEngine
from tests.support.talks import turns
from tests.support.tool_turns import STOP, said
from tests.support.virtual_time import run, settle

T = TypeVar("T")
LIMITS: Final = SessionLimits(entries=256, seconds=1800, bytes=1 << 20)
MODELS: Final = (
    Model(key="org_auto", name="Auto", is_default=True),
    Model(key="other", name="Other"),
)


class RememberingAsk(ScriptedAsk):
    """An ask whose session can be kept once it has ended."""

    session = ""
    is_kept = False

    def keep_session(self) -> str | None:
        """Keep it."""
        self.is_kept = True
        return self.session


class RememberingEngine(ScriptedEngine):
    """A scripted engine with sessions, `s1`, `s2`, …

    Attributes:
        dropped: the sessions that it was told to forget, or whose ask was left without keeping.
    """

    def __init__(self, *scripts: Script, name: str = "scripted") -> None:
        super().__init__([[said("yes"), STOP]], name=name, scripts=scripts, models=MODELS)
        self.dropped: list[str] = []
        self._sessions = 0

    def drop_session(self, session: str) -> None:
        """Forget one."""
        self.dropped.append(session)

    @asynccontextmanager
    async def ask(self, request: ChatRequest) -> AsyncIterator[Ask]:
        """Open an ask in a session."""
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        self.open_asks += 1
        ask = RememberingAsk(self._scripts.pop(0) if self._scripts else self._script, ())
        self._sessions += request.session is None
        ask.session = request.session or f"s{self._sessions}"
        try:
            yield ask
        finally:
            self.open_asks -= 1
            if not ask.is_kept:
                self.dropped.append(ask.session)


def talk(*lines: str, **more: object) -> ChatRequest:
    """Return a request with these turns; see `turns`."""
    request = ChatRequest(model="org_auto", messages=turns(*lines))
    return replace(request, **more)  # type: ignore[arg-type]


def housed(
    play: Callable[[House, RememberingEngine], Awaitable[T]],
    *scripts: Script,
    limits: SessionLimits | None = LIMITS,
    more: Sequence[ScriptedEngine] = (),
) -> T:
    """Run `play`; afterwards nothing is held."""

    async def main() -> T:
        engine = RememberingEngine(*scripts)
        house = House(engine, *more, sessions=limits)
        sweeping = asyncio.ensure_future(house.gateway.reuse.run())
        await settle()
        found = await play(house, engine)
        sweeping.cancel()
        await asyncio.wait([sweeping])
        house.assert_nothing_is_held()
        return found

    return run(main())


def reason(house: House) -> ReuseReason:
    """Return why the last turn went on in a session, or did not."""
    return house.records[-1].reuse.reason


FIRST: Final = talk("s:be brief", "u:1")
SECOND: Final = talk("s:be brief", "u:1", "a:yes", "u:2")
