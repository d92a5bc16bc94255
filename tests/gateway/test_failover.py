"""Another engine for a question that its engine did not begin to answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingma_cli.control.registry import EngineState
from lingma_cli.core.chat import AskMode, ChatRequest, Model
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
)
from lingma_cli.core.login import LoginState
from lingma_cli.core.notes import NoteCode, codes
from lingma_cli.core.record import Record
from lingma_cli.engines.base import Ask
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.failover import RetryOptions
from lingma_cli.gateway.model_names import ModelRules
from tests.support.house import NAMES, REQUEST, House
from tests.support.scripted_engine import SILENCE, Script, ScriptedEngine
from tests.support.strategies import is_sentence
from tests.support.tool_turns import QUESTION, after, call_turn, called, result_turn
from tests.support.virtual_time import now, run, settle

STOP = Finished(reason=FinishReason.STOP)
TEXT = BlockDelta(kind=BlockKind.TEXT, text="fine")
GOOD: Script = [[TEXT], [STOP]]


def _error(kind: ErrorKind) -> LingmaError:
    return LingmaError(kind, f"it is {kind.value}")


BROKEN = _error(ErrorKind.ENGINE_FAILED)
AWAY = _error(ErrorKind.ENGINE_UNAVAILABLE)
BAD: Script = [[Failed(error=BROKEN)]]
ELSEWHERE = [
    ErrorKind.ENGINE_FAILED,
    ErrorKind.ENGINE_TIMEOUT,
    ErrorKind.ENGINE_UNAVAILABLE,
    ErrorKind.OVERLOADED,
    ErrorKind.QUOTA_EXCEEDED,
]
NOWHERE = [
    ErrorKind.INVALID_REQUEST,
    ErrorKind.LOGIN_REQUIRED,
    ErrorKind.CONTENT_FILTERED,
    ErrorKind.ENGINE_UNSUPPORTED,
    ErrorKind.CANCELLED,
]


def _engines(*scripts: Script) -> list[ScriptedEngine]:
    return [ScriptedEngine(script, name="abcdefgh"[at]) for at, script in enumerate(scripts)]


def _refusing(error: LingmaError, name: str = "a") -> ScriptedEngine:
    engine = ScriptedEngine(GOOD, name=name)
    engine.refusal = error
    return engine


def _asked(
    *engines: ScriptedEngine, model: str = "org_auto", names: ModelRules = NAMES
) -> tuple[list[ChatEvent], Record]:
    """Ask once; return what the client hears and the record."""

    async def main() -> tuple[list[ChatEvent], Record]:
        house = House(*engines, names=names)
        events: list[ChatEvent] = []
        try:
            events = await house.ask(replace(REQUEST, model=model))
        except LingmaError as error:
            events = [Failed(error=error)]
        house.assert_nothing_is_held()
        return events, house.records[0]

    return run(main())


def _tries(record: Record) -> list[tuple[str, str]]:
    return [(attempt.engine, attempt.error) for attempt in record.attempts]


# what goes elsewhere


@pytest.mark.parametrize("kind", ELSEWHERE)
@pytest.mark.parametrize("way", ["refused", "failed", "raised"])
def test_a_failure_before_the_first_word_goes_elsewhere(kind: ErrorKind, way: str) -> None:
    """The client hears the other engine's answer alone; the record tells of both."""
    error = _error(kind)
    scripts: dict[str, Script] = {"failed": [[Failed(error=error)]], "raised": [error]}
    first = _refusing(error) if way == "refused" else ScriptedEngine(scripts[way], name="a")

    events, record = _asked(first, ScriptedEngine(GOOD, name="b"))

    assert is_sentence(events)
    assert (TEXT in events, events[-1]) == (True, STOP)
    assert _tries(record) == [("a", kind.value), ("b", "")]
    assert (record.end, record.engine) == ("stop", "b")


def test_an_engine_that_just_stops() -> None:
    """And one that said no more than that it begins."""
    scripts: list[Script] = [[], [[Started(model="x"), Failed(error=BROKEN)]]]
    for script in scripts:
        events, record = _asked(*_engines(script, GOOD))

        assert events[-1] == STOP
        assert _tries(record) == [("a", "engine_failed"), ("b", "")]


@pytest.mark.parametrize("kind", NOWHERE)
def test_what_would_be_the_same_elsewhere_is_told_at_once(kind: ErrorKind) -> None:
    """One attempt, and the error as it was."""
    for first in (_refusing(_error(kind)), *_engines([[Failed(error=_error(kind))]])):
        events, record = _asked(first, ScriptedEngine(GOOD, name="b"))

        (end,) = [event for event in events if isinstance(event, Failed)]
        assert end.error.kind is kind
        assert _tries(record) == [("a", kind.value)]


HEARD: dict[str, Sequence[ChatEvent]] = {
    "text": [TEXT],
    "a call": [BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="t")],
    "a beginning": [Started(model="m")],
}


@pytest.mark.parametrize("events", HEARD.values(), ids=HEARD.keys())
def test_what_was_heard_is_not_asked_again(events: Sequence[ChatEvent]) -> None:
    """The failure ends the answer."""
    heard, record = _asked(*_engines([events, [Failed(error=BROKEN)]], GOOD))

    assert (heard[-1], len(record.attempts)) == (Failed(error=BROKEN), 1)


def test_text_in_the_batch_that_fails_counts_as_heard() -> None:
    """Nothing of it is thrown away."""
    heard, record = _asked(*_engines([[TEXT, Failed(error=BROKEN)]], GOOD))

    assert (TEXT in heard, heard[-1], len(record.attempts)) == (True, Failed(error=BROKEN), 1)


def test_an_agent_is_not_asked_twice() -> None:
    """What it did before it failed has been done."""
    for first in (_refusing(AWAY), *_engines([[Failed(error=BROKEN)]])):
        _, record = _asked(first, ScriptedEngine(GOOD, name="b"), model="agent")

        assert len(record.attempts) == 1


@pytest.mark.parametrize("model", ["agent", "org_auto"])
def test_who_knows_no_agent_mode_does_not_act(model: str) -> None:
    """The question moves on, also where agent mode is the default."""
    engines = [
        ScriptedEngine(script, name=name, agent_mode=False)
        for name, script in (("a", BAD), ("b", GOOD))
    ]
    _, record = _asked(*engines, model=model, names=replace(NAMES, default_mode=AskMode.AGENT))

    assert _tries(record) == [("a", "engine_failed"), ("b", "")]
    assert engines[1].asked[0].mode is AskMode.CHAT


def test_a_parked_ask_is_not_put_elsewhere() -> None:
    """Its tools have had their effects."""

    async def main() -> tuple[list[ChatEvent], Record]:
        parked = ScriptedEngine(
            name="a",
            scripts=[[called("c"), [Failed(error=BROKEN)]]],
            waits_for_tools=True,
            native_tools=True,
        )
        house = House(parked, ScriptedEngine(GOOD, name="b", native_tools=True))
        await house.ask(QUESTION)
        events = await house.ask(after(call_turn("c"), result_turn("c")))
        house.assert_nothing_is_held()
        return events, house.records[-1]

    events, record = run(main())

    assert (events[-1], _tries(record)) == (Failed(error=BROKEN), [("a", "engine_failed")])


def test_a_client_that_was_kept_waiting_visibly_gets_the_error() -> None:
    """A sign of life has gone to it: bytes are out."""

    async def main() -> tuple[list[ChatEvent], int]:
        engines = _engines([SILENCE], GOOD)
        house, events = House(*engines), list[ChatEvent]()
        async with house.gateway.open(
            REQUEST, request_id="r", protocol="p", caller="c"
        ) as exchange:
            asking = asyncio.ensure_future(exchange.next_batch())
            await settle()
            assert await exchange.is_alive()
            engines[0].asks[0].abort(BROKEN)
            events += await asking
        return events, len(house.records[0].attempts)

    events, attempts = run(main())

    assert (events[-1], attempts) == (Failed(error=BROKEN), 1)


# how often, and where


def test_a_question_that_kills_is_put_twice_at_most() -> None:
    """Engines that took it and failed; the third is left in peace."""
    engines = _engines(*[[[Failed(error=BROKEN)]]] * 3)

    events, record = _asked(*engines)

    assert events[-1] == Failed(error=BROKEN)
    assert [len(engine.asked) for engine in engines] == [1, 1, 0]
    assert len(record.attempts) == 2


@pytest.mark.parametrize("kind", [ErrorKind.ENGINE_FAILED, ErrorKind.ENGINE_TIMEOUT])
def test_whoever_breaks_while_the_question_is_put_has_taken_it(kind: ErrorKind) -> None:
    """It was sent, so it may have killed them."""
    engines = [_refusing(_error(kind), name) for name in "abc"]

    _, record = _asked(*engines)

    assert _tries(record) == [("a", kind.value), ("b", kind.value)]


@pytest.mark.parametrize(
    "kind", [ErrorKind.ENGINE_UNAVAILABLE, ErrorKind.OVERLOADED, ErrorKind.QUOTA_EXCEEDED]
)
def test_a_late_refusal_is_a_refusal(kind: ErrorKind) -> None:
    """It only took its time to come: nobody has taken the question."""
    refusing = _engines(*[[[Failed(error=_error(kind))]]] * 3)

    _, record = _asked(*refusing, ScriptedEngine(GOOD, name="z"))

    assert _tries(record) == [*((name, kind.value) for name in "abc"), ("z", "")]


def test_refusals_go_on_to_the_last_engine() -> None:
    """Nothing was put to them; five attempts at most."""
    refusing = [_refusing(_error(ErrorKind.OVERLOADED), name) for name in "abcdef"]

    _, served = _asked(*refusing[:4], ScriptedEngine(GOOD, name="z"))
    _, refused = _asked(*[_refusing(_error(ErrorKind.OVERLOADED), name) for name in "abcdef"])

    assert _tries(served) == [(name, "overloaded") for name in "abcd"] + [("z", "")]
    assert (refused.end, len(refused.attempts)) == ("overloaded", 5)


@pytest.mark.parametrize("kind", [ErrorKind.OVERLOADED, ErrorKind.QUOTA_EXCEEDED])
def test_the_same_engine_is_not_asked_again(kind: ErrorKind) -> None:
    """Unless it was not there at all."""
    engine = _refusing(_error(kind))

    _, record = _asked(engine)

    assert (record.end, len(engine.asked)) == (kind.value, 1)


def test_an_engine_that_was_away_and_came_back() -> None:
    """With nobody else to ask, its next life is waited for."""

    async def main() -> tuple[Record, float]:
        engine = _refusing(AWAY)
        house = House(engine)
        (slot,) = house.registry.slots
        asking = asyncio.ensure_future(house.ask())
        await settle()
        house.registry.move(slot, EngineState.STARTING)
        engine.refusal = None
        await asyncio.sleep(8)
        house.registry.move(slot, EngineState.READY)
        await asking
        house.assert_nothing_is_held()
        return house.records[0], now()

    record, ended = run(main())

    assert [(one.generation, one.error) for one in record.attempts] == [
        (1, "engine_unavailable"),
        (2, ""),
    ]
    assert (record.end, ended) == ("stop", 8.0)


def test_an_engine_on_its_way_is_waited_for() -> None:
    """The other was killed a moment before."""

    async def main() -> Record:
        house = House(*_engines([[Failed(error=BROKEN)]], GOOD))
        house.registry.move(house.registry.slots[1], EngineState.STARTING)
        asking = asyncio.ensure_future(house.ask())
        await asyncio.sleep(5)
        house.registry.move(house.registry.slots[1], EngineState.READY)
        await asking
        return house.records[0]

    assert _tries(run(main())) == [("a", "engine_failed"), ("b", "")]


def _log_out(house: House, engine: ScriptedEngine) -> None:
    engine.login = LoginState.OUT


def _use_up(house: House, engine: ScriptedEngine) -> None:
    house.registry.heard(house.registry.slots[1], _error(ErrorKind.QUOTA_EXCEEDED))


@pytest.mark.parametrize("spoil", [_log_out, _use_up])
def test_an_engine_that_would_refuse_is_not_asked(
    spoil: Callable[[House, ScriptedEngine], None],
) -> None:
    """Its refusal would hide what has gone wrong."""

    async def main() -> Record:
        engines = _engines([[Failed(error=BROKEN)]], GOOD)
        house = House(*engines)
        spoil(house, engines[1])
        await house.ask()
        return house.records[0]

    assert _tries(run(main())) == [("a", "engine_failed")]


def test_the_other_engine_s_notes_and_model() -> None:
    """What the first would have done to the request is not told."""
    first = ScriptedEngine([[Failed(error=BROKEN)]], name="a", reports_usage=False)
    models = [Model(key="llama", name="Llama", is_default=True)]
    second = ScriptedEngine([[Started(model="llama"), TEXT], [STOP]], name="b", models=models)

    _, alone = _asked(first, second)
    names = ModelRules(default="org_auto", fallbacks=[("org_auto", "llama")])
    events, record = _asked(first, second, names=names)

    assert _tries(alone) == [("a", "engine_failed")]
    assert isinstance(events[0], Started)
    assert (events[0].model, record.model) == ("llama", "llama")
    assert second.asked[0].model == "llama"
    assert NoteCode.MODEL_FALLBACK.value in codes(record.notes)
    assert NoteCode.USAGE_ESTIMATED.value not in codes(record.notes)


# ends


@pytest.mark.parametrize("moment", ["the pause", "the wait"])
def test_a_shutdown_ends_the_search(moment: str) -> None:
    """With its own reason, and nothing stays taken."""
    bye = _error(ErrorKind.SHUTTING_DOWN)

    async def main() -> tuple[ChatEvent, Record]:
        house = House(*_engines([SILENCE, [Failed(error=BROKEN)]], GOOD))
        first, second = house.registry.slots
        house.registry.move(second, EngineState.STARTING)
        asking = asyncio.ensure_future(house.ask())
        await settle()
        engine = first.engine
        assert isinstance(engine, ScriptedEngine)
        engine.asks[0].abort(BROKEN)
        await (settle() if moment == "the pause" else asyncio.sleep(5))
        house.gateway.abort(bye)
        events = await asking
        house.assert_nothing_is_held()
        return events[-1], house.records[0]

    end, record = run(main())

    assert (end, record.end) == (Failed(error=bye), "shutting_down")


def test_a_shutdown_while_the_other_engine_is_asked() -> None:
    """It is stopped as soon as it has the question."""

    class Slow(ScriptedEngine):
        @asynccontextmanager
        async def ask(self, request: ChatRequest) -> AsyncIterator[Ask]:
            await asyncio.sleep(5)
            async with super().ask(request) as ask:
                yield ask

    async def main() -> tuple[ChatEvent, Record]:
        house = House(*_engines([SILENCE]), Slow([SILENCE], name="b"))
        asking = asyncio.ensure_future(house.ask())
        await settle()
        engine = house.registry.slots[0].engine
        assert isinstance(engine, ScriptedEngine)
        engine.asks[0].abort(BROKEN)
        await asyncio.sleep(2)
        house.gateway.abort(_error(ErrorKind.SHUTTING_DOWN))
        events = await asking
        house.assert_nothing_is_held()
        return events[-1], house.records[0]

    end, record = run(main())

    assert isinstance(end, Failed)
    assert (end.error.kind, record.end) == (ErrorKind.SHUTTING_DOWN, "shutting_down")


def test_a_client_that_leaves_during_the_search() -> None:
    """Everything is back."""

    async def main() -> Record:
        house = House(*_engines([[Failed(error=BROKEN)]], GOOD))
        house.registry.move(house.registry.slots[1], EngineState.STARTING)
        asking = asyncio.ensure_future(house.ask())
        await asyncio.sleep(5)
        asking.cancel()
        await asyncio.wait([asking])
        house.assert_nothing_is_held()
        return house.records[0]

    assert run(main()).end == "cancelled"


# pauses


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_pauses_grow(draw: float, factor: float) -> None:
    """By half each time, up to thirty seconds, a fifth shorter or longer."""
    options = RetryOptions(draw=lambda: draw)

    pauses = [options.pause(attempt) for attempt in (0, 1, 2, 100)]

    assert pauses == pytest.approx([factor * one for one in (0.05, 0.075, 0.1125, 30.0)])


# all of it

STEPS: dict[str, Script] = {
    "good": GOOD,
    "stops": [],
    "fails": [[Failed(error=BROKEN)]],
    "away": [[Failed(error=AWAY)]],
    "quota": [[Failed(error=_error(ErrorKind.QUOTA_EXCEEDED))]],
    "bad request": [[Failed(error=_error(ErrorKind.INVALID_REQUEST))]],
    "fails late": [[TEXT], [Failed(error=BROKEN)]],
    "raises late": [[TEXT], BROKEN],
}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=4), min_size=1, max_size=4
    ),
    st.integers(1, 6),
)
def test_every_request_ends_once_and_nothing_leaks(plans: list[list[str]], requests: int) -> None:
    """Whatever the engines do; no text is heard twice, and the last attempt made the end."""

    async def main() -> None:
        engines = [
            ScriptedEngine(GOOD, name=f"e{at}", scripts=[STEPS[name] for name in plan])
            for at, plan in enumerate(plans)
        ]
        house = House(*engines)
        for _ in range(requests):
            events: list[ChatEvent] = []
            with suppress(LingmaError):
                events = await house.ask()
            assert is_sentence(events)
            record = house.records[-1]
            assert sum(event == TEXT for event in events) <= 1
            assert bool(record.attempts[-1].error) is isinstance(events[-1], Failed)
            assert all(attempt.error for attempt in record.attempts[:-1])
            # Only who was away may be back.
            tried = [one.engine for one in record.attempts if one.error != AWAY.kind.value]
            assert len(set(tried)) == len(tried)
        house.assert_nothing_is_held()
        assert sum(len(engine.asked) for engine in engines) == sum(
            len(record.attempts) for record in house.records
        )

    run(main())
