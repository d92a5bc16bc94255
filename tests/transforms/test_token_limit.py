"""The token limit, by our own estimate."""

from __future__ import annotations

import pytest
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
    UsageReported,
)
from lingma_cli.core.notes import codes
from lingma_cli.transforms.counting import TokenEstimate, UsageCounter
from lingma_cli.transforms.token_limit import TokenLimit
from tests.support.strategies import cuts, is_sentence, sealed_streams, text_cuts, texts

STOP = Finished(reason=FinishReason.STOP)
CUT = Finished(reason=FinishReason.LENGTH)
CALL = BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="f")
LONG = BlockDelta(kind=BlockKind.TOOL_CALL, text="a" * 400)


def _text(text: str) -> BlockDelta:
    return BlockDelta(kind=BlockKind.TEXT, text=text)


def _tokens(text: str) -> int:
    estimate = TokenEstimate()
    estimate.add(text)
    return estimate.tokens


@pytest.mark.parametrize("text", ["a" * 400, "你" * 40, "😀" * 30])
def test_a_long_answer_is_cut_at_the_limit(text: str) -> None:
    """The text that goes out has as many tokens as were asked for, and a note tells of the cut."""
    limit = TokenLimit(10)

    delta, end = limit.feed([_text(text), STOP])

    assert isinstance(delta, BlockDelta)
    assert text.startswith(delta.text)
    assert (_tokens(delta.text), end, limit.ended) == (10, CUT, True)
    assert codes(limit.notes) == ("max_tokens_estimated",)


def test_an_answer_within_the_limit_is_left_alone() -> None:
    """Exactly as many tokens as asked for are not too many."""
    limit = TokenLimit(10)
    events: list[ChatEvent] = [_text("a" * 40), STOP]

    assert events == limit.feed(events)
    assert (limit.ended, limit.notes) == (False, [])


def test_reasoning_counts() -> None:
    """It is part of what the model wrote."""
    events: list[ChatEvent] = [
        BlockDelta(kind=BlockKind.REASONING, text="a" * 40),
        _text("b" * 40),
        STOP,
    ]
    *_, delta, end = TokenLimit(15).feed(events)

    assert (_tokens(delta.text) if isinstance(delta, BlockDelta) else 0, end) == (5, CUT)


def test_nothing_follows_the_cut() -> None:
    """Later batches are dropped."""
    limit = TokenLimit(1)
    limit.feed([_text("a" * 40)])

    assert limit.feed([_text("a"), STOP]) == []


def test_a_call_is_never_cut_inside() -> None:
    """A call that goes beyond the limit is completed, and may be the answer's end."""
    events: list[ChatEvent] = [CALL, LONG, BlockClosed(), Finished(reason=FinishReason.TOOL_CALLS)]
    limit = TokenLimit(10)

    assert events == limit.feed(events)
    assert not limit.ended


@pytest.mark.parametrize("more", [_text("b"), CALL], ids=["text", "call"])
def test_the_stream_ends_after_a_call_beyond_the_limit(more: ChatEvent) -> None:
    """What comes after the call is not begun."""
    call: list[ChatEvent] = [CALL, LONG, BlockClosed()]

    assert [*call, CUT] == TokenLimit(10).feed([*call, more, STOP])


@given(texts.map(lambda text: text * 8), st.integers(1, 60), st.data())
def test_any_cut_reads_alike(text: str, most: int, data: st.DataObject) -> None:
    """How the text was cut on its way does not matter."""

    def read(pieces: list[str]) -> tuple[str, ChatEvent]:
        *deltas, end = TokenLimit(most).feed([*map(_text, pieces), STOP])
        return "".join(delta.text for delta in deltas if isinstance(delta, BlockDelta)), end

    assert read([text]) == read(data.draw(text_cuts(text)))


@given(sealed_streams, st.integers(1, 20), st.data())
def test_a_sealed_stream_stays_sealed(
    events: list[ChatEvent], most: int, data: st.DataObject
) -> None:
    """Brackets are kept, and the cut closes the open block."""
    limit = TokenLimit(most)

    out = [event for batch in data.draw(cuts(events)) for event in limit.feed(batch)]

    assert is_sentence(out)


@given(st.lists(st.builds(BlockDelta, kind=st.sampled_from(list(BlockKind)[:2]), text=texts)))
def test_the_usage_stays_within_the_limit(deltas: list[ChatEvent]) -> None:
    """The counts that are reported for the cut answer agree with the limit."""
    out = UsageCounter(0).feed(TokenLimit(5).feed([*deltas, STOP]))
    (report,) = [event for event in out if isinstance(event, UsageReported)]

    assert report.usage.output_tokens <= 5
