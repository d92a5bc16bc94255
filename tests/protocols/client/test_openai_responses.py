"""The caller's side of Responses, against the server's side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import ChatRequest, Tool
from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import (
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
from lingma_cli.core.grammar import Seal
from lingma_cli.errors import FACES, ErrorKind
from lingma_cli.protocols.client.openai_responses import Decoder
from lingma_cli.protocols.openai_responses import Encoder
from tests.support.strategies import byte_cuts, seal, sealed_streams

HELLO = b'data: {"type": "response.output_text.delta", "delta": "hello"}\n\n'
COMPLETED = b'data: {"type": "response.completed", "response": {}}\n\n'
DONE = b"data: [DONE]\n\n"
FAILED = b'{"type": "response.failed", "response": {"error": {"code": "%b", "message": "m"}}}'
INCOMPLETE = (
    b'{"type": "response.incomplete", "response": {"incomplete_details": {"reason": "%b"}}}'
)


def decode(*pieces: bytes) -> list[ChatEvent]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def collect(events: Iterable[ChatEvent]) -> Collector:
    collector = Collector()
    collector.feed(events)
    return collector


def told(blocks: Sequence[Block]) -> list[Block]:
    """Return what the wire tells of blocks: calls, and the words of the others that have some."""
    return [
        block if block.kind is BlockKind.TOOL_CALL else Block(kind=block.kind, text=block.text)
        for block in blocks
        if block.text or block.kind is BlockKind.TOOL_CALL
    ]


def code(kind: ErrorKind) -> int:
    """Return what is left of a kind on the wire: the answer to "whose fault is it"."""
    status = FACES[kind].status
    return status if status in (400, 429) else 500


@given(st.data(), sealed_streams)
def test_decoding_undoes_encoding(data: st.DataObject, events: list[ChatEvent]) -> None:
    """Whatever a server of ours streams, a caller of ours gets, however the bytes are cut."""
    encoder = Encoder(ChatRequest(model="m", messages=()), response_id="1", created=1)
    wire = encoder.feed(events)
    sent = collect(events)

    got = collect(Seal("forgotten").feed(decode(*data.draw(byte_cuts(wire)))))

    assert told(sent.blocks) == got.blocks
    assert sent.model == got.model
    assert (sent.usage and replace(sent.usage, estimated=False)) == got.usage
    if sent.error is None:
        assert (sent.reason is FinishReason.LENGTH) == (got.reason is FinishReason.LENGTH)
    else:
        assert got.error is not None
        assert (code(sent.error.kind), sent.error.message) == (
            code(got.error.kind),
            got.error.message,
        )


def test_a_freeform_call_is_bridged_again() -> None:
    """Raw text on the wire is one argument here, as engines know it."""
    tools = (Tool(name="p", custom=True),)
    opened = BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="p")
    arguments = BlockDelta(kind=BlockKind.TOOL_CALL, text='{"input":"a\\"b"}')
    events = seal([[opened, arguments, Finished(reason=FinishReason.TOOL_CALLS)]])
    request = ChatRequest(model="m", messages=(), tools=tools)
    wire = Encoder(request, response_id="1", created=1).feed(events)

    got = collect(Seal("forgotten").feed(decode(wire)))

    expected = Block(kind=BlockKind.TOOL_CALL, text='{"input":"a\\"b"}', call_id="c", name="p")
    assert (got.blocks, got.reason) == ([expected], FinishReason.TOOL_CALLS)


def test_the_terminal_event_ends_a_stream() -> None:
    """`[DONE]` alone is no end: a server that says no more than that has not finished."""
    hello = BlockDelta(kind=BlockKind.TEXT, text="hello")

    assert [hello] == decode(HELLO, DONE)
    assert [hello, Finished(reason=FinishReason.STOP)] == decode(HELLO, COMPLETED, DONE)


@pytest.mark.parametrize("kind", ["reasoning_text", "reasoning_summary_text"])
def test_reasoning_of_both_kinds_is_read(kind: str) -> None:
    """Open models stream their reasoning itself, others a summary of it."""
    frame = b'data: {"type": "response.%b.delta", "delta": "hm"}\n\n' % kind.encode()

    assert [BlockDelta(kind=BlockKind.REASONING, text="hm")] == decode(frame)


@pytest.mark.parametrize(
    ("kind", "frame"),
    [
        (ErrorKind.ENGINE_FAILED, b"{"),
        (ErrorKind.ENGINE_FAILED, b'{"type": 1}'),
        (ErrorKind.ENGINE_FAILED, b'"\xff"'),
        (ErrorKind.ENGINE_FAILED, b'{"type": "response.failed", "response": {}}'),
        (
            ErrorKind.OVERLOADED,
            FAILED.replace(b"%b", b"rate_limit_exceeded"),
        ),
        (ErrorKind.QUOTA_EXCEEDED, b'{"error": {"message": "m", "code": "insufficient_quota"}}'),
        (ErrorKind.INVALID_REQUEST, b'{"type": "error", "message": "m", "code": "invalid_prompt"}'),
        (
            ErrorKind.CONTENT_FILTERED,
            INCOMPLETE.replace(b"%b", b"content_filter"),
        ),
    ],
)
def test_what_did_not_end_well_is_a_failure(kind: ErrorKind, frame: bytes) -> None:
    """No JSON, no event, an error of any form or a filter: none of them passes for an answer."""
    last = decode(HELLO, b"data: %b\n\n" % frame)[-1]

    assert isinstance(last, Failed)
    assert kind is last.error.kind


def test_items_and_events_of_other_kinds_are_passed_over() -> None:
    """A hosted tool's progress, pings and comments say nothing."""
    hosted = b'{"type": "response.output_item.added", "item": {"type": "web_search_call"}}'
    progress = b'{"type": "response.web_search_call.searching", "item_id": "x"}'

    assert decode(b": ping\n\n", b"data: %b\n\ndata: %b\n\n" % (hosted, progress)) == []


def test_missing_usage_details_count_as_none() -> None:
    """Servers that report the two totals only are understood."""
    usage = b'"usage": {"input_tokens": 3, "output_tokens": 4}'
    frame = b'data: {"type": "response.created", "response": {"model": "m", %b}}\n\n' % usage
    report = UsageReported(usage=Usage(input_tokens=3, output_tokens=4))

    assert [Started(model="m"), report] == decode(frame)
