"""Answers that may hold one call only."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.collect import Collector
from lingma_cli.core.events import BlockClosed, BlockDelta, BlockKind, BlockOpened, ChatEvent
from lingma_cli.core.notes import codes
from lingma_cli.transforms.single_call import SingleCall
from tests.support.playbook import transcript
from tests.support.strategies import cuts, is_sentence, seal, sealed_streams
from tests.support.tool_turns import STOP, called, said


def test_calls_after_the_first_are_left_out() -> None:
    """Wherever they stand; text stays, and one note tells of it."""
    single = SingleCall()
    batches = [called("a")[:-1], [said("and")], called("b", "c")]
    events = seal([single.feed(batch) for batch in batches])

    assert is_sentence(events)
    assert transcript(events) == [("tool_call", "{}"), ("text", "and"), ("finished", "tool_calls")]
    assert [event.call_id for event in events if isinstance(event, BlockOpened)] == ["a", ""]
    assert codes(single.notes) == ("calls_dropped",)
    assert len(single.notes) == 1


def test_one_call() -> None:
    """Nothing changes, and nothing is noted."""
    single = SingleCall()
    events = [said("so"), *called("a")]

    assert single.feed(events) == events
    assert SingleCall().feed([STOP]) == [STOP]
    assert single.notes == []


@given(st.data())
def test_all_else_stays(data: st.DataObject) -> None:
    """Of any stream the first call remains, and what was no call."""
    whole = data.draw(sealed_streams)
    single = SingleCall()
    events = seal([single.feed(batch) for batch in data.draw(cuts(whole))])
    calls, kept = _calls(whole), _calls(events)

    assert is_sentence(events)
    assert kept == calls[:1]
    assert codes(single.notes) == (("calls_dropped",) if len(calls) > 1 else ())
    assert _rest(events) == _rest(whole)


def _calls(events: Sequence[ChatEvent]) -> list[tuple[str, str, str]]:
    answer = Collector()
    answer.feed(events)
    calls = [block for block in answer.blocks if block.kind is BlockKind.TOOL_CALL]
    return [(block.call_id, block.name, block.text) for block in calls]


def _rest(events: Sequence[ChatEvent]) -> list[ChatEvent]:
    return [
        event
        for event in events
        if not isinstance(event, BlockOpened | BlockClosed)
        and not (isinstance(event, BlockDelta) and event.kind is BlockKind.TOOL_CALL)
    ]
