"""Where a request is served: whom it waits for, and who stands in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from lingma_cli.control.registry import EngineState, Slot
from lingma_cli.core.chat import Model
from lingma_cli.core.events import BlockDelta, BlockKind, Failed, Finished, FinishReason
from lingma_cli.core.login import LoginState
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.model_names import ModelRules
from tests.support.house import REQUEST, House
from tests.support.scripted_engine import Script, ScriptedEngine
from tests.support.virtual_time import now, run, settle

TEXT = BlockDelta(kind=BlockKind.TEXT, text="fine")
GOOD: Script = [[TEXT], [Finished(reason=FinishReason.STOP)]]
BROKEN: Script = [[Failed(error=LingmaError(ErrorKind.ENGINE_FAILED, "broke"))]]
QUOTA = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")
STAND_IN = ModelRules(default="auto", fallbacks=[("auto", "tiny")])


def _engine(name: str, model: str, script: Script = GOOD) -> ScriptedEngine:
    return ScriptedEngine(script, name=name, models=[Model(key=model, name=model)])


def _freeze(house: House, slot: Slot) -> None:
    slot.cooldown.freeze(QUOTA)


def _fail(house: House, slot: Slot) -> None:
    house.registry.move(slot, EngineState.ERROR, LingmaError(ErrorKind.ENGINE_FAILED, "no start"))


def _log_out(house: House, slot: Slot) -> None:
    assert isinstance(slot.engine, ScriptedEngine)
    slot.engine.login = LoginState.OUT


def _drain(house: House, slot: Slot) -> None:
    house.registry.move(slot, EngineState.DRAINING)


@pytest.mark.parametrize("put_out", [_freeze, _fail, _log_out, _drain])
def test_another_model_stands_in_while_all_engines_are_out(
    put_out: Callable[[House, Slot], None],
) -> None:
    """Not while one of them is there; and the client is told."""

    async def main() -> None:
        house = House(
            _engine("a", "auto"), _engine("b", "auto"), _engine("c", "tiny"), names=STAND_IN
        )
        a, b, _ = house.registry.slots
        for slot in (a, b):
            await house.ask(replace(REQUEST, model="auto"))
            put_out(house, slot)
        await house.ask(replace(REQUEST, model="auto"))
        served = [(record.engine, record.model, codes(record.notes)) for record in house.records]
        assert served == [
            ("a", "auto", ()),
            ("b", "auto", ()),
            ("c", "tiny", ("model_fallback",)),
        ]
        house.assert_nothing_is_held()

    run(main())


def test_when_nobody_can_stand_in_the_model_s_own_trouble_is_told() -> None:
    """It is what its user can do something about."""

    async def main() -> None:
        house = House(_engine("a", "auto"), _engine("b", "tiny"), names=STAND_IN)
        for slot in house.registry.slots:
            _fail(house, slot)
        with pytest.raises(LingmaError, match="no start"):
            await house.ask(replace(REQUEST, model="auto"))

    run(main())


def test_who_fails_before_a_word_is_stood_in_for() -> None:
    """First by another engine of the model, then by another model."""

    async def main() -> None:
        house = House(
            _engine("a", "auto", BROKEN),
            _engine("b", "tiny"),
            _engine("c", "auto", BROKEN),
            names=STAND_IN,
        )
        house.registry.slots[0].limit = 1
        await house.ask(replace(REQUEST, model="auto"))
        # A question that two engines took and failed on is not put to a third.
        assert [attempt.engine for attempt in house.records[0].attempts] == ["a", "c"]
        alone = House(_engine("a", "auto", BROKEN), _engine("b", "tiny"), names=STAND_IN)
        await alone.ask(replace(REQUEST, model="auto"))
        assert [attempt.engine for attempt in alone.records[0].attempts] == ["a", "b"]
        assert codes(alone.records[0].notes) == ("model_fallback",)

    run(main())


def test_an_unknown_name_waits_for_who_may_have_the_default() -> None:
    """The engine that is there already would put its own model in its place."""

    async def main() -> None:
        house = House(_engine("a", "tiny"), _engine("b", "auto"), names=ModelRules(default="auto"))
        slot = house.registry.slots[1]
        house.registry.move(slot, EngineState.STARTING)
        asking = asyncio.ensure_future(house.ask(replace(REQUEST, model="gpt-4o")))
        await settle()
        assert not asking.done()
        house.registry.move(slot, EngineState.READY)
        await asking
        assert house.records[0].engine == "b"

    run(main())


def test_nobody_waits_for_an_engine_that_is_not_meant() -> None:
    """Its start takes as long as it takes."""

    async def main() -> None:
        house = House(_engine("a", "tiny"), _engine("b", "auto"), names=ModelRules(default="auto"))
        house.registry.move(house.registry.slots[1], EngineState.STARTING)
        started = now()
        await house.ask(replace(REQUEST, model="tiny"))
        assert (house.records[0].engine, now() - started) == ("a", 0)

    run(main())


def test_a_model_s_busy_engines_are_waited_for() -> None:
    """Not those of another model, which are free."""

    async def main() -> None:
        house = House(_engine("a", "auto"), _engine("b", "tiny"), names=ModelRules(default="auto"))
        slot = house.registry.slots[0]
        slot.limit = 1
        with house.registry.lease(serves=lambda slots: slots[:1]):
            asking = asyncio.ensure_future(house.ask(replace(REQUEST, model="auto")))
            await settle()
            assert not asking.done()
        await asking
        assert house.records[0].engine == "a"

    run(main())


def test_who_waited_gets_what_the_engine_turns_out_to_have() -> None:
    """Its list comes with its start."""

    async def main() -> None:
        late = _engine("b", "late")
        late.models = ()
        house = House(_engine("a", "tiny"), late, names=ModelRules(default="auto"))
        slot = house.registry.slots[1]
        house.registry.move(slot, EngineState.STARTING)
        asking = asyncio.ensure_future(house.ask(replace(REQUEST, model="late")))
        await settle()
        late.models = [Model(key="auto", name="Auto", is_default=True), Model(key="late", name="L")]
        house.registry.move(slot, EngineState.READY)
        await asking
        assert (house.records[0].model, codes(house.records[0].notes)) == ("late", ())

    run(main())


def test_a_stand_in_that_rests_is_better_than_nobody() -> None:
    """Its own model would be served by it too: only an answer tells."""

    async def main() -> None:
        house = House(_engine("a", "auto"), _engine("b", "tiny"), names=STAND_IN)
        _fail(house, house.registry.slots[0])
        _freeze(house, house.registry.slots[1])
        for model in ("tiny", "auto"):
            house.registry.slots[1].cooldown.freeze(QUOTA)
            await house.ask(replace(REQUEST, model=model))
        assert [record.engine for record in house.records] == ["b", "b"]

    run(main())


def test_an_empty_pool_says_so() -> None:
    """At once."""

    async def main() -> float:
        with pytest.raises(LingmaError) as caught:
            await House().ask()
        assert caught.value.kind is ErrorKind.ENGINE_UNAVAILABLE
        return now()

    assert run(main()) == 0
