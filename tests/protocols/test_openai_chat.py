"""OpenAI Chat Completions: bodies in, and the law that both modes say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    OutputFormat,
    ReasoningPart,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
)
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.openai_chat import PROTOCOL, Encoder, parse, render
from lingma_cli.protocols.sse import SseReader
from tests.support.strategies import sealed_streams

HI = {"role": "user", "content": "hi"}


def _parse(**fields: Any) -> ChatRequest:
    return parse(json.dumps({"messages": [HI]} | fields).encode())


def _turn(**fields: Any) -> Message:
    (message,) = _parse(messages=[fields]).messages
    return message


# requests


def test_a_minimal_request() -> None:
    """One user turn and nothing else."""
    expected = ChatRequest(
        model="m",
        messages=(Message(role=Role.USER, parts=(TextPart(text="hi"),)),),
        extras={"openai_chat": {}},
    )

    assert expected == _parse(model="m")


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("system", Role.SYSTEM),
        ("developer", Role.SYSTEM),
        ("user", Role.USER),
        ("assistant", Role.ASSISTANT),
    ],
)
def test_roles(role: str, expected: Role) -> None:
    """OpenAI's `developer` speaks as the system."""
    assert expected is _turn(role=role, content="x").role


def test_content_parts() -> None:
    """Text, refusals and media keep their order; media keep their reference."""
    message = _turn(
        role="user",
        content=[
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
            {"type": "image_url", "image_url": "https://example.org/a.png"},
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            {"type": "file", "file": {"file_id": "f"}},
            {"type": "refusal", "refusal": "no"},
        ],
    )
    expected = (
        TextPart(text="look"),
        MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64,AA"),
        MediaPart(kind=MediaKind.IMAGE, reference="https://example.org/a.png"),
        MediaPart(kind=MediaKind.AUDIO, reference=""),
        MediaPart(kind=MediaKind.FILE, reference=""),
        TextPart(text="no"),
    )

    assert expected == message.parts


def test_an_assistant_turn_with_reasoning_and_calls() -> None:
    """Reasoning, text and both spellings of calls become parts."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = _turn(
        role="assistant",
        content=None,
        reasoning_content="hm",
        tool_calls=[call],
        function_call={"name": "g", "arguments": "[]"},
    )
    expected = (
        ReasoningPart(text="hm"),
        ToolUsePart(call_id="c", name="f", arguments="{}"),
        ToolUsePart(call_id="g", name="g", arguments="[]"),
    )

    assert expected == message.parts


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "42"}]},
        {"role": "function", "name": "c", "content": "42"},
    ],
)
def test_a_tools_answer(fields: dict[str, Any]) -> None:
    """The output names the call it answers, in the new form and the old."""
    expected = Message(role=Role.TOOL, parts=(ToolOutputPart(call_id="c", text="42"),))

    assert expected == _turn(**fields)


def test_tools_of_both_forms() -> None:
    """`tools` and the older `functions` offer the same thing."""
    schema = {"type": "object"}
    request = _parse(
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
        functions=[{"name": "g", "description": "does g"}],
    )
    expected = {Tool(name="g", description="does g").name: "does g", "f": ""}

    assert expected == {tool.name: tool.description for tool in request.tools}
    assert schema in [tool.parameters for tool in request.tools]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ToolChoice()),
        ({"tool_choice": "auto"}, ToolChoice()),
        ({"tool_choice": "none"}, ToolChoice(mode=ToolMode.NONE)),
        ({"tool_choice": "required"}, ToolChoice(mode=ToolMode.REQUIRED)),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}},
            ToolChoice(mode=ToolMode.NAMED, name="f"),
        ),
        ({"function_call": {"name": "f"}}, ToolChoice(mode=ToolMode.NAMED, name="f")),
        ({"function_call": "none"}, ToolChoice(mode=ToolMode.NONE)),
    ],
)
def test_tool_choice(fields: dict[str, Any], expected: ToolChoice) -> None:
    """Words and named functions, in the new form and the old."""
    assert expected == _parse(**fields).tool_choice


def test_sampling() -> None:
    """Every knob arrives; the newer name of the length limit wins, one stop is a list of one."""
    knobs = {
        "temperature": 0.5,
        "top_p": 1,
        "seed": 7,
        "presence_penalty": -2,
        "frequency_penalty": 2,
    }
    request = _parse(**knobs, max_tokens=5, max_completion_tokens=6, stop="END")
    expected = Sampling(
        temperature=0.5,
        top_p=1.0,
        seed=7,
        presence_penalty=-2.0,
        frequency_penalty=2.0,
        max_tokens=6,
        stop=("END",),
    )

    assert expected == request.sampling
    assert _parse(stop=["a", "b"]).sampling.stop == ("a", "b")


def test_the_rest_of_a_request() -> None:
    """Stream, usage, user, effort and output format."""
    schema = {"type": "object"}
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    request = _parse(
        stream=True,
        stream_options={"include_usage": True},
        user="u",
        reasoning_effort="low",
        response_format=format_,
    )

    assert (True, True, "u", "low", OutputFormat(name="x", schema=schema)) == (
        request.stream,
        request.include_usage,
        request.user,
        request.reasoning_effort,
        request.output_format,
    )


@pytest.mark.parametrize("response_format", [None, {"type": "text"}])
def test_plain_text_is_no_output_format(response_format: dict[str, str] | None) -> None:
    """Asking for text is asking for nothing."""
    assert _parse(response_format=response_format).output_format is None


def test_nulls_are_as_good_as_absence() -> None:
    """SDKs send null for what was not set."""
    names = ["model", "stream", "stream_options", "tools", "tool_choice", "stop", "n", "user"]

    assert _parse() == _parse(**dict.fromkeys(names))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "part_dropped"),
        ({"tools": [{"type": "web_search"}]}, "tool_dropped"),
    ],
)
def test_what_is_dropped_leaves_a_note(fields: dict[str, Any], code: str) -> None:
    """Nothing is lost silently."""
    assert (code,) == codes(_parse(**fields).notes)


def test_media_in_a_tools_answer_is_noted() -> None:
    """A tool output holds text only: an image in it is lost, and the loss is told."""
    image = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    request = _parse(messages=[{"role": "tool", "tool_call_id": "c", "content": [image]}])

    assert codes(request.notes) == ("part_dropped",)


def test_unknown_fields_are_kept() -> None:
    """They wait in `extras` for an engine that knows them."""
    request = _parse(logit_bias={"1": 2}, x=[None], messages=[HI])

    assert request.extras == {"openai_chat": {"logit_bias": {"1": 2}, "x": [None]}}


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "messages missing": ({"messages": ...}, "messages"),
    "messages empty": ({"messages": []}, "messages"),
    "messages null": ({"messages": None}, "messages"),
    "messages object": ({"messages": {}}, "messages"),
    "message number": ({"messages": [HI, 5]}, "messages[1]"),
    "message null": ({"messages": [None]}, "messages[0]"),
    "role missing": ({"messages": [{"content": "x"}]}, "messages[0].role"),
    "role unknown": ({"messages": [HI, {"role": "robot"}]}, "messages[1].role"),
    "role list": ({"messages": [{"role": ["user"]}]}, "messages[0].role"),
    "content number": ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    "content object": ({"messages": [{"role": "user", "content": {}}]}, "messages[0].content"),
    "part text": ({"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]"),
    "part type missing": (
        {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
        "messages[0].content[0].type",
    ),
    "part type list": (
        {"messages": [{"role": "user", "content": [{"type": []}]}]},
        "messages[0].content[0].type",
    ),
    "part text number": (
        {"messages": [HI, {"role": "user", "content": [{"type": "text", "text": 5}]}]},
        "messages[1].content[0].text",
    ),
    "part text missing": (
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    "call id": (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": 5, "function": {"name": "f"}}]}]},
        "messages[0].tool_calls[0].id",
    ),
    "call arguments": (
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}],
                }
            ]
        },
        "messages[0].tool_calls[0].function.arguments",
    ),
    "model": ({"model": 5}, "model"),
    "stream": ({"stream": "yes"}, "stream"),
    "include_usage": ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
    "tools": ({"tools": {}}, "tools"),
    "tool name": ({"tools": [{"function": {}}]}, "tools[0].function.name"),
    "tool parameters": (
        {"tools": [{"function": {"name": "f", "parameters": []}}]},
        "tools[0].function.parameters",
    ),
    "choice word": ({"tool_choice": "any"}, "tool_choice"),
    "choice number": ({"tool_choice": 5}, "tool_choice"),
    "choice unnamed": ({"tool_choice": {"type": "function"}}, "tool_choice.function.name"),
    "choice name": ({"tool_choice": {"function": {"name": 5}}}, "tool_choice.function.name"),
    "old choice name": ({"function_call": {"name": 5}}, "function_call.name"),
    "two choices": ({"n": 2}, "n"),
    "no choice": ({"n": 0}, "n"),
    "n as text": ({"n": "1"}, "n"),
    "temperature": ({"temperature": "hot"}, "temperature"),
    "temperature too large": ({"temperature": 10**400}, "temperature"),
    "max_tokens": ({"max_tokens": 1.5}, "max_tokens"),
    "seed": ({"seed": True}, "seed"),
    "stop": ({"stop": ["a", 1]}, "stop[1]"),
    "response_format": ({"response_format": "json"}, "response_format"),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    """The error says where in the body the first wrong thing stands, in `param` and in words."""
    body = {"messages": [HI]} | fields
    body = {key: value for key, value in body.items() if value is not ...}

    with pytest.raises(LingmaError) as caught:
        parse(json.dumps(body).encode())

    assert (ErrorKind.INVALID_REQUEST, param) == (caught.value.kind, caught.value.param)
    assert f"`{param}`" in caught.value.message


# both modes


ASKED = ChatRequest(model="m", messages=(), include_usage=True)


def _stream(events: list[ChatEvent]) -> list[Any]:
    encoder = Encoder(ASKED, response_id="x", created=0)
    frames = SseReader().feed(encoder.feed(events))
    return [json.loads(frame) for frame in frames if frame != b"[DONE]"]


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
    answer = Collector()
    answer.feed(events)
    body = json.loads(render([answer], ASKED, response_id="x", created=0))
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


def test_where_it_is_served() -> None:
    """The path of the OpenAI API."""
    assert PROTOCOL.paths == ("/v1/chat/completions",)
