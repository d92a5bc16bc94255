"""Asks that wait for tool results between two requests of a client."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from lingma_cli.control.parking import ParkingLimits
from lingma_cli.core.chat import (
    ChatRequest,
    Message,
    Role,
    Sampling,
    TextPart,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
)
from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.errors import ErrorKind, LingmaError
from tests.gateway.parked import ANSWERED, codes_of, engine_of, in_house, words_of
from tests.support.house import House
from tests.support.scripted_engine import SILENCE, ScriptedAsk, ScriptedEngine
from tests.support.tool_turns import (
    QUESTION,
    STOP,
    USER,
    after,
    call_turn,
    called,
    result_turn,
    said,
    texts,
)
from tests.support.virtual_time import settle

TROUBLE = LingmaError(ErrorKind.ENGINE_FAILED, "broke")


def test_three_turns_are_one_ask() -> None:
    """Each result goes where it is waited for, and the same answer goes on."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[list[str], list[str]]:
        turns = [call_turn("a"), result_turn("a"), call_turn("b"), result_turn("b")]
        requests = [after(*turns[:count]) for count in (0, 2, 4)]
        said_so_far = [words_of(await house.ask(request)) for request in requests]
        (ask,) = engine.asks
        assert [texts(given) for given in ask.results] == [{"a": "result a"}, {"b": "result b"}]
        return said_so_far, [record.end for record in house.records]

    words, ends = in_house(play)

    assert (words, ends) == (
        ["first", "second", "done"],
        ["tool_calls", "tool_calls", "stop"],
    )


@pytest.mark.parametrize(
    "question", [replace(QUESTION, results_have_ids=False), replace(QUESTION, choices=2)]
)
def test_a_client_that_cannot_come_back(question: ChatRequest) -> None:
    """Results without ids fit no ask, and of several answers one is continued: none is kept."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[list[str], int]:
        results = after(call_turn("Read"), result_turn("Read"), request=question)
        words = [words_of(await house.ask(question))]
        assert len(house.lot) == 0
        return [*words, words_of(await house.ask(results))], len(engine.asks)

    assert in_house(play) == (["first", "anew"], 2)


def test_a_parked_ask_holds_no_ticket_and_counts_as_load() -> None:
    """The next request goes in, to another engine."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[int, list[int], int]:
        await house.ask(QUESTION)
        return (
            house.admission.in_flight,
            [slot.in_flight for slot in house.registry.slots],
            len(house.lot),
        )

    assert in_house(play, cap=1) == (0, [1], 1)


def test_a_thousand_turns_of_one_ask() -> None:
    """What is held does not grow with the turns, and comes back."""

    async def play(house: House, engine: ScriptedEngine) -> int:
        await house.ask(QUESTION)
        for turn in range(1000):
            await house.ask(after(call_turn(f"c{turn}"), result_turn(f"c{turn}")))
        return len(engine.asks)

    steps = [called(f"c{turn}") for turn in range(1001)]

    assert in_house(play, engine_of(*steps)) == 1


# why an ask may be of no use any more

Trouble = Callable[[House, ScriptedAsk], Awaitable[None]]


async def _expire(house: House, _: ScriptedAsk) -> None:
    await asyncio.sleep(700)


async def _evict(house: House, _: ScriptedAsk) -> None:
    await house.lot.clear()


async def _die(_: House, ask: ScriptedAsk) -> None:
    ask.die()


async def _break(_: House, ask: ScriptedAsk) -> None:
    ask.unfit = TROUBLE


async def _use_up(house: House, _: ScriptedAsk) -> None:
    await house.ask(ANSWERED)


LOSSES: dict[str, tuple[Trouble, list[frozenset[str]]]] = {
    "expired": (_expire, [frozenset("a")]),
    "evicted": (_evict, [frozenset("a")]),
    "dead": (_die, [frozenset()]),
    "broken": (_break, [frozenset("a")]),
    "used up": (_use_up, [frozenset("b")]),
}


@pytest.mark.parametrize(("trouble", "refused"), LOSSES.values(), ids=LOSSES.keys())
def test_a_lost_ask_is_asked_anew(trouble: Trouble, refused: list[frozenset[str]]) -> None:
    """The whole conversation is sent, the client is told why, and what waited is refused."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, tuple[str, ...]]:
        await house.ask(QUESTION)
        await trouble(house, engine.asks[0])
        events = await house.ask(ANSWERED)
        await house.lot.clear()
        assert engine.asks[0].refused == refused
        assert "result a" in str(engine.asked[-1].messages)
        return words_of(events), codes_of(house)

    words, notes = in_house(play)

    assert (words, "parked_ask_lost" in notes) == ("anew", True)


def test_another_model_is_asked_anew() -> None:
    """An ask cannot change its model."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, str, bool]:
        await house.ask(QUESTION)
        await house.ask(replace(ANSWERED, model="other"))
        assert engine.asks[0].refused == [frozenset("a")]
        return engine.asked[-1].model, house.records[-1].model, "parked_ask_lost" in codes_of(house)

    assert in_house(play) == ("other", "other", True)


def test_another_caller_is_asked_anew() -> None:
    """It learns nothing of the ask, which goes on waiting for its own caller."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, bool, str]:
        await house.ask(QUESTION)
        stranger = words_of(await house.ask(ANSWERED, caller="key-2"))
        told = "parked_ask_lost" in codes_of(house)
        return stranger, told, words_of(await house.ask(ANSWERED))

    assert in_house(play) == ("anew", False, "second")


def _text(role: Role, text: str) -> Message:
    return Message(role=role, parts=(TextPart(text=text),))


PASSED_OVER = {
    "no result": [call_turn("a"), _text(Role.USER, "never mind")],
    "further on": [call_turn("a"), result_turn("a"), _text(Role.ASSISTANT, "so"), USER],
}


@pytest.mark.parametrize("turns", PASSED_OVER.values(), ids=PASSED_OVER.keys())
def test_an_ask_that_is_passed_over(turns: list[Message]) -> None:
    """The conversation has gone on without it: it is refused, and nobody waited for it."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, list[frozenset[str]]]:
        await house.ask(QUESTION)
        words = words_of(await house.ask(after(*turns)))
        await asyncio.sleep(2)
        assert "parked_ask_lost" not in codes_of(house)
        return words, engine.asks[0].refused

    assert in_house(play) == ("anew", [frozenset("a")])


def test_a_call_that_the_ask_did_not_make() -> None:
    """Its result would be lost on the way, so the whole conversation is sent."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, bool]:
        await house.ask(QUESTION)
        words = words_of(await house.ask(after(call_turn("a", "x"), result_turn("a", "x"))))
        assert "result x" in str(engine.asked[-1].messages)
        return words, "parked_ask_lost" in codes_of(house)

    assert in_house(play) == ("anew", True)


def test_a_full_lot() -> None:
    """The oldest conversation goes on by its transcript, the others with their asks."""

    async def play(house: House, engine: ScriptedEngine) -> list[str]:
        await house.ask(QUESTION)
        await house.ask(QUESTION)
        return [
            words_of(await house.ask(after(call_turn(call), result_turn(call)))) for call in "ab"
        ]

    steps = [[[said("x"), *called(call)], [said(f"on {call}"), STOP]] for call in "ab"]
    limits = ParkingLimits(capacity=1, seconds=60)

    assert in_house(play, engine_of(scripts=steps), parking=limits) == ["anew", "on b"]


# results


def test_parallel_calls() -> None:
    """All results go in together, in whatever order they stand."""

    async def play(house: House, engine: ScriptedEngine) -> dict[str, str]:
        await house.ask(QUESTION)
        await house.ask(after(call_turn("a", "b"), result_turn("b"), result_turn("a")))
        return texts(engine.asks[0].results[0])

    results = in_house(play, engine_of(called("a", "b"), [STOP]))

    assert results == {"a": "result a", "b": "result b"}


def test_calls_and_results_by_turns() -> None:
    """Clients that write each call before its own result lose none of them."""

    async def play(house: House, engine: ScriptedEngine) -> dict[str, str]:
        await house.ask(QUESTION)
        turns = [call_turn("a"), result_turn("a"), call_turn("b"), result_turn("b")]
        await house.ask(after(*turns))
        return texts(engine.asks[0].results[0])

    results = in_house(play, engine_of(called("a", "b"), [STOP]))

    assert results == {"a": "result a", "b": "result b"}


def test_some_results_only() -> None:
    """No result is made up: the engine hears which ones there are, the client of the rest."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[dict[str, str], bool]:
        await house.ask(QUESTION)
        await house.ask(after(call_turn("a", "b"), result_turn("a")))
        return texts(engine.asks[0].results[0]), "result_missing" in codes_of(house)

    assert in_house(play, engine_of(called("a", "b"), [STOP])) == ({"a": "result a"}, True)


def test_words_that_come_with_a_result() -> None:
    """They are not lost, and not the tool's."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[str, bool]:
        await house.ask(QUESTION)
        await house.ask(after(call_turn("a"), result_turn("a"), _text(Role.USER, "hurry")))
        return texts(engine.asks[0].results[0])["a"], "text_joined" in codes_of(house)

    assert in_house(play) == ("result a\n\nThe user adds:\nhurry", True)


def test_a_result_that_is_an_error() -> None:
    """It stays one."""

    async def play(house: House, engine: ScriptedEngine) -> bool:
        await house.ask(QUESTION)
        failed = ToolOutputPart(call_id="a", text="no such file", is_error=True)
        await house.ask(after(call_turn("a"), Message(role=Role.TOOL, parts=(failed,))))
        return engine.asks[0].results[0]["a"].is_error

    assert in_house(play)


# how a turn may end

ENDS: dict[str, tuple[list[object], bool, str]] = {
    "calls": ([[*called("a")]], True, "tool_calls"),
    "fails": ([[*called("a")[:-1], Failed(error=TROUBLE)]], False, "engine_failed"),
    "raises": ([called("a")[:-1], TROUBLE], False, "engine_failed"),
    "just stops": ([called("a")[:-1]], False, "engine_failed"),
    "has calls and stops": ([[*called("a")[:-1], STOP]], True, "tool_calls"),
    "has none and stops": ([[STOP]], False, "stop"),
}


@pytest.mark.parametrize(("steps", "is_parked", "end"), ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("resumed", [False, True], ids=["first", "resumed"])
def test_only_a_turn_that_ends_with_calls_is_parked(
    steps: list[object], is_parked: bool, end: str, resumed: bool
) -> None:
    """Whatever else ends it leaves the ask, in its first turn and in a later one."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[bool, str, int]:
        await house.ask(QUESTION)
        if resumed:
            await house.ask(after(call_turn("z"), result_turn("z")))
        assert engine.open_asks == house.registry.slots[0].in_flight == int(is_parked)
        return len(house.lot) == 1, house.records[-1].end, len(engine.asks)

    script = [called("z"), *steps] if resumed else steps

    assert in_house(play, engine_of(*script)) == (is_parked, end, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("resumed", [False, True], ids=["first", "resumed"])
def test_a_client_that_leaves_in_the_middle(resumed: bool) -> None:
    """Before the end was heard: the ask is left with its calls, nothing is parked."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[int, str, list[frozenset[str]]]:
        if resumed:
            await house.ask(QUESTION)
        request = after(call_turn("z"), result_turn("z")) if resumed else QUESTION
        asking = asyncio.ensure_future(house.ask(request))
        await settle()
        asking.cancel()
        await asyncio.wait([asking])
        return len(house.lot), house.records[-1].end, engine.asks[0].refused

    script = [called("a")[:-1], SILENCE]
    engine = engine_of(*([called("z"), *script] if resumed else script))  # type: ignore[arg-type]

    assert in_house(play, engine) == (0, "cancelled", [frozenset("a")])


def test_calls_that_the_client_never_saw() -> None:
    """The token limit cut them off: nobody can bring their results."""

    async def play(house: House, engine: ScriptedEngine) -> tuple[int, str]:
        await house.ask(replace(QUESTION, sampling=Sampling(max_tokens=1)))
        return len(house.lot), house.records[-1].end

    assert in_house(play, engine_of([said("word " * 50), *called("a")])) == (0, "length")


def test_shutdown_ends_a_resumed_turn() -> None:
    """It is an exchange like any other."""

    async def play(house: House, engine: ScriptedEngine) -> list[ChatEvent]:
        await house.ask(QUESTION)
        asking = asyncio.ensure_future(house.ask(ANSWERED))
        await settle()
        house.gateway.abort(TROUBLE)
        return (await asking)[-1:]

    assert in_house(play, engine_of(called("a"), SILENCE)) == [  # type: ignore[arg-type]
        Failed(error=TROUBLE)
    ]


def test_a_request_that_is_refused_does_not_touch_the_ask() -> None:
    """Bad input is told, and the ask still waits."""

    async def play(house: House, engine: ScriptedEngine) -> str:
        await house.ask(QUESTION)
        choice = ToolChoice(mode=ToolMode.NAMED, name="Nothing")
        with pytest.raises(LingmaError):
            await house.ask(replace(ANSWERED, tool_choice=choice))
        return words_of(await house.ask(ANSWERED))

    assert in_house(play) == "second"
