"""Reasoning that is not asked for."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
)
from lingma_cli.core.notes import codes
from lingma_cli.transforms.hidden_reasoning import HiddenReasoning
from tests.support.playbook import transcript
from tests.support.strategies import cuts, is_sentence, loose_streams, seal

THOUGHT = BlockDelta(kind=BlockKind.REASONING, text="hm")
TEXT = BlockDelta(kind=BlockKind.TEXT, text="yes")
STOP = Finished(reason=FinishReason.STOP)


def test_it_leaves_no_trace_but_a_note() -> None:
    """With brackets or without, however often it comes."""
    hidden = HiddenReasoning()
    opened = BlockOpened(kind=BlockKind.REASONING)
    batches: list[list[ChatEvent]] = [
        [THOUGHT, TEXT],
        [opened, THOUGHT],
        [THOUGHT, BlockClosed(), TEXT],
        [STOP],
    ]
    events = seal([hidden.feed(batch) for batch in batches])

    assert is_sentence(events)
    assert transcript(events) == [("text", "yesyes"), ("finished", "stop")]
    assert not [event for event in events if isinstance(event, BlockOpened) and event == opened]
    assert codes(hidden.notes) == ("reasoning_hidden",)
    assert len(hidden.notes) == 1


def test_an_answer_without_reasoning() -> None:
    """Nothing changes, and nothing is noted."""
    hidden = HiddenReasoning()

    assert hidden.feed([TEXT, STOP]) == [TEXT, STOP]
    assert hidden.notes == []


@given(st.data())
def test_all_else_stays(data: st.DataObject) -> None:
    """Sealed, a stream without its reasoning says what it said, and tells when it says less."""
    loose = data.draw(loose_streams)
    hidden = HiddenReasoning()
    shown = seal([hidden.feed(batch) for batch in data.draw(cuts(loose))])
    kept = [line for line in transcript(seal([loose])) if line[0] != "reasoning"]
    joined = [
        (kind, "".join(text for _, text in lines))
        for kind, lines in groupby(kept, key=lambda line: line[0])
    ]

    assert is_sentence(shown)
    assert joined == transcript(shown)
