"""OpenAI Chat Completions: the law that both modes say the same, choices, and dialects."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from lingma_cli.core.chat import ChatRequest, Tool
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
    Usage,
    UsageReported,
)
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.custom_tools import bridged
from lingma_cli.protocols.openai_chat import PROTOCOL, Encoder, render
from lingma_cli.protocols.openai_chat_parse import parse
from lingma_cli.protocols.sse import SseReader
from tests.support.strategies import seal, sealed_streams

STOP = Finished(reason=FinishReason.STOP)
CALLED = Finished(reason=FinishReason.TOOL_CALLS)
ASKED = ChatRequest(model="m", messages=(), include_usage=True)


def _frames(events: list[ChatEvent], request: ChatRequest = ASKED) -> list[bytes]:
    encoder = Encoder(request, response_id="x", created=0)
    return list(SseReader().feed(encoder.feed(events)))


def _stream(events: list[ChatEvent], request: ChatRequest = ASKED) -> list[Any]:
    return [json.loads(frame) for frame in _frames(events, request) if frame != b"[DONE]"]


def _body(streams: list[list[ChatEvent]], request: ChatRequest = ASKED) -> Any:
    answers = [Collector() for _ in streams]
    for answer, events in zip(answers, streams, strict=True):
        answer.feed(events)
    return json.loads(render(answers, request, response_id="x", created=0))


def _fold(chunks: list[Any]) -> dict[str, Any]:
    """Put chunks together as an OpenAI SDK does."""
    content, reasoning = "", ""
    calls: dict[int, dict[str, Any]] = {}
    finish = usage = None
    for chunk in chunks:
        usage = chunk["usage"] or usage
        for choice in chunk["choices"]:
            delta = choice["delta"]
            content += delta.get("content", "")
            reasoning += delta.get("reasoning_content", "")
            finish = choice["finish_reason"] or finish
            for call in delta.get("tool_calls", ()):
                known = calls.setdefault(call["index"], call | {"arguments": ""})
                known["arguments"] += call["function"]["arguments"]
    told = [(call["id"], call["function"]["name"], call["arguments"]) for call in calls.values()]
    return {
        "content": content,
        "reasoning": reasoning,
        "calls": told,
        "finish": finish,
        "usage": usage,
        "model": {chunk["model"] for chunk in chunks},
    }


@given(sealed_streams.filter(lambda events: isinstance(events[-1], Finished)))
def test_the_stream_and_the_body_say_the_same(events: list[ChatEvent]) -> None:
    """Folding the chunks gives what the non-streaming body holds."""
    body = _body([events])
    message = body["choices"][0]["message"]
    calls = [
        (call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls", ())
    ]
    expected = {
        "content": message["content"] or "",
        "reasoning": message.get("reasoning_content", ""),
        "calls": calls,
        "finish": body["choices"][0]["finish_reason"],
        "usage": body.get("usage"),
        "model": {body["model"]},
    }

    assert expected == _fold(_stream(events))


@pytest.mark.parametrize("model", ["\0", 'a"\0"b', '"', "\\u0000", "好"])
def test_any_model_name_is_written(model: str) -> None:
    """The name of the model cannot disturb the chunks that carry it."""
    delta = BlockDelta(kind=BlockKind.TEXT, text="hi")
    _, chunk, *_ = _stream([Started(model=model), delta, Finished(reason=FinishReason.STOP)])

    assert (model, "hi") == (chunk["model"], chunk["choices"][0]["delta"]["content"])


def test_a_failure_before_any_text() -> None:
    """The error is the last frame and carries the kind's costume."""
    error = LingmaError(ErrorKind.OVERLOADED, "busy", hint="wait")
    *_, last = _stream([Started(model="m"), Failed(error=error)])
    expected = {
        "message": "busy; wait",
        "type": "rate_limit_error",
        "param": None,
        "code": "overloaded",
    }

    assert {"error": expected} == last


# several choices


def _said(text: str, output: int) -> list[ChatEvent]:
    usage = Usage(input_tokens=7, output_tokens=output, reasoning_tokens=1)
    loose: list[ChatEvent] = [
        BlockDelta(kind=BlockKind.TEXT, text=text),
        UsageReported(usage=usage),
        STOP,
    ]
    return seal([loose], "m")


USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 2,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
TWO = replace(ASKED, choices=2)


def test_choices_are_told_apart_by_their_index() -> None:
    """One stream after another; the end and the sum of the counts come once, after the last."""
    frames = _frames([*_said("a", 2), *_said("b", 3)], TWO)
    chunks = [json.loads(frame) for frame in frames[:-1]]
    told = [
        (choice["index"], choice["delta"].get("content"), choice["finish_reason"])
        for chunk in chunks
        for choice in chunk["choices"]
    ]

    assert told[:3] == [(0, "", None), (0, "a", None), (0, None, "stop")]
    assert told[3:] == [(1, "", None), (1, "b", None), (1, None, "stop")]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], USAGE)
    assert [frame for frame in frames if frame == b"[DONE]"] == frames[-1:]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * 6


def test_a_body_of_several_choices() -> None:
    """The prompt is counted once, the outputs are summed."""
    body = _body([_said("a", 2), _said("b", 3)], TWO)

    assert body["usage"] == USAGE
    assert [(choice["index"], choice["message"]["content"]) for choice in body["choices"]] == [
        (0, "a"),
        (1, "b"),
    ]


def test_calls_are_counted_anew_in_each_choice() -> None:
    """The index of a call is its place in its choice."""
    call = BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="f")
    events = seal([[call, call, CALLED]], "m")
    chunks = _stream([*events, *events], TWO)
    indexes = [
        (choice["index"], call["index"])
        for chunk in chunks
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]

    assert indexes == [(0, 0), (0, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize("other", ["n", ""])
def test_all_choices_have_one_model(other: str) -> None:
    """Engines may name it differently, and a choice that is refused has none."""
    failed = Failed(error=LingmaError(ErrorKind.OVERLOADED, "x"))
    *chunks, _ = _stream([*_said("a", 2), Started(model=other), failed], TWO)

    assert {chunk["model"] for chunk in chunks} == {"m"}


def test_a_choice_that_fails_ends_the_stream_without_done() -> None:
    """What was said before stays."""
    failed = Failed(error=LingmaError(ErrorKind.ENGINE_FAILED, "x"))
    frames = _frames([*_said("a", 2), *seal([[failed]], "m")], TWO)

    assert b"[DONE]" not in frames
    assert "error" in json.loads(frames[-1])


# dialects


def _called(name: str, *pieces: str) -> list[ChatEvent]:
    call = BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c1", name=name)
    deltas = [BlockDelta(kind=BlockKind.TOOL_CALL, text=piece) for piece in pieces]
    return seal([[call, *deltas, BlockClosed(), CALLED]], "m")


def test_a_freeform_call_is_told_whole() -> None:
    """Its raw text is known only when its JSON is complete."""
    request = replace(ASKED, tools=(replace(bridged("p_2", "", None), client_name="p"),))
    events = _called("p_2", '{"input": "+a', '\\n"}')
    call = {"id": "c1", "type": "custom", "custom": {"name": "p", "input": "+a\n"}}

    _, chunk, last, *_ = _stream(events, request)

    assert [{"index": 0} | call] == chunk["choices"][0]["delta"]["tool_calls"]
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert [call] == _body([events], request)["choices"][0]["message"]["tool_calls"]


def test_tools_are_told_by_the_clients_name() -> None:
    """A name that had to differ inside is the client's own outside."""
    request = replace(ASKED, tools=(Tool(name="ns_f", client_name="f"),))
    events = _called("ns_f", "{}")

    opened = _stream(events, request)[1]["choices"][0]["delta"]["tool_calls"][0]
    (whole,) = _body([events], request)["choices"][0]["message"]["tool_calls"]

    assert (opened["function"]["name"], whole["function"]["name"]) == ("f", "f")


LEGACY_ASKED = parse(
    json.dumps(
        {"messages": [{"role": "user", "content": "hi"}], "functions": [{"name": "f"}]}
    ).encode()
)


def test_functions_are_answered_in_the_older_form() -> None:
    """`function_call` in delta, message and finish reason."""
    events = _called("f", '{"a":', "1}")
    deltas = [chunk["choices"][0]["delta"] for chunk in _stream(events, LEGACY_ASKED)]
    (choice,) = _body([events], LEGACY_ASKED)["choices"]

    assert deltas == [
        {"role": "assistant", "content": ""},
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"a":'}},
        {"function_call": {"arguments": "1}"}},
        {},
    ]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "function_call")


def test_the_older_form_has_one_call() -> None:
    """A second call has no place in it."""
    events = [*_called("f", "{}")[:-1], *_called("f", "[]")[1:]]
    calls = [
        chunk["choices"][0]["delta"].get("function_call") for chunk in _stream(events, LEGACY_ASKED)
    ]
    (choice,) = _body([events], LEGACY_ASKED)["choices"]

    assert list(filter(None, calls)) == [{"name": "f", "arguments": ""}, {"arguments": "{}"}]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}


def test_reasoning_can_be_hidden() -> None:
    """It is left out of both modes, the text is not."""
    request = replace(ASKED, show_reasoning=False)
    loose: list[ChatEvent] = [
        BlockDelta(kind=BlockKind.REASONING, text="hm"),
        BlockDelta(kind=BlockKind.TEXT, text="hi"),
        STOP,
    ]
    events = seal([loose], "m")

    deltas = [chunk["choices"][0]["delta"] for chunk in _stream(events, request)]

    assert deltas == [{"role": "assistant", "content": ""}, {"content": "hi"}, {}]
    assert _body([events], request)["choices"][0]["message"] == {
        "role": "assistant",
        "content": "hi",
        "refusal": None,
    }


def test_where_it_is_served() -> None:
    """The path of the OpenAI API."""
    assert PROTOCOL.paths == ("/v1/chat/completions",)
