"""Embeddings and completions on their way to an engine, and back as they come."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lingma_cli.control.registry import EngineState
from lingma_cli.core.chat import AskMode
from lingma_cli.core.events import Usage
from lingma_cli.core.record import Attempt, Record, Reuse, ReuseReason
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.errands import Completions
from lingma_cli.gateway.failover import RetryOptions
from tests.support.house import NAMES
from tests.support.passing_engine import (
    GOOD,
    VECTORS,
    WHOLE,
    Passing,
    PassingEngine,
    Piece,
    bodies,
    completer,
    embedder,
    event,
    refused,
)
from tests.support.scripted_engine import SILENCE
from tests.support.virtual_time import run, settle

BROKEN = LingmaError(ErrorKind.ENGINE_FAILED, "it broke")
AWAY = LingmaError(ErrorKind.ENGINE_UNAVAILABLE, "it is away")


def names(record: Record) -> list[str]:
    """Return the engines that were tried."""
    return [attempt.engine for attempt in record.attempts]


def test_a_stream_passes_as_it_is() -> None:
    """Its bytes are left alone, and the record knows what they say."""
    slot = completer()
    house = Passing(slot)

    assert b"".join(run(house.complete("The m"))) == WHOLE
    assert bodies(slot) == [{"model": "m", "prompt": "hi", "stream": True}]
    record = house.record
    assert (record.protocol, record.end, record.model) == ("openai_completions", "length", "m")
    assert record.usage == Usage(input_tokens=3, output_tokens=2)
    assert record.attempts == (Attempt(engine="a", generation=1),)
    assert record.reuse == Reuse(reason=ReuseReason.NO_MEMORY)
    assert slot.answered == 1
    assert house.tallies.totals.success == 1
    house.assert_nothing_is_held()


@pytest.mark.parametrize("error", [BROKEN, AWAY])
def test_another_engine_is_asked(error: LingmaError) -> None:
    """Before the first byte, with each attempt in the record."""
    first, second = completer([error], name="a"), completer(name="b")
    house = Passing(first, second)

    assert b"".join(run(house.complete())) == WHOLE
    assert house.record.attempts == (
        Attempt(engine="a", generation=1, error=error.kind.value),
        Attempt(engine="b", generation=1),
    )
    house.assert_nothing_is_held()


def test_embeddings_move_too() -> None:
    """To an engine that makes the same vectors."""
    house = Passing(embedder("e", refusal=BROKEN), embedder("f", "gte"), embedder("g"))

    assert run(house.embed("bge")) == VECTORS
    assert names(house.record) == ["e", "g"]


def test_after_the_first_byte_nobody_else_is_asked() -> None:
    """The client has half an answer."""
    house = Passing(completer([event("a"), BROKEN]), completer(name="b"))

    assert refused(house.complete) is BROKEN
    assert names(house.record) == ["a"]


def test_after_a_sign_of_life_nobody_else_is_asked() -> None:
    """The client has heard of it."""
    house = Passing(completer([SILENCE]), completer(name="b"))

    async def main() -> None:
        async with house.forwarding.open(
            Completions(), {"prompt": ""}, request_id="r", caller="c", headers={}
        ) as forward:
            chunk = asyncio.ensure_future(forward.next_chunk())
            await settle()
            assert await forward.is_alive()
            forward.abort(BROKEN)
            await chunk

    assert refused(main) is BROKEN
    assert names(house.record) == ["a"]


def test_a_frozen_engine_gives_no_sign_of_life() -> None:
    """What does not answer a check may be dead."""
    slot = completer([SILENCE])
    assert isinstance(slot.engine, PassingEngine)
    slot.engine.is_well = False

    async def main() -> bool:
        async with Passing(slot).forwarding.open(
            Completions(), {"prompt": ""}, request_id="r", caller="c", headers={}
        ) as forward:
            return await forward.is_alive()

    assert not run(main())


def test_what_kills_engines_is_put_twice_at_most() -> None:
    """A third one is left alone."""
    slots = [completer([BROKEN], name=name) for name in "abc"]
    house = Passing(*slots)

    assert refused(house.complete) is BROKEN
    assert names(house.record) == ["a", "b"]


def test_refusals_of_the_request_are_final() -> None:
    """Another engine would say the same."""
    bad = LingmaError(ErrorKind.INVALID_REQUEST, "too long")
    house = Passing(completer([bad]), completer(name="b"))

    assert refused(house.complete) is bad
    assert names(house.record) == ["a"]


def test_retries_can_be_switched_off() -> None:
    """One attempt is one."""
    house = Passing(completer([AWAY]), completer(name="b"), retry=RetryOptions(attempts=1))

    assert refused(house.complete) is AWAY


def test_an_open_breaker_is_avoided() -> None:
    """An engine that has failed too often gets nothing for a while."""
    first, second = completer([BROKEN], name="a"), completer(name="b")
    house = Passing(first, second)
    while first.breaker.admits():
        house.registry.heard(first, BROKEN)

    run(house.complete())
    house.registry.move(second, EngineState.ERROR, AWAY)

    assert names(house.records[0]) == ["b"]
    assert not bodies(first)


def test_what_goes_well_is_heard_of() -> None:
    """A used-up quota is back when an answer comes."""
    slot = completer()
    house = Passing(slot)
    house.registry.heard(slot, LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up"))

    run(house.complete())

    assert not slot.cooldown.is_cold


def test_who_failed_is_given_back_before_another_is_asked() -> None:
    """Nobody holds two places."""
    first, second = completer([BROKEN]), completer([event("a"), SILENCE], name="b")
    house = Passing(first, second)

    async def main() -> None:
        asked = asyncio.ensure_future(house.complete())
        await asyncio.sleep(5)
        assert (first.in_flight, second.in_flight) == (0, 1)
        asked.cancel()
        await asyncio.wait([asked])

    run(main())


def test_what_fails_after_the_first_byte_is_heard_of() -> None:
    """The next request goes elsewhere."""
    spent = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")
    first, second = completer([event("a"), spent]), completer(name="b")
    house = Passing(first, second)

    refused(house.complete)
    run(house.complete())

    assert [record.engine for record in house.records] == ["a", "b"]


def test_answers_that_break_off_add_up() -> None:
    """Those that begin well and end badly; a good one in between ends the row."""
    broken: list[Piece] = [event("a"), BROKEN]
    slot = completer(broken, broken, GOOD, broken)
    house, seen = Passing(slot), list[int]()
    for is_good in (False, False, True, False):
        if is_good:
            run(house.complete())
        else:
            refused(house.complete)
        seen.append(slot.breaker.failures)

    assert seen == [1, 2, 0, 1]


def test_an_answer_that_is_left_is_no_success() -> None:
    """It tells nothing of the engine."""
    slot = completer([event("a"), SILENCE])
    house = Passing(slot)
    house.registry.heard(slot, BROKEN)

    async def main() -> None:
        asked = asyncio.ensure_future(house.complete())
        await settle()
        asked.cancel()
        await asyncio.wait([asked])

    run(main())

    assert slot.breaker.failures == 1


def test_agent_mode_is_none_of_its_business() -> None:
    """A default of chat does not switch the other engine off."""
    house = Passing(
        completer([BROKEN]),
        completer(name="b"),
        names=replace(NAMES, default_mode=AskMode.AGENT),
    )

    run(house.complete())

    assert names(house.record) == ["a", "b"]


def test_failures_open_the_breaker() -> None:
    """The registry hears of each."""
    slot = completer([BROKEN])
    house = Passing(slot)
    for _ in range(100):
        if not slot.breaker.admits():
            break
        refused(house.complete)

    assert refused(house.complete).kind is ErrorKind.ENGINE_UNAVAILABLE
    assert slot.breaker.rest > 0


@pytest.mark.parametrize("pieces", [[SILENCE], [event("a"), SILENCE]])
def test_abort_ends_what_is_under_way(pieces: list[Piece]) -> None:
    """At shutdown, before the first byte or after it."""
    house = Passing(completer(pieces), completer(name="b"))
    closing = LingmaError(ErrorKind.SHUTTING_DOWN, "closing")

    async def main() -> None:
        asked = asyncio.ensure_future(house.complete())
        await settle()
        house.forwarding.abort(closing)
        await asked

    assert refused(main) is closing
    assert (house.record.end, names(house.record)) == ("shutting_down", ["a"])
    house.assert_nothing_is_held()


def test_leaving_cancels_upstream() -> None:
    """A client that goes gives everything back."""
    house = Passing(completer([event("a"), SILENCE]))

    async def main() -> None:
        asked = asyncio.ensure_future(house.complete())
        await settle()
        assert house.admission.in_flight == 1
        asked.cancel()
        await asyncio.wait([asked])

    run(main())

    assert house.record.end == "cancelled"
    house.assert_nothing_is_held()
