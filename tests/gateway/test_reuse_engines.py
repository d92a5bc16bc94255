"""Conversations that go on in a session: the engine that has it, or has it no more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from lingma_cli.control.registry import EngineState
from lingma_cli.core.chat import Model
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.core.login import LoginState
from lingma_cli.core.notes import codes
from lingma_cli.core.record import ReuseReason
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.model_names import ModelRules
from tests.support.house import House
from tests.support.remembering import (
    FIRST,
    LIMITS,
    SECOND,
    RememberingEngine,
    housed,
    reason,
    talk,
)
from tests.support.scripted_engine import SILENCE, Script, ScriptedEngine
from tests.support.tool_turns import STOP, said
from tests.support.virtual_time import run, settle

BROKEN = LingmaError(ErrorKind.ENGINE_FAILED, "what session?")


def _words(events: Sequence[ChatEvent]) -> str:
    answer = Collector()
    answer.feed(events)
    return answer.text()


def test_the_pin_beats_the_policy() -> None:
    """A conversation stays with its engine, however busy that is."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        house.registry.slots[0].in_flight = 5
        await house.ask(SECOND)
        house.registry.slots[0].in_flight = 0
        assert house.records[-1].engine == "scripted"
        assert engine.asked[-1].session == "s1"

    housed(play, more=[RememberingEngine(name="idle")])


def _restart(house: House) -> None:
    slot = house.registry.slots[0]
    house.registry.move(slot, EngineState.STARTING)
    house.registry.move(slot, EngineState.READY)


def _log_out(house: House) -> None:
    engine = house.registry.slots[0].engine
    assert isinstance(engine, RememberingEngine)
    engine.login = LoginState.OUT


def _drain(house: House) -> None:
    house.registry.move(house.registry.slots[0], EngineState.DRAINING)


def _fill(house: House) -> None:
    house.registry.slots[0].limit = 1
    house.registry.slots[0].in_flight = 1


def _freeze(house: House) -> None:
    house.registry.slots[0].cooldown.freeze(LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up"))


CHANGES = [_restart, _log_out, _drain, _fill, _freeze]


@pytest.mark.parametrize("change", CHANGES)
def test_an_engine_that_cannot_go_on_is_no_pin(change: Callable[[House], None]) -> None:
    """Everything is sent to whom the policy chooses, and the session is given up."""

    async def play(house: House, engine: RememberingEngine) -> None:
        other = house.registry.slots[1].engine
        assert isinstance(other, ScriptedEngine)
        await house.ask(FIRST)
        change(house)
        await house.ask(SECOND)
        asked = (engine.asked[1:] or other.asked)[-1]
        assert (asked.session, asked.messages) == (None, SECOND.messages)
        assert (reason(house), engine.dropped) == (ReuseReason.ENGINE_CHANGED, ["s1"])
        house.registry.slots[0].in_flight = 0

    housed(play, more=[RememberingEngine(name="other")])


def _two_models(*, default: str) -> RememberingEngine:
    engine = RememberingEngine(name="b")
    engine.models = [Model(key=key, name=key, is_default=key == default) for key in ("b", "b2")]
    return engine


@pytest.mark.parametrize("default", ["b", "b2"])
def test_a_session_with_a_stand_in_lasts_as_long_as_that_is_needed(default: str) -> None:
    """It goes on with that model, and is given up when the model that was asked for is back."""

    async def main() -> None:
        engine = _two_models(default=default)
        own = RememberingEngine(name="a")
        own.models = [Model(key="org_auto", name="Auto")]
        names = ModelRules(default="org_auto", fallbacks=[("org_auto", "b2")])
        house = House(own, engine, sessions=LIMITS, names=names)
        first = house.registry.slots[0]
        house.registry.move(first, EngineState.ERROR, BROKEN)
        await house.ask(FIRST)
        await house.ask(SECOND)
        house.registry.move(first, EngineState.STARTING)
        house.registry.move(first, EngineState.READY)
        await house.ask(talk("s:be brief", "u:1", "a:yes", "u:2", "a:yes", "u:3"))
        told = [(one.engine, one.model, codes(one.notes)) for one in house.records]
        stood_in = ("b", "b2", ("model_fallback",))
        assert told == [stood_in, stood_in, ("a", "org_auto", ())]
        reasons = [record.reuse.reason for record in house.records]
        assert reasons[1:] == [ReuseReason.CONTINUED, ReuseReason.OTHER_SETTINGS]
        assert engine.dropped == ["s1"]

    run(main())


def test_who_stands_in_for_an_engine_without_sessions_keeps_its_own() -> None:
    """The record says what is true of the engine that served."""

    async def main() -> None:
        without = ScriptedEngine([[Failed(error=BROKEN)]], name="a")
        house = House(without, RememberingEngine(name="b"), sessions=LIMITS)
        await house.ask(FIRST)
        assert reason(house) is ReuseReason.FIRST_TURN
        house.registry.move(house.registry.slots[0], EngineState.ERROR, BROKEN)
        await house.ask(SECOND)
        assert reason(house) is ReuseReason.CONTINUED

    run(main())


def test_a_new_engine_of_the_same_name_knows_nothing() -> None:
    """Its count of lives begins anew, so the sessions go with the old one."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        (slot,) = house.registry.slots
        house.registry.move(slot, EngineState.STOPPED)
        house.registry.remove(slot)
        await asyncio.sleep(2)
        slot.generation = 0
        house.registry.add(slot)
        house.registry.move(slot, EngineState.STARTING)
        house.registry.move(slot, EngineState.READY)
        await house.ask(SECOND)
        assert engine.asked[-1].session is None

    housed(play)


def test_an_engine_without_sessions() -> None:
    """It gets everything each time, and the record says why."""

    async def main() -> None:
        engine = ScriptedEngine([[said("yes"), STOP]])
        house = House(engine, sessions=LIMITS)
        for request in (FIRST, SECOND):
            await house.ask(request)
            assert engine.asked[-1].messages == request.messages
        assert reason(house) is ReuseReason.NO_MEMORY

    run(main())


def test_an_engine_that_has_forgotten() -> None:
    """Before its first word everything is sent anew; the client sees one answer."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        assert _words(await house.ask(SECOND)) == "again"
        assert reason(house) is ReuseReason.SESSION_LOST
        assert [asked.session for asked in engine.asked] == [None, "s1", None]
        assert engine.asked[-1].messages == SECOND.messages
        assert engine.dropped == ["s1"]
        await house.ask(talk("s:be brief", "u:1", "a:yes", "u:2", "a:again", "u:3"))
        assert engine.asked[-1].session == "s2"

    housed(play, [[said("yes"), STOP]], [[Failed(error=BROKEN)]], [[said("again"), STOP]])


QUOTA = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")
BAD_ENDS = {
    "after a word": [[said("y")], [Failed(error=BROKEN)]],
    "quota": [[Failed(error=QUOTA)]],
}


@pytest.mark.parametrize("script", BAD_ENDS.values(), ids=BAD_ENDS.keys())
def test_other_failures_are_the_client_s(script: Script) -> None:
    """Nothing is asked twice that may have been heard, or that would fail again."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        events = await house.ask(SECOND)
        assert isinstance(events[-1], Failed)
        assert len(engine.asked) == 2
        assert engine.dropped == ["s1"]

    housed(play, [[said("yes"), STOP]], script)


def test_aborting_a_turn_in_a_session() -> None:
    """Its reason is the end, and nothing is asked anew."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        asking = asyncio.ensure_future(house.ask(SECOND))
        await settle()
        house.gateway.abort(BROKEN)
        assert Failed(error=BROKEN) == (await asking)[-1]
        assert len(engine.asked) == 2

    housed(play, [[said("yes"), STOP]], [SILENCE])


def test_an_ask_that_is_refused_gives_the_session_up() -> None:
    """Nobody would ask for it any more."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        engine.refusal = QUOTA
        with pytest.raises(LingmaError):
            await house.ask(SECOND)
        assert engine.dropped == ["s1"]

    housed(play)
