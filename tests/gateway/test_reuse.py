"""Conversations that go on in a session: which turns, and what is kept of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from lingma_cli.control.registry import EngineState
from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    OutputFormat,
    Role,
    Sampling,
    TextPart,
)
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.core.record import ReuseReason
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.house import House
from tests.support.remembering import (
    FIRST,
    SECOND,
    RememberingEngine,
    housed,
    reason,
    talk,
)
from tests.support.scripted_engine import SILENCE
from tests.support.talks import turns
from tests.support.tool_turns import READ, STOP, call_turn, result_turn, said
from tests.support.virtual_time import settle

BROKEN = LingmaError(ErrorKind.ENGINE_FAILED, "what session?")


def _words(events: Sequence[ChatEvent]) -> str:
    answer = Collector()
    answer.feed(events)
    return answer.text()


def test_from_the_second_turn_on_only_the_new_turn_is_sent() -> None:
    """In the session of the turn before, and the record says so."""

    async def play(house: House, engine: RememberingEngine) -> list[str]:
        lines = ["s:be brief"]
        for turn in range(20):
            lines.append(f"u:{turn}")
            await house.ask(talk(*lines))
            lines.append("a:yes")
        assert engine.dropped == []
        assert engine.asked[0].session is None
        for turn, asked in enumerate(engine.asked[1:], start=1):
            assert asked.session == "s1"
            assert asked.messages == turns(f"u:{turn}")
        return [str(record.reuse) for record in house.records]

    told = housed(play)

    assert told == [
        "new session: the first turn",
        *["reused: the conversation is known"] * 19,
    ]


def test_an_edited_turn_gets_everything_anew() -> None:
    """The record names the message; the old session stays for who goes on there."""

    async def play(house: House, engine: RememberingEngine) -> None:
        lines = [f"{'ua'[turn % 2]}:{'yes' if turn % 2 else turn}" for turn in range(9)]
        for end in range(1, 10, 2):
            await house.ask(talk(*lines[:end]))
        edited = [*lines[:4], "u:edited", *lines[5:], "a:yes", "u:more"]
        await house.ask(talk(*edited))

        told = house.records[-1].reuse
        assert (told.reason, told.message, told.role) == (ReuseReason.DIFFERS, 4, "user")
        assert (engine.asked[-1].session, engine.asked[-1].messages) == (None, turns(*edited))
        await house.ask(talk(*lines, "a:yes", "u:more"))
        assert reason(house) is ReuseReason.CONTINUED

    housed(play)


def test_two_callers_never_share() -> None:
    """The same words under another key are another conversation."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST, caller="key-1")
        await house.ask(SECOND, caller="key-2")
        assert (reason(house), engine.asked[-1].session) == (ReuseReason.UNKNOWN, None)
        await house.ask(SECOND, caller="key-1")
        assert engine.asked[-1].session == "s1"

    housed(play)


# what keeps nothing, and what has nothing to do with sessions

IMAGE = Message(
    role=Role.USER, parts=(MediaPart(kind=MediaKind.IMAGE, reference="a"), TextPart(text="2"))
)
UNFIT: dict[str, tuple[ChatRequest, ReuseReason]] = {
    "tools": (replace(SECOND, tools=(READ,)), ReuseReason.TOOLS),
    "calls in the history": (
        replace(SECOND, messages=(*FIRST.messages, call_turn("a"), result_turn("a"))),
        ReuseReason.TOOLS,
    ),
    "agent": (replace(SECOND, model="agent"), ReuseReason.AGENT_MODE),
    "an answer at the end": (talk("u:1", "a:yes"), ReuseReason.NO_QUESTION),
    "instructions at the end": (talk("u:1", "a:yes", "s:2", "u:2"), ReuseReason.NO_QUESTION),
    "another model": (replace(SECOND, model="other"), ReuseReason.OTHER_SETTINGS),
    "a format": (replace(SECOND, output_format=OutputFormat()), ReuseReason.OTHER_SETTINGS),
}


@pytest.mark.parametrize(("request_", "why"), UNFIT.values(), ids=UNFIT.keys())
def test_what_is_asked_anew(request_: ChatRequest, why: ReuseReason) -> None:
    """The whole conversation goes out, and the session stays where it is."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        await house.ask(request_)
        assert (reason(house), engine.asked[-1].session) == (why, None)
        assert engine.asked[-1].messages[-len(request_.messages) :] == request_.messages
        assert "s1" not in engine.dropped
        await house.ask(SECOND)
        assert engine.asked[-1].session == "s1"

    housed(play)


def test_a_picture_goes_with_the_new_turn() -> None:
    """Several user turns after the last answer are one."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        await house.ask(replace(SECOND, messages=(*SECOND.messages, IMAGE)))
        (turn,) = engine.asked[-1].messages
        assert turn.parts == (TextPart(text="2"), *IMAGE.parts)

    housed(play)


CUT = {
    "stop sequence": (Sampling(stop=("STOP",)), [said("yes STOP no"), STOP], "yes "),
    "length": (Sampling(max_tokens=1), [said("yes " * 30), STOP], None),
    "empty": (Sampling(), [said(" "), STOP], " "),
    "failed": (Sampling(), [said("yes"), Failed(error=BROKEN)], "yes"),
    "just ended": (Sampling(), [said("yes")], "yes"),
}


@pytest.mark.parametrize(("sampling", "events", "answer"), CUT.values(), ids=CUT.keys())
def test_only_a_whole_answer_is_kept(
    sampling: Sampling, events: list[ChatEvent], answer: str | None
) -> None:
    """A session that has heard more, or other things, than the client has is given up."""

    async def play(house: House, engine: RememberingEngine) -> None:
        words = _words(await house.ask(replace(FIRST, sampling=sampling)))
        assert answer is None or words == answer
        assert engine.dropped == ["s1"]
        await house.ask(talk("s:be brief", "u:1", f"a:{words}", "u:2"))
        assert engine.asked[-1].session is None

    housed(play, [events])


def test_a_turn_that_is_left_ends_the_session() -> None:
    """A cancelled turn may have been heard or not."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        asking = asyncio.ensure_future(house.ask(SECOND))
        await settle()
        asking.cancel()
        await asyncio.wait([asking])
        assert engine.dropped == ["s1"]
        await house.ask(SECOND)
        assert (engine.asked[-1].session, engine.asked[-1].messages) == (None, SECOND.messages)

    housed(play, [[said("yes"), STOP]], [[said("y")], SILENCE])


def test_a_client_that_leaves_before_it_has_the_end() -> None:
    """What it has not read it does not know."""

    async def play(house: House, engine: RememberingEngine) -> None:
        async with house.gateway.open(
            FIRST, request_id="r", protocol="p", caller="key-1"
        ) as exchange:
            await exchange.next_batch()
        assert engine.dropped == ["s1"]

    housed(play, [[said("yes")], [STOP]])


# branches


def test_several_answers_to_one_question() -> None:
    """Each has a session of its own, also when they are put one after the other (`n`)."""

    async def play(house: House, engine: RememberingEngine) -> None:
        for _ in range(2):
            await house.ask(FIRST)
        for answer, session in (("oui", "s2"), ("yes", "s1")):
            await house.ask(talk("s:be brief", "u:1", f"a:{answer}", "u:2"))
            assert engine.asked[-1].session == session

    housed(play, [[said("yes"), STOP]], [[said("oui"), STOP]])


def test_a_second_choice_of_a_later_turn_is_asked_anew() -> None:
    """The session has gone on with the first."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        await house.ask(SECOND)
        await house.ask(SECOND)
        assert (reason(house), engine.asked[-1].session) == (ReuseReason.MOVED_ON, None)

    housed(play)


@pytest.mark.parametrize("answer", ["  yes\n", "ye", "something else"])
def test_a_trimmed_or_rewritten_answer(answer: str) -> None:
    """One known answer to the user's turns is enough."""

    async def play(house: House, engine: RememberingEngine) -> str | None:
        await house.ask(FIRST)
        await house.ask(talk("s:be brief", "u:1", f"a:{answer}", "u:2"))
        assert house.records[-1].reuse.is_hit
        return engine.asked[-1].session

    assert housed(play) == "s1"


def test_a_rewritten_answer_among_two() -> None:
    """Nobody guesses."""

    async def play(house: House, engine: RememberingEngine) -> None:
        for _ in range(2):
            await house.ask(FIRST)
        await house.ask(talk("s:be brief", "u:1", "a:si", "u:2"))
        told = house.records[-1].reuse
        assert (told.reason, told.message, told.role) == (ReuseReason.AMBIGUOUS, 2, "assistant")
        assert engine.asked[-1].session is None

    housed(play, [[said("yes"), STOP]], [[said("oui"), STOP]])


# bounds


def test_sessions_are_given_up_in_time() -> None:
    """Also when nobody asks any more."""

    async def play(house: House, engine: RememberingEngine) -> None:
        await house.ask(FIRST)
        await asyncio.sleep(1799)
        assert engine.dropped == []
        await asyncio.sleep(2)
        assert engine.dropped == ["s1"]

    housed(play)


def test_at_the_end_all_are_given_up() -> None:
    """The engine is told."""

    async def play(house: House, engine: RememberingEngine) -> RememberingEngine:
        await house.ask(FIRST)
        return engine

    assert housed(play).dropped == ["s1"]


def test_switched_off() -> None:
    """Each turn is asked as a whole."""

    async def play(house: House, engine: RememberingEngine) -> None:
        for request in (FIRST, SECOND):
            await house.ask(request)
            assert (reason(house), engine.asked[-1].session) == (ReuseReason.OFF, None)
        assert engine.dropped == ["s1", "s2"]

    housed(play, limits=None)


def test_turns_are_counted_by_reason() -> None:
    """For whoever asks how often it works."""

    async def play(house: House, engine: RememberingEngine) -> dict[ReuseReason, int]:
        for request in (FIRST, SECOND, SECOND):
            await house.ask(request)
        return dict(house.gateway.reuse.counts)

    assert housed(play) == {
        ReuseReason.FIRST_TURN: 1,
        ReuseReason.CONTINUED: 1,
        ReuseReason.MOVED_ON: 1,
    }


def test_the_last_turns_are_known_with_their_reasons() -> None:
    """The latest twenty, the oldest first, also one that no engine served."""

    async def play(house: House, engine: RememberingEngine) -> list[tuple[str, str, str]]:
        for turn in range(20):
            await house.ask(talk(f"u:{turn}"))
        house.registry.move(house.registry.slots[0], EngineState.ERROR, BROKEN)
        with pytest.raises(LingmaError):
            await house.ask(talk("u:19", model="m" * 1000))
        last = house.gateway.reuse.last
        assert [turn.id for turn in last] == ["r1"] * 20
        return [(turn.model, turn.engine, str(turn.reuse)) for turn in [*last][-2:]]

    assert housed(play) == [
        ("org_auto", "scripted", "new session: the first turn"),
        ("m" * 100, "", "new session: no engine was chosen"),
    ]
