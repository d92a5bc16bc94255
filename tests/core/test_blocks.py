"""Brackets around blocks."""

from __future__ import annotations

from hypothesis import given

from lingma_cli.core.blocks import BlockBrackets
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
    Usage,
    UsageReported,
)
from tests.support.strategies import loose_streams

TEXT, REASONING, TOOL_CALL = BlockKind.TEXT, BlockKind.REASONING, BlockKind.TOOL_CALL
STOP = Finished(reason=FinishReason.STOP)


def _delta(kind: BlockKind, text: str) -> BlockDelta:
    return BlockDelta(kind=kind, text=text)


def test_bare_deltas_are_bracketed_by_kind() -> None:
    """Deltas without brackets stand in blocks that begin and end where the kind changes."""
    loose: list[ChatEvent] = [_delta(REASONING, "hm"), _delta(TEXT, "a"), _delta(TEXT, "b"), STOP]
    expected: list[ChatEvent] = [
        BlockOpened(kind=REASONING),
        _delta(REASONING, "hm"),
        BlockClosed(),
        BlockOpened(kind=TEXT),
        _delta(TEXT, "a"),
        _delta(TEXT, "b"),
        BlockClosed(),
        STOP,
    ]

    assert expected == BlockBrackets().feed(loose)


def test_given_brackets_stay() -> None:
    """Two tool calls in a row stay two blocks with their own ids."""
    loose: list[ChatEvent] = [
        BlockOpened(kind=TOOL_CALL, call_id="1", name="f"),
        _delta(TOOL_CALL, "{}"),
        BlockClosed(),
        BlockOpened(kind=TOOL_CALL, call_id="2", name="f"),
        _delta(TOOL_CALL, "{}"),
        BlockClosed(),
    ]

    assert loose == BlockBrackets().feed(loose)


def test_an_opening_closes_the_block_before() -> None:
    """A block that nobody closed ends where the next one opens."""
    first, second = (BlockOpened(kind=TOOL_CALL, call_id=id_, name="f") for id_ in "12")

    assert [first, BlockClosed(), second] == BlockBrackets().feed([first, second])


def test_empty_deltas_and_stray_closings_vanish() -> None:
    """What says nothing opens nothing."""
    assert BlockBrackets().feed([_delta(TEXT, ""), BlockClosed()]) == []


def test_usage_inside_a_block_waits_for_its_end() -> None:
    """The last report made inside a block follows its closing."""
    early, late = (
        UsageReported(usage=Usage(input_tokens=1, output_tokens=count)) for count in (2, 3)
    )
    loose: list[ChatEvent] = [_delta(TEXT, "a"), early, late, _delta(TEXT, "b"), STOP]
    kinds = [BlockOpened, BlockDelta, BlockDelta, BlockClosed, UsageReported, Finished]

    bracketed = BlockBrackets().feed(loose)

    assert kinds == [type(event) for event in bracketed]
    assert late in bracketed


def test_arguments_of_no_call_vanish() -> None:
    """Without an opening there is neither a name nor an id that a client could answer to."""
    opened = BlockOpened(kind=TOOL_CALL, call_id="1", name="f")
    loose: list[ChatEvent] = [
        _delta(TOOL_CALL, "{"),
        opened,
        _delta(TOOL_CALL, "{"),
        BlockClosed(),
        _delta(TOOL_CALL, "}"),
    ]

    assert [opened, _delta(TOOL_CALL, "{"), BlockClosed()] == BlockBrackets().feed(loose)


@given(loose_streams)
def test_no_text_is_lost_or_reordered(loose: list[ChatEvent]) -> None:
    """Brackets touch neither the order nor the content of what is said."""

    def said(events: list[ChatEvent]) -> list[tuple[BlockKind, str]]:
        return [
            (event.kind, event.text)
            for event in events
            if isinstance(event, BlockDelta) and event.text and event.kind is not TOOL_CALL
        ]

    assert said(loose) == said(BlockBrackets().feed(loose))
