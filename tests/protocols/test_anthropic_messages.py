"""Anthropic Messages: events out, and the law that both modes say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Collector
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
)
from lingma_cli.core.grammar import Seal
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.anthropic_messages import PROTOCOL, Encoder, render
from lingma_cli.protocols.sse import SseReader
from tests.support.strategies import sealed_streams

# `message_start`, whole blocks, then the end; a block's letters are start, delta*, stop.
GRAMMAR = re.compile(r"M(BD*S)*(UE|X)")
LETTERS = {
    "message_start": "M",
    "content_block_start": "B",
    "content_block_delta": "D",
    "content_block_stop": "S",
    "message_delta": "U",
    "message_stop": "E",
    "error": "X",
}


def _request(*, show: bool = True) -> ChatRequest:
    return ChatRequest(model="m", messages=(), show_reasoning=show)


def _stream(events: Sequence[ChatEvent], *, show: bool = True) -> list[Any]:
    encoder = Encoder(_request(show=show), response_id="x", created=0)
    return [json.loads(frame) for frame in SseReader().feed(encoder.feed(events))]


def _body(events: Sequence[ChatEvent], *, show: bool = True) -> Any:
    answer = Collector()
    answer.feed(events)
    return json.loads(render([answer], _request(show=show), response_id="x", created=0))


def _fold(frames: Sequence[Any]) -> Any:
    """Put frames together as Anthropic's SDKs do."""
    message = dict(frames[0]["message"])
    pieces: list[str] = []
    for frame in frames:
        match frame["type"]:
            case "content_block_start":
                assert frame["index"] == len(message["content"])
                message["content"].append(frame["content_block"])
                pieces.clear()
            case "content_block_delta":
                assert frame["index"] == len(message["content"]) - 1
                _, piece = frame["delta"].values()
                pieces.append(piece)
            case "content_block_stop":
                _fill(message["content"][frame["index"]], "".join(pieces))
            case "message_delta":
                message |= frame["delta"]
                message["usage"] |= frame["usage"]
    return message


def _fill(block: dict[str, Any], text: str) -> None:
    if block["type"] != "tool_use":
        block[block["type"]] = text
    elif text:
        try:
            block["input"] = json.loads(text)
        except ValueError:
            block["input"] = text


good_streams = sealed_streams.filter(lambda events: isinstance(events[-1], Finished))


@given(good_streams, st.booleans())
def test_the_stream_and_the_body_say_the_same(events: list[ChatEvent], show: bool) -> None:
    """Folding the frames gives what the non-streaming body holds."""
    assert _body(events, show=show) == _fold(_stream(events, show=show))


@given(sealed_streams, st.booleans())
def test_every_stream_obeys_the_grammar(events: list[ChatEvent], show: bool) -> None:
    """One start, whole blocks without gaps in their indexes, one end."""
    frames = _stream(events, show=show)

    assert GRAMMAR.fullmatch("".join(LETTERS[frame["type"]] for frame in frames))
    starts = [frame["index"] for frame in frames if frame["type"] == "content_block_start"]
    assert list(range(len(starts))) == starts


@given(sealed_streams)
def test_every_frame_is_named(events: list[ChatEvent]) -> None:
    """SDKs read the `event:` line, and it says what the data say."""
    encoder = Encoder(_request(), response_id="x", created=0)
    *frames, rest = encoder.feed(events).decode().split("\n\n")

    assert rest == ""
    for frame in frames:
        name, data = frame.removeprefix("event: ").split("\ndata: ")
        assert name == json.loads(data)["type"]


def test_a_ping_is_named_too() -> None:
    """The keep-alive of this protocol is an event."""
    assert PROTOCOL.ping == b'event: ping\ndata: {"type":"ping"}\n\n'


@given(sealed_streams)
def test_reasoning_that_is_not_wanted_is_nowhere(events: list[ChatEvent]) -> None:
    """Neither mode shows a thinking block."""
    frames = json.dumps(_stream(events, show=False))

    assert '"thinking_delta"' not in frames
    assert '"type": "thinking"' not in frames
    assert all(block["type"] != "thinking" for block in _body(events, show=False)["content"])


def test_no_signature_is_made_up() -> None:
    """A thinking block opens with an empty signature, and none follows."""
    reasoning: list[ChatEvent] = [BlockDelta(kind=BlockKind.REASONING, text="hm")]
    frames = _stream(Seal("m").feed([*reasoning, Finished(reason=FinishReason.STOP)]))

    assert frames[1]["content_block"] == {"type": "thinking", "thinking": "", "signature": ""}
    assert "signature_delta" not in json.dumps(frames)


def test_a_calls_input_comes_in_pieces() -> None:
    """It is empty at the start: clients lose an input that stands there whole."""
    events: list[ChatEvent] = [
        Started(model="m"),
        BlockOpened(kind=BlockKind.TOOL_CALL, call_id="call_1", name="f"),
        BlockDelta(kind=BlockKind.TOOL_CALL, text='{"a"'),
        BlockDelta(kind=BlockKind.TOOL_CALL, text=":1}"),
        BlockClosed(),
        Finished(reason=FinishReason.TOOL_CALLS),
    ]
    _, start, one, two, *_ = _stream(events)
    block = {"type": "tool_use", "id": "call_1", "name": "f", "input": {}}

    assert block == start["content_block"]
    assert [frame["delta"]["partial_json"] for frame in (one, two)] == ['{"a"', ":1}"]
    assert [block | {"input": {"a": 1}}] == _body(events)["content"]


@pytest.mark.parametrize(
    ("end", "reason", "sequence"),
    [
        (Finished(reason=FinishReason.STOP), "end_turn", None),
        (Finished(reason=FinishReason.LENGTH), "max_tokens", None),
        (Finished(reason=FinishReason.TOOL_CALLS), "tool_use", None),
        (Finished(reason=FinishReason.STOP, stop_sequence="END"), "stop_sequence", "END"),
    ],
)
def test_stop_reasons(end: Finished, reason: str, sequence: str | None) -> None:
    """Both modes say why the answer ended, and which sequence ended it."""
    expected = {"stop_reason": reason, "stop_sequence": sequence}
    events: list[ChatEvent] = [Started(model="m"), end]
    body = _body(events)

    assert expected == _stream(events)[1]["delta"]
    assert expected == {key: body[key] for key in expected}


def test_the_estimate_of_the_prompt_is_told_at_the_start() -> None:
    """Clients show it at once; without better counts it stands at the end too."""
    events: list[ChatEvent] = [
        Started(model="m", input_tokens=42),
        Finished(reason=FinishReason.STOP),
    ]
    start, end, _ = _stream(events)

    assert (start["message"]["usage"]["input_tokens"], end["usage"]["output_tokens"]) == (42, 0)
    assert end["usage"] == start["message"]["usage"] == _body(events)["usage"]


def test_a_failure_is_the_last_frame() -> None:
    """It is an event of its own name with the error's envelope."""
    error = LingmaError(ErrorKind.OVERLOADED, "busy", hint="wait")
    *_, last = _stream([Started(model="m"), Failed(error=error)])

    assert last["error"] == {"type": "rate_limit_error", "message": "busy; wait"}
