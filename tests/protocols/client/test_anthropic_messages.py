"""The caller's side of Anthropic Messages, against the server's side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import ChatRequest
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
from lingma_cli.core.grammar import Seal
from lingma_cli.errors import FACES, ErrorKind
from lingma_cli.protocols.anthropic_messages import PROTOCOL, Encoder
from lingma_cli.protocols.client.anthropic_messages import Decoder
from tests.support.strategies import byte_cuts, sealed_streams

START = (
    b'data: {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3}}}\n\n'
)
STOP = b'data: {"type": "message_stop"}\n\n'


def decode(*pieces: bytes) -> list[ChatEvent]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def delta(reason: str) -> bytes:
    return b'data: {"type": "message_delta", "delta": {"stop_reason": "%b"}}\n\n' % reason.encode()


def collect(events: Iterable[ChatEvent]) -> Collector:
    collector = Collector()
    collector.feed(events)
    return collector


def told(blocks: Sequence[Block]) -> list[Block]:
    """Return what the wire can tell of blocks: only calls have ids and names."""
    return [
        block if block.kind is BlockKind.TOOL_CALL else Block(kind=block.kind, text=block.text)
        for block in blocks
    ]


@given(st.data(), sealed_streams, st.integers(0, 10**6))
def test_decoding_undoes_encoding(
    data: st.DataObject, events: list[ChatEvent], input_tokens: int
) -> None:
    """Whatever a server of ours streams, a caller of ours gets, however the bytes are cut."""
    request = ChatRequest(model="m", messages=())
    sealed = Seal("m", input_tokens).feed(events)
    sent = collect(sealed)
    wire = Encoder(request, response_id="1", created=1).feed(sealed)

    loose = decode(*data.draw(byte_cuts(wire)))
    got = collect(Seal("forgotten").feed(loose))

    assert told(sent.blocks) == got.blocks
    assert (sent.model, sent.finished) == (got.model, got.finished)
    assert Started(model=sent.model, input_tokens=input_tokens) == loose[0]
    if sent.error is None:
        # The wire always counts, and does not tell an estimate from a count.
        usage = sent.usage or Usage(input_tokens=input_tokens, output_tokens=0)
        assert replace(usage, estimated=False) == got.usage
    else:
        assert got.error is not None
        assert sent.error.message == got.error.message
        types = [FACES[error.kind].anthropic_type for error in (sent.error, got.error)]
        assert types[0] == types[1]


def test_a_stop_sequence_survives() -> None:
    """The caller hears which one ended the answer."""
    end = Finished(reason=FinishReason.STOP, stop_sequence="END")
    encoder = Encoder(ChatRequest(model="m", messages=()), response_id="1", created=1)

    assert end == decode(encoder.feed([Started(model="m"), end]))[-1]


def test_a_stream_is_finished_by_its_last_event_alone() -> None:
    """A stop reason does not end a stream: a server that dies after it has not finished."""
    started = Started(model="m", input_tokens=3)

    assert [started] == decode(START, delta("end_turn"))
    assert Finished(reason=FinishReason.STOP) == decode(START, delta("end_turn"), STOP)[-1]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("pause_turn", FinishReason.STOP),
        ("something_new", FinishReason.STOP),
    ],
)
def test_stop_reasons_are_understood(reason: str, finish: FinishReason) -> None:
    """Anthropic's reasons become ours."""
    assert Finished(reason=finish) == decode(START, delta(reason), STOP)[-1]


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        (ErrorKind.ENGINE_FAILED, [START, STOP]),
        (ErrorKind.ENGINE_FAILED, [START, b"data: {\n\n"]),
        (ErrorKind.ENGINE_FAILED, [b'data: {"type": 1}\n\n']),
        (ErrorKind.ENGINE_FAILED, [b'data: "\xff"\n\n']),
        (ErrorKind.CONTENT_FILTERED, [START, delta("refusal"), STOP]),
        (
            ErrorKind.OVERLOADED,
            [b'data: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'],
        ),
        (
            ErrorKind.ENGINE_FAILED,
            [b'data: {"type": "error", "error": {"type": "something_new"}}\n\n'],
        ),
    ],
)
def test_what_did_not_end_well_is_a_failure(kind: ErrorKind, frames: list[bytes]) -> None:
    """No reason, no JSON, no event, an error or a refusal: none of them passes for an answer."""
    last = decode(*frames)[-1]

    assert isinstance(last, Failed)
    assert kind is last.error.kind


def test_pings_and_what_only_a_server_can_fill_are_passed_over() -> None:
    """Blocks of other types leave no event but a bracket that the seal drops."""
    other = (
        b'data: {"type": "content_block_start", "index": 0, "content_block": '
        b'{"type": "server_tool_use", "id": "s", "name": "web_search"}}\n\n'
        b'data: {"type": "content_block_delta", "index": 0, "delta": {"partial_json": "{}"}}\n\n'
        b'data: {"type": "content_block_stop", "index": 0}\n\n'
    )
    started = Started(model="m", input_tokens=3)

    assert [started, BlockClosed()] == decode(PROTOCOL.ping, START, other)


def test_counts_may_come_in_two_halves() -> None:
    """Older servers tell the input at the start only."""
    frame = b'data: {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 4}}\n\n'

    assert UsageReported(usage=Usage(input_tokens=3, output_tokens=4)) == decode(START, frame)[-1]


def test_a_call_is_read_whole() -> None:
    """Id and name from its start, arguments from its pieces."""
    call = (
        b'data: {"type": "content_block_start", "index": 0, "content_block": '
        b'{"type": "tool_use", "id": "c", "name": "f", "input": {}}}\n\n'
        b'data: {"type": "content_block_delta", "index": 0, "delta": '
        b'{"type": "input_json_delta", "partial_json": "{}"}}\n\n'
    )
    expected: Sequence[ChatEvent] = [
        BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="f"),
        BlockDelta(kind=BlockKind.TOOL_CALL, text="{}"),
    ]

    assert expected == decode(START, call)[1:]
