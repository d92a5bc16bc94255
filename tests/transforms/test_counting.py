"""Token counts where the engine gives none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import (
    MediaKind,
    MediaPart,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Usage,
    UsageReported,
)
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.transforms.counting import TokenEstimate, UsageCounter, estimate_input
from tests.support.strategies import cuts, loose_streams, text_cuts, texts

STOP = Finished(reason=FinishReason.STOP)


def _tokens(*pieces: str) -> int:
    total = TokenEstimate()
    for piece in pieces:
        total.add(piece)
    return total.tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 400, 100),
        ("你" * 400, 300),
        ("a" * 200 + "你" * 200, 200),
        ("é" * 8, 4),
        ("😀" * 100, 100),
    ],
)
def test_estimates(text: str, tokens: int) -> None:
    """Four narrow characters are one token, four Chinese ones three."""
    assert tokens == _tokens(text)


@given(texts, st.data())
def test_how_a_text_is_cut_does_not_matter(text: str, data: st.DataObject) -> None:
    """A stream counts as much as the whole answer."""
    assert _tokens(text) == _tokens(*data.draw(text_cuts(text)))


@given(texts, texts)
def test_more_text_is_never_fewer_tokens(text: str, more: str) -> None:
    """Estimates grow."""
    assert _tokens(text) <= _tokens(text, more)


def test_all_turns_are_counted() -> None:
    """Text, reasoning, calls and outputs count, media do not."""
    four = "a" * 16
    parts = (
        TextPart(text=four),
        ReasoningPart(text=four),
        ToolUsePart(call_id="x", name=four, arguments=four),
        ToolOutputPart(call_id="x", text=four),
        MediaPart(kind=MediaKind.IMAGE, reference=four * 100),
    )

    assert estimate_input([Message(role=Role.USER, parts=parts)]) == 20


@pytest.mark.parametrize(
    "end", [STOP, Failed(error=LingmaError(ErrorKind.ENGINE_FAILED, "x"))], ids=["good", "bad"]
)
def test_an_estimate_comes_before_the_end(end: ChatEvent) -> None:
    """Reasoning is part of the output and told apart."""
    events: list[ChatEvent] = [
        BlockDelta(kind=BlockKind.REASONING, text="a" * 8),
        BlockDelta(kind=BlockKind.TEXT, text="a" * 12),
    ]
    usage = Usage(input_tokens=7, output_tokens=5, reasoning_tokens=2, estimated=True)

    assert [*events, UsageReported(usage=usage), end] == UsageCounter(7).feed([*events, end])


def test_real_counts_are_left_alone() -> None:
    """Where the engine counts, nothing is added."""
    events: list[ChatEvent] = [UsageReported(usage=Usage(input_tokens=1, output_tokens=1)), STOP]

    assert events == UsageCounter(7).feed(events)


@given(loose_streams, st.data())
def test_nothing_but_usage_is_added(loose: list[ChatEvent], data: st.DataObject) -> None:
    """All events pass in their order, however they are cut."""
    counter = UsageCounter(0)
    out = [event for batch in data.draw(cuts(loose)) for event in counter.feed(batch)]
    estimates = [e for e in out if isinstance(e, UsageReported) and e not in loose]

    assert loose == [event for event in out if event not in estimates]
