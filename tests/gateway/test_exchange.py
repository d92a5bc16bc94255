"""One exchange: sealed events in the order and the batches in which they came."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    UsageReported,
)
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.exchange import Exchange
from lingma_cli.gateway.records import RecordKeeper
from lingma_cli.transforms.stop_sequences import StopSequences
from tests.support.scripted_engine import SILENCE, Script, ScriptedAsk
from tests.support.strategies import cuts, is_sentence, loose_streams
from tests.support.virtual_time import run

REQUEST = ChatRequest(model="m", messages=())


def _keeper() -> RecordKeeper:
    return RecordKeeper("r", caller="c", protocol="p", clock=lambda: 0.0)


def _exchange(script: Script) -> tuple[Exchange, ScriptedAsk]:
    ask = ScriptedAsk(script, ())
    return Exchange(REQUEST, ask, (), _keeper()), ask


@given(loose_streams.flatmap(cuts))
def test_whatever_an_engine_says_is_a_sentence(batches: list[list[ChatEvent]]) -> None:
    """Empty batches end it, late events vanish, and after the end there is nothing."""

    async def main() -> tuple[list[ChatEvent], Finished | Failed | None, object]:
        exchange, _ = _exchange(batches)
        events: list[ChatEvent] = []
        while batch := await exchange.next_batch():
            events += batch
        return events, exchange.end, await exchange.next_batch()

    events, end, after = run(main())
    heard: list[ChatEvent] = []
    for batch in batches:
        if not batch:
            break
        heard += batch
    stop = next((i for i, e in enumerate(heard) if isinstance(e, Finished | Failed)), len(heard))

    assert is_sentence(events)
    assert (events[-1], []) == (end, after)
    assert _said(heard[:stop]) == _said(events)


def _said(events: list[ChatEvent]) -> str:
    deltas = [event for event in events if isinstance(event, BlockDelta)]
    return "".join(delta.text for delta in deltas if delta.kind is not BlockKind.TOOL_CALL)


def test_what_a_stage_holds_back_is_told_before_a_bad_end() -> None:
    """An engine that just stops loses no word, and is counted like any other."""

    async def main() -> list[ChatEvent]:
        ask = ScriptedAsk([[BlockDelta(kind=BlockKind.TEXT, text="and ST")]], ())
        exchange = Exchange(REQUEST, ask, (StopSequences(("STOP",)),), _keeper())
        events: list[ChatEvent] = []
        while batch := await exchange.next_batch():
            events += batch
        return events

    events = run(main())

    assert _said(events) == "and ST"
    assert [type(event) for event in events[-2:]] == [UsageReported, Failed]


def test_no_error_outlives_its_exchange() -> None:
    """It leads to all frames that it went through, and these to the request and its answer."""
    made: list[weakref.ref[LingmaError]] = []

    class Broken(ScriptedAsk):
        async def next_batch(self) -> list[ChatEvent]:
            error = LingmaError(ErrorKind.ENGINE_FAILED, "broke")
            made.append(weakref.ref(error))
            raise error

    async def main() -> None:
        exchange = Exchange(REQUEST, Broken((), ()), (), _keeper())
        assert isinstance((await exchange.next_batch())[-1], Failed)

    run(main())
    gc.collect()

    assert [error() for error in made] == [None]


def test_aborting_ends_the_events_with_the_reason() -> None:
    """The client reads why."""
    error = LingmaError(ErrorKind.SHUTTING_DOWN, "bye")

    async def main() -> Finished | Failed | None:
        exchange, _ = _exchange([SILENCE])
        exchange.abort(error)
        await exchange.next_batch()
        return exchange.end

    assert run(main()) == Failed(error=error)
