"""The caller's side of Chat Completions, against the server's side."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import ChatRequest, Role, TextPart
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
from lingma_cli.errors import ErrorKind
from lingma_cli.protocols.client.openai_chat import Decoder, Turn, encode_request
from lingma_cli.protocols.custom_tools import bridged, to_arguments, to_text
from lingma_cli.protocols.openai_chat import Encoder
from lingma_cli.protocols.openai_chat_parse import parse
from tests.support.strategies import byte_cuts, seal, sealed_streams, texts

HELLO = b'data: {"model": "m", "choices": [{"delta": {"content": "hello"}}]}\n\n'
STOP = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def decode(*pieces: bytes) -> list[ChatEvent]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)]


def collect(events: Iterable[ChatEvent]) -> Collector:
    collector = Collector()
    collector.feed(events)
    return collector


def told(blocks: Sequence[Block]) -> list[Block]:
    """Return what the wire can tell of blocks: neighbours of one kind are one, empty ones none."""
    merged: list[Block] = []
    for kind, group in groupby(blocks, key=lambda block: block.kind):
        if kind is BlockKind.TOOL_CALL:
            merged += group
        elif text := "".join(block.text for block in group):
            merged.append(Block(kind=kind, text=text))
    return merged


def non_empty(blocks: Sequence[Block]) -> list[Block]:
    return [block for block in blocks if block.text or block.kind is BlockKind.TOOL_CALL]


@given(st.data(), sealed_streams)
def test_decoding_undoes_encoding(data: st.DataObject, events: list[ChatEvent]) -> None:
    """Whatever a server of ours streams, a caller of ours gets, however the bytes are cut."""
    encoder = Encoder(
        ChatRequest(model="m", messages=(), include_usage=True), response_id="1", created=1
    )
    wire = encoder.feed(events)
    sent = collect(events)

    got = collect(Seal("forgotten").feed(decode(*data.draw(byte_cuts(wire)))))

    assert told(non_empty(sent.blocks)) == told(got.blocks)
    assert (sent.model, sent.reason) == (got.model, got.reason)
    if sent.error is None:
        assert (sent.usage and replace(sent.usage, estimated=False)) == got.usage
    else:
        assert got.error is not None
        assert (sent.error.kind, sent.error.message) == (got.error.kind, got.error.message)


@given(st.data(), st.lists(texts, min_size=1, max_size=3), texts)
def test_freeform_calls_come_back_as_functions(
    data: st.DataObject, inputs: list[str], text: str
) -> None:
    """Their raw text is the input of the function that stands for them, and order is kept."""
    request = ChatRequest(model="m", messages=(), tools=(bridged("p", "", None),))
    loose: list[ChatEvent] = []
    for number, given_input in enumerate(inputs):
        call_id, arguments = f"c{number}", to_arguments(given_input)
        loose += [
            BlockOpened(kind=BlockKind.TOOL_CALL, call_id=call_id, name="p"),
            BlockDelta(kind=BlockKind.TOOL_CALL, text=arguments),
            BlockDelta(kind=BlockKind.TEXT, text=text),
        ]
    events = seal([[*loose, Finished(reason=FinishReason.TOOL_CALLS)]])
    wire = Encoder(request, response_id="1", created=1).feed(events)

    got = collect(Seal("forgotten").feed(decode(*data.draw(byte_cuts(wire)))))

    assert told(non_empty(collect(events).blocks)) == told(got.blocks)


def test_a_freeform_call_in_pieces() -> None:
    """Other servers stream its raw text."""
    frame = b'data: {"choices": [{"delta": {"tool_calls": [{"index": 0, %b}]}}]}\n\n'
    first = frame.replace(b"%b", b'"id": "c", "custom": {"name": "p", "input": "a"}')
    second = frame.replace(b"%b", b'"custom": {"input": "b"}')
    reason = STOP.replace(b"stop", b"tool_calls")
    (block,) = collect(Seal("m").feed(decode(first, second, reason, DONE))).blocks

    assert (block.call_id, block.name, to_text(block.text)) == ("c", "p", "ab")


def test_a_stream_is_finished_by_done_alone() -> None:
    """A finish reason does not end a stream: a server that dies after it has not finished."""
    started = [Started(model="m"), BlockDelta(kind=BlockKind.TEXT, text="hello")]

    assert started == decode(HELLO, STOP)
    assert [*started, Finished(reason=FinishReason.STOP)] == decode(HELLO, STOP, DONE)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("something_new", FinishReason.STOP),
    ],
)
def test_finish_reasons_are_understood(reason: str, finish: FinishReason) -> None:
    """Old and new names of the reasons become ours."""
    frame = b'data: {"choices": [{"delta": {}, "finish_reason": "%b"}]}\n\n' % reason.encode()

    assert Finished(reason=finish) == decode(HELLO, frame, DONE)[-1]


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        (ErrorKind.ENGINE_FAILED, [HELLO, DONE]),
        (ErrorKind.ENGINE_FAILED, [HELLO, b"data: {\n\n"]),
        (ErrorKind.ENGINE_FAILED, [b'data: {"choices": 1}\n\n']),
        (ErrorKind.ENGINE_FAILED, [b'data: "\xff"\n\n']),
        (ErrorKind.QUOTA_EXCEEDED, [b'data: {"error": {"message": "m", "code": "%b"}}\n\n']),
        (
            ErrorKind.CONTENT_FILTERED,
            [b'data: {"choices": [{"delta": {}, "finish_reason": "content_filter"}]}\n\n', DONE],
        ),
    ],
)
def test_what_did_not_end_well_is_a_failure(kind: ErrorKind, frames: list[bytes]) -> None:
    """No reason, no JSON, no chunk, an error or a filter: none of them passes for an answer."""
    last = decode(*(frame.replace(b"%b", b"insufficient_quota") for frame in frames))[-1]

    assert isinstance(last, Failed)
    assert kind is last.error.kind


def test_other_choices_and_comments_are_passed_over() -> None:
    """Only the first choice is read; pings are no chunks."""
    other = b'data: {"choices": [{"index": 1, "delta": {"content": "x"}}]}\n\n'

    assert [Started(model="")] == decode(b": ping\n\n", other)


def test_missing_usage_details_count_as_none() -> None:
    """Servers that report the two totals only are understood."""
    frame = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'

    assert UsageReported(usage=Usage(input_tokens=3, output_tokens=4)) == decode(frame)[-1]


def test_a_request_is_what_the_server_parses() -> None:
    """The turns arrive in order, and the answer is asked for as a stream with usage."""
    turns = [Turn(role=Role.SYSTEM, text="be brief"), Turn(role=Role.USER, text="你好 👋")]

    request = parse(encode_request(turns, model="kmodel"))

    said = [(message.role, message.parts) for message in request.messages]
    assert [(turn.role, (TextPart(text=turn.text),)) for turn in turns] == said
    assert (request.model, request.stream, request.include_usage) == ("kmodel", True, True)


def test_without_a_model_the_server_chooses() -> None:
    """No name is made up for the model."""
    assert b"model" not in encode_request([Turn(role=Role.USER, text="hi")])
