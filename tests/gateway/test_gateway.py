"""The loop that every request goes through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from lingma_cli.control.registry import EngineState
from lingma_cli.core.chat import AskMode, Model, ToolRoute
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.core.notes import Note, NoteCode, codes
from lingma_cli.core.record import Attempt, Record, Reuse, ReuseReason, Timings
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.pipeline import ToolOptions
from lingma_cli.gateway.router import PolicyRules
from lingma_cli.metrics.tallies import Totals
from tests.support.house import REQUEST, House
from tests.support.scripted_engine import SILENCE, Script, ScriptedEngine
from tests.support.strategies import is_sentence
from tests.support.virtual_time import now, run, settle

USAGE = Usage(input_tokens=1, output_tokens=2)
STOP = Finished(reason=FinishReason.STOP)
TEXT = BlockDelta(kind=BlockKind.TEXT, text="a" * 8)
DROPPED = Note(code=NoteCode.PART_DROPPED, text="y")
TROUBLE = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")


def _answers(script: Script, **options: object) -> ScriptedEngine:
    return ScriptedEngine(script, **options)  # type: ignore[arg-type]


def test_a_good_answer() -> None:
    """Events come sealed, everything taken is back, and one record tells the story."""

    async def main() -> tuple[list[ChatEvent], Record, Totals]:
        note = Note(code=NoteCode.SAMPLING_IGNORED, text="x")
        engine = _answers([[TEXT], [UsageReported(usage=USAGE), STOP]], notes=[note])
        house = House(engine)
        events = await house.ask(
            replace(REQUEST, notes=(Note(code=NoteCode.PART_DROPPED, text="y"),))
        )
        house.assert_nothing_is_held()
        assert house.registry.slots[0].answered == 1
        (record,) = house.records
        return events, record, house.gateway.tallies.totals

    expected = Record(
        id="r1",
        caller="key-1",
        protocol="openai_chat",
        model="org_auto",
        engine="scripted",
        notes=(
            Note(code=NoteCode.PART_DROPPED, text="y"),
            Note(code=NoteCode.SAMPLING_IGNORED, text="x"),
        ),
        attempts=(Attempt(engine="scripted", generation=1),),
        reuse=Reuse(reason=ReuseReason.OFF),
        timings=Timings(queued=0.0, leased=0.0, first_event=0.0, total=0.0),
        usage=USAGE,
        end="stop",
    )

    events, record, totals = run(main())

    assert is_sentence(events)
    assert expected == record
    assert Totals(requests=1, success=1, tokens_estimated=3) == totals


def test_an_engine_that_does_not_count() -> None:
    """An estimate comes before the end, is recorded, and is noted as one."""

    async def main() -> tuple[list[ChatEvent], Record]:
        house = House(_answers([[TEXT, STOP]], reports_usage=False))
        return await house.ask(), house.records[0]

    usage = Usage(input_tokens=10, output_tokens=2, estimated=True)

    events, record = run(main())

    assert UsageReported(usage=usage) in events
    assert (usage, ("usage_estimated",)) == (record.usage, codes(record.notes))


def test_usage_that_comes_early_is_recorded() -> None:
    """Counts count wherever in a batch they stand."""

    async def main() -> Record:
        house = House(_answers([[Started(model="m"), UsageReported(usage=USAGE), TEXT, STOP]]))
        await house.ask()
        return house.records[0]

    assert run(main()).usage == USAGE


ENDINGS: dict[str, tuple[Script, str, ErrorKind | None]] = {
    "length": ([[TEXT, Finished(reason=FinishReason.LENGTH)]], "length", None),
    "failure first": ([[Failed(error=TROUBLE)]], "quota_exceeded", ErrorKind.QUOTA_EXCEEDED),
    "failure after text": (
        [[TEXT], [Failed(error=TROUBLE)]],
        "quota_exceeded",
        ErrorKind.QUOTA_EXCEEDED,
    ),
    "just stops": ([], "engine_failed", ErrorKind.ENGINE_FAILED),
    "just stops after text": ([[TEXT]], "engine_failed", ErrorKind.ENGINE_FAILED),
    "raises first": ([TROUBLE], "quota_exceeded", ErrorKind.QUOTA_EXCEEDED),
    "raises after text": ([[TEXT], TROUBLE], "quota_exceeded", ErrorKind.QUOTA_EXCEEDED),
    "ends twice": ([[TEXT, STOP, STOP], [Failed(error=TROUBLE)]], "stop", None),
}


@pytest.mark.parametrize(("script", "end", "kind"), ENDINGS.values(), ids=ENDINGS.keys())
def test_every_end_is_told_once_and_gives_everything_back(
    script: Script, end: str, kind: ErrorKind | None
) -> None:
    """Whatever the engine does, the stream is a sentence and the record names its end."""

    async def main() -> tuple[list[ChatEvent], Record, Totals]:
        house = House(_answers(script))
        events = await house.ask()
        house.assert_nothing_is_held()
        assert (kind is None) == house.registry.slots[0].answered
        return events, house.records[0], house.gateway.tallies.totals

    events, record, totals = run(main())

    assert is_sentence(events)
    assert (end, "" if kind is None else end) == (record.end, record.attempts[-1].error)
    assert (1, int(kind is None), int(kind is not None), 0) == (
        totals.requests,
        totals.success,
        totals.error,
        totals.cancelled,
    )


@pytest.mark.parametrize("script", [[SILENCE], [[TEXT], SILENCE]], ids=["before", "after"])
def test_a_client_that_leaves(script: Script) -> None:
    """Before the first event and after it: nothing stays taken, the record says `cancelled`."""

    async def main() -> tuple[Record, Totals]:
        house = House(_answers(script))
        asking = asyncio.ensure_future(house.ask())
        await settle()
        assert house.admission.in_flight == 1
        asking.cancel()
        await asyncio.wait([asking])
        house.assert_nothing_is_held()
        return house.records[0], house.gateway.tallies.totals

    record, totals = run(main())

    assert (record.end, len(record.attempts)) == ("cancelled", 1)
    assert Totals(requests=1, cancelled=1, tokens_estimated=totals.tokens_estimated) == totals


def test_a_client_that_leaves_between_two_batches() -> None:
    """Leaving the context early is leaving."""

    async def main() -> str:
        house = House(_answers([[TEXT], [TEXT], [STOP]]))
        async with house.gateway.open(
            REQUEST, request_id="r", protocol="p", caller="c"
        ) as exchange:
            await exchange.next_batch()
        house.assert_nothing_is_held()
        return house.records[0].end

    assert run(main()) == "cancelled"


def test_a_client_that_leaves_the_queue() -> None:
    """It never got to an engine, and there is a record of it."""

    async def main() -> Record:
        house = House(_answers([SILENCE]), cap=1)
        first, second = (asyncio.ensure_future(house.ask()) for _ in range(2))
        await settle()
        second.cancel()
        await asyncio.wait([second])
        (record,) = house.records
        first.cancel()
        await asyncio.wait([first])
        house.assert_nothing_is_held()
        return record

    record = run(main())

    assert (
        record.end,
        record.engine,
        record.attempts,
        record.timings.queued,
    ) == ("cancelled", "", (), None)


def _refused(prepare: Callable[[House, ScriptedEngine], object], *, ready: bool = True) -> Record:
    """Return the record of a request that gets nowhere."""

    async def main() -> Record:
        engine = _answers([[STOP]])
        house = House(engine, ready=ready)
        prepare(house, engine)
        with pytest.raises(LingmaError):
            await house.ask()
        house.assert_nothing_is_held()
        assert Totals(requests=1, error=1) == house.gateway.tallies.totals
        return house.records[0]

    return run(main())


def test_an_engine_that_refuses() -> None:
    """The attempt carries the reason."""
    record = _refused(lambda _, engine: setattr(engine, "refusal", TROUBLE))

    assert (record.end, record.attempts[0].error) == ("quota_exceeded", "quota_exceeded")


def test_a_door_that_is_closed() -> None:
    """No attempt is made."""
    record = _refused(lambda house, _: house.admission.close())

    assert (record.end, record.attempts) == ("shutting_down", ())


def test_no_engine_in_time() -> None:
    """A request waits for the start-up time-out and no longer."""
    record = _refused(lambda _house, _engine: None, ready=False)

    assert (record.end, record.timings.total) == ("engine_unavailable", 40.0)


def test_a_fault_of_ours_is_not_a_cancel() -> None:
    """Only a client that left is recorded as one."""

    async def main() -> str:
        engine = _answers([[STOP]])
        engine.refusal = ZeroDivisionError()
        house = House(engine)
        with suppress(ZeroDivisionError):
            await house.ask()
        house.assert_nothing_is_held()
        return house.records[0].end

    assert run(main()) == "internal"


def test_timings() -> None:
    """Seconds since the request came: admitted, leased, first event, end."""

    async def main() -> Timings:
        house = House(_answers([SILENCE]), cap=1, ready=False)
        blocker = asyncio.ensure_future(house.ask())
        await settle()
        asking = asyncio.ensure_future(house.ask())
        await asyncio.sleep(1)
        blocker.cancel()
        await asyncio.sleep(2)
        house.registry.move(house.registry.slots[0], EngineState.READY)
        await asyncio.sleep(3)
        house.gateway.abort(TROUBLE)
        await asking
        return house.records[-1].timings

    assert Timings(queued=1.0, leased=3.0, first_event=6.0, total=6.0) == run(main())


def test_draining_waits_for_the_last_answer() -> None:
    """New requests are refused, running ones end, then the drain returns."""

    async def main() -> tuple[bool, bool]:
        house = House(_answers([[TEXT], SILENCE]))
        asking = asyncio.ensure_future(house.ask())
        await settle()
        draining = asyncio.ensure_future(house.gateway.drain())
        await settle()
        early = draining.done()
        with pytest.raises(LingmaError):
            await house.ask()
        house.gateway.abort(TROUBLE)
        await draining
        events = await asking
        return early, Failed(error=TROUBLE) == events[-1]

    assert run(main()) == (False, True)


def test_aborting_ends_every_wait() -> None:
    """Answers under way and waits for an engine both end with the reason."""

    async def main() -> LingmaError:
        house = House(_answers([SILENCE]), ready=False)
        asking = asyncio.ensure_future(house.ask())
        await settle()
        house.gateway.abort(TROUBLE)
        with pytest.raises(LingmaError) as caught:
            await asking
        house.assert_nothing_is_held()
        return caught.value

    assert run(main()).message == TROUBLE.message


def test_the_least_busy_engine_answers() -> None:
    """Two requests at once go to two engines."""

    async def main() -> list[int]:
        engines = [_answers([SILENCE], name=name) for name in "ab"]
        house = House(*engines, rules=PolicyRules(policy="power_of_two"))
        asking = [asyncio.ensure_future(house.ask()) for _ in range(2)]
        await settle()
        counts = [len(engine.asked) for engine in engines]
        house.gateway.abort(TROUBLE)
        await asyncio.gather(*asking)
        return counts

    assert run(main()) == [1, 1]


def test_the_engine_gets_the_resolved_request() -> None:
    """Its own key, and the mode."""

    async def main() -> tuple[str, AskMode, str]:
        engine = _answers([[STOP]])
        house = House(engine)
        await house.ask(replace(REQUEST, model="agent"))
        return engine.asked[0].model, engine.asked[0].mode, house.records[0].model

    assert run(main()) == ("org_auto", AskMode.AGENT, "org_auto")


def test_models() -> None:
    """The engine's live list, each key once, and the lease is back."""

    async def main() -> Sequence[Model]:
        twice = (Model(key="a", name="A"), Model(key="a", name="A"), Model(key="b", name="B"))
        house = House(_answers([], models=twice))
        models = await house.gateway.models()
        house.assert_nothing_is_held()
        return models

    assert [model.key for model in run(main())] == ["a", "b"]


class _Slow(ScriptedEngine):
    """Never gives its list."""

    async def refresh_models(self) -> Sequence[Model]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError


class _Dumb(ScriptedEngine):
    """Answers every call for its list with an error."""

    async def refresh_models(self) -> Sequence[Model]:
        raise TROUBLE


def test_models_of_an_engine_that_hangs() -> None:
    """The list that it gave last, and nobody waits for long; one that gave none is left out."""

    async def main() -> tuple[list[str], float]:
        slow = [_Slow(name=name, models=[Model(key=name, name=name)]) for name in "bc"]
        slow[1].models = ()
        models = await House(_answers([]), *slow).gateway.models()
        return [model.key for model in models], now()

    assert run(main()) == (["org_auto", "b"], 2.0)


@pytest.mark.parametrize(("engine", "kind"), [(_Slow, "engine_timeout"), (_Dumb, "quota_exceeded")])
def test_models_that_nobody_gives(engine: type[ScriptedEngine], kind: str) -> None:
    """The reason is told."""

    async def main() -> None:
        await House(engine(models=())).gateway.models()

    with pytest.raises(LingmaError) as caught:
        run(main())
    assert caught.value.kind.value == kind


def test_tool_routes_are_those_of_the_engines_that_have_the_model() -> None:
    """What others take says nothing."""
    takes = _answers([], name="a", models=[Model(key="m", name="The M")], native_tools=True)
    for route, told in {"auto": ("unknown", "native"), "prompt": ("prompt", "prompt")}.items():
        house = House(takes, _answers([], name="b"), tools=ToolOptions(route=route), ready=False)

        assert (house.gateway.tool_route("org_auto"), house.gateway.tool_route("m")) == told
        assert house.gateway.tool_route("gone") == "unknown"


def test_what_was_learnt_of_tools_is_told() -> None:
    """As long as nothing else is configured."""
    house = House(_answers([]), ready=False)
    house.registry.slots[0].tool_routes["org_auto"] = ToolRoute.PROMPT

    assert house.gateway.tool_route("org_auto") == "prompt"
