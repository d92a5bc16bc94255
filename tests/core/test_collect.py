"""A whole answer as a fold over its stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from tests.support.strategies import cuts, sealed_streams


def _collected(events: list[ChatEvent]) -> Collector:
    collector = Collector()
    collector.feed(events)
    return collector


def test_a_stream_becomes_its_blocks() -> None:
    """Model, blocks with their ids, usage and reason are what the stream said."""
    usage = Usage(input_tokens=3, output_tokens=4)
    collector = _collected(
        [
            Started(model="m"),
            BlockOpened(kind=BlockKind.REASONING),
            BlockDelta(kind=BlockKind.REASONING, text="hm"),
            BlockClosed(),
            BlockOpened(kind=BlockKind.TOOL_CALL, call_id="1", name="f"),
            BlockDelta(kind=BlockKind.TOOL_CALL, text='{"a"'),
            BlockDelta(kind=BlockKind.TOOL_CALL, text=":1}"),
            BlockClosed(),
            UsageReported(usage=usage),
            Finished(reason=FinishReason.TOOL_CALLS),
        ]
    )
    blocks = [
        Block(kind=BlockKind.REASONING, text="hm"),
        Block(kind=BlockKind.TOOL_CALL, text='{"a":1}', call_id="1", name="f"),
    ]

    assert blocks == collector.blocks
    assert ("m", usage, FinishReason.TOOL_CALLS, None) == (
        collector.model,
        collector.usage,
        collector.reason,
        collector.error,
    )
    assert (collector.text(BlockKind.REASONING), collector.text()) == ("hm", "")


@given(sealed_streams, st.data())
def test_batches_do_not_matter(events: list[ChatEvent], data: st.DataObject) -> None:
    """The fold is the same however the stream is cut."""
    pieces = Collector()
    for batch in data.draw(cuts(events)):
        pieces.feed(batch)

    assert _collected(events) == pieces


@given(sealed_streams)
def test_the_fold_holds_what_the_stream_said(events: list[ChatEvent]) -> None:
    """Each kind's text, the last usage and the end are those of the stream."""
    collector = _collected(events)
    usages = [event.usage for event in events if isinstance(event, UsageReported)]
    end = events[-1]

    for kind in BlockKind:
        said = [e.text for e in events if isinstance(e, BlockDelta) and e.kind is kind]
        assert "".join(said) == collector.text(kind)
    assert (usages[-1] if usages else None) == collector.usage
    assert (end.error if isinstance(end, Failed) else None) is collector.error
    assert (end if isinstance(end, Finished) else None) is collector.finished
