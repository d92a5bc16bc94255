"""Asks whose tools are read, and demands for a call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lingma_cli.core.chat import ChatRequest, Tool, ToolChoice, ToolMode, ToolRoute
from lingma_cli.core.collect import Block, Collector
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
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.pipeline import ToolOptions
from lingma_cli.gateway.tool_asks import DemandedAsk, ToolAsk
from lingma_cli.transforms.tool_text import ToolTextTransform
from tests.support.house import House
from tests.support.scripted_engine import SILENCE, Script, ScriptedAsk, ScriptedEngine, Step
from tests.support.tool_turns import BASH, CALLED, QUESTION, READ, STOP, called, said
from tests.support.virtual_time import run, settle

TROUBLE = LingmaError(ErrorKind.ENGINE_FAILED, "broke")
GENTLE, PROSE = '{"path": "a.txt"}', "I would rather not."
FENCE = '```json action\n{"tool": "Read", "parameters": {"path": "a.txt"}}\n```'
OTHER = '```json action\n{"tool": "Bash", "parameters": {"command": "ls"}}\n```'
USAGE = UsageReported(usage=Usage(input_tokens=1, output_tokens=2))
THOUGHT = BlockDelta(kind=BlockKind.REASONING, text="hm")


# one turn


async def _events(ask: ToolAsk | DemandedAsk) -> list[ChatEvent]:
    events: list[ChatEvent] = []
    while batch := await ask.next_batch():
        events += batch
    return events


def _read(script: Script, *, reads: bool) -> tuple[list[ChatEvent], ToolRoute | None]:
    async def main() -> tuple[list[ChatEvent], ToolRoute | None]:
        reader = ToolTextTransform([READ], new_call_id=lambda: "call_1") if reads else None
        ask = ToolAsk(ScriptedAsk(script, ()), reader)
        return await _events(ask), ask.learnt

    return run(main())


def test_calls_in_the_text() -> None:
    """They become calls, and tell that the prompt works; text around them comes at once."""
    events, learnt = _read(
        [[said("so ")], [said("\n" + FENCE[:20])], [said(FENCE[20:]), STOP]], reads=True
    )

    assert events[0] == said("so ")
    assert learnt is ToolRoute.PROMPT
    assert events[-1] == CALLED


def test_text_that_nobody_reads() -> None:
    """It stays text."""
    events, learnt = _read([[said(FENCE), STOP]], reads=False)

    assert (events, learnt) == ([said(FENCE), STOP], None)


@pytest.mark.parametrize("reads", [False, True])
def test_calls_of_the_engine(reads: bool) -> None:
    """They stay what they are, and tell that the engine takes tools."""
    events, learnt = _read([called("a")], reads=reads)

    assert (events, learnt) == (called("a"), ToolRoute.NATIVE)


def test_both_kinds_of_calls() -> None:
    """The engine's own count more."""
    _, learnt = _read([[said(FENCE)], called("a")], reads=True)

    assert learnt is ToolRoute.NATIVE


def test_notes_of_both() -> None:
    """The ask's, then the reader's."""

    async def main() -> tuple[str, ...]:
        note = Note.of(NoteCode.MEDIA_DROPPED)
        ask = ScriptedAsk([[said(FENCE + "\n" + FENCE), STOP]], (note,))
        turn = ToolAsk(ask, ToolTextTransform([READ], new_call_id=lambda: "call_1"))
        await _events(turn)
        return codes(turn.notes)

    assert run(main()) == ("media_dropped", "calls_dropped")


# demands

REQUIRED = ToolChoice(mode=ToolMode.REQUIRED)
NAMED = ToolChoice(mode=ToolMode.NAMED, name="Read")


class Heard:
    """What came of a request: its blocks, its reason, its notes, and how often it was asked."""

    def __init__(self, house: House, engine: ScriptedEngine, events: Sequence[ChatEvent]) -> None:
        answer = Collector()
        answer.feed(events)
        self.blocks: list[Block] = answer.blocks
        self.calls = [(block.name, block.text) for block in answer.blocks if block.name]
        self.text = answer.text()
        self.reason = answer.reason
        self.error = answer.error
        self.notes = codes(house.records[0].notes)
        self.end = house.records[0].end
        self.asks = len(engine.asks)
        self.firm = ["Your last answer" in str(asked.messages[0]) for asked in engine.asked]


def _heard(
    *scripts: Script,
    choice: ToolChoice = REQUIRED,
    tools: tuple[Tool, ...] = QUESTION.tools,
    route: str = "prompt",
    request: ChatRequest = QUESTION,
) -> Heard:
    async def main() -> Heard:
        engine = ScriptedEngine(scripts=scripts)
        house = House(engine, tools=ToolOptions(route=route))
        events = await house.ask(replace(request, tool_choice=choice, tools=tools))
        house.assert_nothing_is_held()
        assert all(len(ask.refused) == 1 for ask in engine.asks)
        return Heard(house, engine, events)

    return run(main())


@pytest.mark.parametrize("choice", [REQUIRED, NAMED], ids=["required", "named"])
def test_a_call_at_once(choice: ToolChoice) -> None:
    """Nothing is asked twice."""
    heard = _heard([[said(FENCE), STOP]], choice=choice)

    assert (heard.calls, heard.asks, heard.end) == ([("Read", GENTLE)], 1, "tool_calls")
    assert set(heard.notes).isdisjoint({"tool_retried", "tool_choice_unmet"})


@pytest.mark.parametrize("long", [False, True])
def test_descriptions_that_are_cut(long: bool) -> None:
    """A note tells of it, once, whatever comes of the ask; none when all was said."""
    tool = replace(READ, description="d" * 9000 * long)
    heard = _heard([[said(PROSE), STOP]], [[said(PROSE), STOP]], tools=(tool,))

    assert (heard.asks, heard.notes.count("tools_shortened")) == (2, int(long))


def test_calls_in_both_forms_for_a_client_that_takes_one() -> None:
    """The first is given, and the others are noted as left out."""
    one = replace(QUESTION, parallel_tool_calls=False)
    script = [[said(FENCE)], called("a", name="Bash")]
    heard = _heard(script, choice=ToolChoice(), route="auto", request=one)

    assert heard.calls == [("Read", GENTLE)]
    assert "calls_dropped" in heard.notes


@pytest.mark.parametrize("choice", [REQUIRED, NAMED], ids=["required", "named"])
def test_a_call_in_the_second_try(choice: ToolChoice) -> None:
    """Firmer words, nothing of the first answer, one note."""
    heard = _heard([[said(PROSE), STOP]], [[said(FENCE), STOP]], choice=choice)

    assert (heard.calls, heard.text, heard.firm) == ([("Read", GENTLE)], "", [False, True])
    assert "tool_retried" in heard.notes
    assert "tool_choice_unmet" not in heard.notes


@pytest.mark.parametrize("choice", [REQUIRED, NAMED], ids=["required", "named"])
def test_no_call_at_all(choice: ToolChoice) -> None:
    """After one more try the client gets the text as it is, with notes."""
    scripts = [[[said(text), STOP]] for text in (PROSE, "Still no.", FENCE)]
    heard = _heard(*scripts, choice=choice)

    assert (heard.calls, heard.text, heard.reason) == ([], "Still no.", FinishReason.STOP)
    assert heard.asks == 2
    assert {"tool_retried", "tool_choice_unmet"} <= set(heard.notes)


def test_nothing_is_sent_before_the_call_is_had() -> None:
    """A first answer that streams is held back."""

    async def main() -> tuple[bool, int]:
        engine = ScriptedEngine(scripts=[[[said(PROSE)], SILENCE]])
        house = House(engine)
        asking = asyncio.ensure_future(_first_batch(house))
        await settle()
        early = asking.done()
        asking.cancel()
        await asyncio.wait([asking])
        house.assert_nothing_is_held()
        return early, len(engine.asks)

    assert run(main()) == (False, 1)


async def _first_batch(house: House) -> Sequence[ChatEvent]:
    request = replace(QUESTION, tool_choice=REQUIRED)
    async with house.gateway.open(request, request_id="r", protocol="p", caller="c") as exchange:
        return await exchange.next_batch()


@pytest.mark.parametrize(
    ("choice", "tools"), [(NAMED, QUESTION.tools), (REQUIRED, (READ,))], ids=["named", "only"]
)
def test_an_answer_that_is_the_arguments(choice: ToolChoice, tools: tuple[Tool, ...]) -> None:
    """With one tool to call, an answer that is nothing else is its call."""
    script: Script = [
        [Started(model="m"), THOUGHT],
        [said(GENTLE[:5]), said(GENTLE[5:]), USAGE, STOP],
    ]
    heard = _heard(script, choice=choice, tools=tools)

    assert (heard.calls, heard.text, heard.asks) == ([("Read", GENTLE)], "", 1)
    assert [block.kind for block in heard.blocks] == [BlockKind.REASONING, BlockKind.TOOL_CALL]
    assert heard.reason is FinishReason.TOOL_CALLS
    assert "usage_estimated" not in heard.notes


def test_arguments_of_no_certain_tool() -> None:
    """With several tools nobody knows whose they are."""
    heard = _heard([[said(GENTLE), STOP]], [[said(GENTLE), STOP]])

    assert (heard.calls, heard.text, heard.asks) == ([], GENTLE, 2)


def test_another_tool_than_the_named_one() -> None:
    """Its call will not do: one more try, then what came, with a note."""
    cured = _heard([[said(OTHER), STOP]], [[said(FENCE), STOP]], choice=NAMED)
    unmet = _heard(*[[[said(OTHER), STOP]]] * 2, choice=NAMED)

    assert (cured.calls, cured.asks) == ([("Read", GENTLE)], 2)
    assert ([name for name, _ in unmet.calls], unmet.asks) == (["Bash"], 2)
    assert "tool_choice_unmet" in unmet.notes


@pytest.mark.parametrize("scripts", [[[PROSE, TROUBLE]], [[PROSE], [TROUBLE]]], ids=["1", "2"])
@pytest.mark.parametrize("raises", [False, True])
def test_an_error_is_no_missing_call(scripts: list[list[object]], raises: bool) -> None:
    """In either try, told or raised, it ends the turn and is not covered up by another."""

    def step(what: object) -> Step:
        if isinstance(what, str):
            return [said(what), *([STOP] if len(scripts) == 2 else [])]
        return TROUBLE if raises else [Failed(error=TROUBLE)]

    heard = _heard(*([step(what) for what in script] for script in scripts))

    assert (heard.error, heard.asks, heard.end) == (TROUBLE, len(scripts), "engine_failed")
    assert "tool_choice_unmet" not in heard.notes


def test_a_native_demand_is_not_put_again() -> None:
    """There are no words of ours to make firmer; the answer is still read as a call."""
    unmet = _heard([[said(PROSE), STOP]], route="native", choice=NAMED)
    forced = _heard([[said(GENTLE), STOP]], route="native", choice=NAMED)

    assert (unmet.text, unmet.asks, "tool_choice_unmet" in unmet.notes) == (PROSE, 1, True)
    assert (forced.calls, forced.asks) == ([("Read", GENTLE)], 1)


def test_an_engine_that_refuses_the_second_try() -> None:
    """The refusal is the end."""

    async def main() -> tuple[list[ChatEvent], str]:
        engine = ScriptedEngine([[said(PROSE)], [STOP]])
        house = House(engine)
        request = replace(QUESTION, tool_choice=REQUIRED)
        async with house.gateway.open(
            request, request_id="r", protocol="p", caller="c"
        ) as exchange:
            engine.refusal = TROUBLE
            events = list(await exchange.next_batch())
        house.assert_nothing_is_held()
        return events[-1:], house.records[0].end

    assert run(main()) == ([Failed(error=TROUBLE)], "engine_failed")


def test_a_parked_call_of_another_tool_is_refused_before_the_second_try() -> None:
    """The first ask is left with it."""

    async def main() -> tuple[list[frozenset[str]], list[str]]:
        scripts = [[called("a", name="Bash")], [called("b")]]
        engine = ScriptedEngine(scripts=scripts, waits_for_tools=True)
        house = House(engine)
        answer = Collector()
        answer.feed(await house.ask(replace(QUESTION, tool_choice=NAMED)))
        refused = [calls for ask in engine.asks for calls in ask.refused]
        assert len(house.lot) == 1
        await house.lot.clear()
        house.assert_nothing_is_held()
        return refused, [block.call_id for block in answer.blocks]

    assert run(main()) == ([frozenset("a")], ["b"])


# shutdown


@pytest.mark.parametrize("tries", [1, 2])
def test_a_demand_is_aborted(tries: int) -> None:
    """In either try."""

    async def main() -> tuple[list[ChatEvent], int]:
        prose: Script = [[said(PROSE), STOP]]
        engine = ScriptedEngine([SILENCE], scripts=[prose] * (tries - 1))
        house = House(engine)
        asking = asyncio.ensure_future(house.ask(replace(QUESTION, tool_choice=REQUIRED)))
        await settle()
        house.gateway.abort(TROUBLE)
        events = await asking
        house.assert_nothing_is_held()
        return events[-1:], len(engine.asks)

    assert run(main()) == ([Failed(error=TROUBLE)], tries)


def test_a_demand_is_aborted_between_its_tries() -> None:
    """The second ask is on its way and hears of it as soon as it is there."""

    async def main() -> list[ChatEvent]:
        second = ToolAsk(ScriptedAsk([SILENCE], ()), None)

        async def again() -> ToolAsk:
            await asyncio.sleep(5)
            return second

        first = ToolAsk(ScriptedAsk([[said(PROSE), STOP]], ()), None)
        demand = DemandedAsk(first, again, tool=None, new_call_id=lambda: "c")
        asking = asyncio.ensure_future(_events(demand))
        await asyncio.sleep(1)
        demand.abort(TROUBLE)
        return await asking

    assert run(main()) == [Failed(error=TROUBLE)]


def test_it_lives_as_long_as_its_engine() -> None:
    """Keep-alives are honest about a turn that is held back."""

    async def main() -> bool:
        demand = DemandedAsk(
            ToolAsk(ScriptedAsk([SILENCE], ()), None), None, tool=BASH, new_call_id=lambda: "c"
        )
        return await demand.is_alive()

    assert run(main())


def test_a_turn_is_given_once() -> None:
    """After it comes the end."""

    async def main() -> list[list[ChatEvent]]:
        demand = DemandedAsk(
            ToolAsk(ScriptedAsk([called("a"), [STOP]], ()), None),
            None,
            tool=None,
            new_call_id=lambda: "c",
        )
        return [list(await demand.next_batch()) for _ in range(2)]

    assert run(main()) == [called("a"), []]


def test_finished_is_the_engines_own() -> None:
    """A call that was cut short by the engine is not made whole."""
    heard = _heard([[*called("a")[:-1], Finished(reason=FinishReason.LENGTH)]], route="native")

    assert (heard.reason, heard.asks) == (FinishReason.LENGTH, 1)
