"""Requests as servers get them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lingma_cli.core.chat import (
    MediaKind,
    MediaPart,
    Message,
    OutputFormat,
    Part,
    ReasoningPart,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
    ToolRoute,
    ToolUsePart,
)
from lingma_cli.core.notes import codes
from lingma_cli.engines.openai_http.request import encode_request
from lingma_cli.protocols.registry import PROTOCOLS
from tests.engines.openai_http.live import question

PIXEL = "data:image/png;base64,aGk="
TOOL = Tool(name="f", description="does", parameters={"type": "object"})


def sent(**fields: Any) -> dict[str, Any]:
    """Return the body of a request with these fields."""
    body: dict[str, Any] = json.loads(encode_request(replace(question(), **fields))[0])
    return body


def noted(**fields: Any) -> tuple[str, ...]:
    """Return the codes of what a request with these fields loses."""
    return codes(encode_request(replace(question(), **fields))[1])


def turn(role: Role, *parts: Part | str) -> Message:
    """Return a turn; plain strings are text."""
    held = (TextPart(text=part) if isinstance(part, str) else part for part in parts)
    return Message(role=role, parts=tuple(held))


def turns(*messages: Message) -> list[dict[str, Any]]:
    """Return the turns as a server gets them."""
    body: list[dict[str, Any]] = sent(messages=messages)["messages"]
    return body


def test_a_plain_question() -> None:
    """Nothing is sent that was not asked for, but the stream and its counts."""
    assert sent() == {
        "model": "m1",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert noted() == ()


def test_all_system_text_stands_at_the_head() -> None:
    """Templates refuse a second system turn, or one in the middle."""
    system, user, assistant = Role.SYSTEM, Role.USER, Role.ASSISTANT

    assert turns(
        turn(system, "a", "b"),
        turn(user, "c"),
        turn(system, "d"),
        turn(assistant, "e"),
        turn(system),
    ) == [
        {"role": "system", "content": "a\nb\n\nd"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "e"},
    ]


def test_calls_and_results() -> None:
    """A turn with calls only has no content; a failed tool says so."""
    use = ToolUsePart(call_id="c1", name="f", arguments='{"x":1}')
    function = {"name": "f", "arguments": '{"x":1}'}

    assert turns(
        turn(Role.ASSISTANT, use),
        turn(Role.TOOL, ToolOutputPart(call_id="c1", text="1")),
        turn(Role.ASSISTANT, ReasoningPart(text="hm"), "so", use),
        turn(Role.TOOL, ToolOutputPart(call_id="c1", text="no", is_error=True)),
    ) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {
            "role": "assistant",
            "content": "so",
            "reasoning_content": "hm",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Error: no"},
    ]


@pytest.mark.parametrize("arguments", ['{"x', "", "[1]", "7", "[" * 5000])
def test_arguments_that_no_template_reads_are_mended(arguments: str) -> None:
    """One torn call must not make a server refuse the conversation for ever."""
    use = ToolUsePart(call_id="c", name="f", arguments=arguments)
    messages = (turn(Role.ASSISTANT, use),)

    call = sent(messages=messages)["messages"][0]["tool_calls"][0]

    assert json.loads(call["function"]["arguments"]) == {"input": arguments}
    assert noted(messages=messages) == ("call_arguments_repaired",)


def test_bytes_of_images_and_sounds_are_sent() -> None:
    """They go in the parts that OpenAI knows, of results too."""
    image = MediaPart(kind=MediaKind.IMAGE, reference=PIXEL)
    sound = MediaPart(kind=MediaKind.AUDIO, reference="data:audio/wav;base64,aGk=")
    shown = {"type": "image_url", "image_url": {"url": PIXEL}}
    messages = (
        turn(Role.USER, "see", image, sound),
        turn(Role.TOOL, ToolOutputPart(call_id="c", text="t", media=(image,))),
    )

    user, tool = turns(*messages)

    assert user["content"] == [
        {"type": "text", "text": "see"},
        shown,
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
    ]
    assert tool["content"] == [{"type": "text", "text": "t"}, shown]
    assert noted(messages=messages) == ()


@pytest.mark.parametrize(
    ("kind", "reference", "shown"),
    [
        (MediaKind.IMAGE, "http://127.0.0.1/secret.png", "[image]"),
        (MediaKind.IMAGE, "file:///etc/passwd", "[image]"),
        (MediaKind.AUDIO, "audio-id", "[audio]"),
        (MediaKind.FILE, "data:application/pdf;base64,aGk=", "[file]"),
    ],
)
def test_what_a_server_would_have_to_fetch_is_a_placeholder(
    kind: MediaKind, reference: str, shown: str
) -> None:
    """No server is sent to an address of a request's choosing; the loss is noted once."""
    part = MediaPart(kind=kind, reference=reference)
    messages = (turn(Role.USER, part, part),)

    assert turns(*messages) == [{"role": "user", "content": f"{shown}\n{shown}"}]
    assert noted(messages=messages) == ("media_dropped",)


def test_sampling() -> None:
    """All knobs go under their OpenAI names, the limit under the older one."""
    sampling = Sampling(
        temperature=0.0,
        top_p=0.5,
        seed=0,
        presence_penalty=-1.0,
        frequency_penalty=1.0,
        max_tokens=7,
        stop=("a", "b"),
    )

    body = sent(sampling=sampling, user="u", reasoning_effort="low")

    expected = {
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 0,
        "presence_penalty": -1.0,
        "frequency_penalty": 1.0,
        "max_tokens": 7,
        "stop": ["a", "b"],
        "user": "u",
        "reasoning_effort": "low",
    }
    assert {name: body.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("wanted", "told", "notes"),
    [
        ("high", "high", ()),
        ("none", "none", ()),
        ("max", "high", ("reasoning_effort_ignored",)),
        ("xhigh", "high", ("reasoning_effort_ignored",)),
        ("minimal", "low", ("reasoning_effort_ignored",)),
    ],
)
def test_efforts_that_servers_do_not_know(wanted: str, told: str, notes: tuple[str, ...]) -> None:
    """The nearest one is sent, with a note."""
    assert sent(reasoning_effort=wanted)["reasoning_effort"] == told
    assert noted(reasoning_effort=wanted) == notes


def test_tools() -> None:
    """They are offered as functions; a server's defaults are left to it."""
    function = {"name": "f", "description": "does", "parameters": {"type": "object"}}
    bare = Tool(name="g", strict=True)

    body = sent(tools=(TOOL, bare))

    assert body["tools"] == [
        {"type": "function", "function": function},
        {
            "type": "function",
            "function": {
                "name": "g",
                "description": "",
                "parameters": {"type": "object", "properties": {}},
                "strict": True,
            },
        },
    ]
    assert not {"tool_choice", "parallel_tool_calls"} & body.keys()


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (ToolChoice(mode=ToolMode.NONE), "none"),
        (ToolChoice(mode=ToolMode.REQUIRED), "required"),
        (
            ToolChoice(mode=ToolMode.NAMED, name="f"),
            {"type": "function", "function": {"name": "f"}},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice, told: Any) -> None:
    """What was demanded is demanded of the server."""
    body = sent(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=False)

    assert body["tool_choice"] == told
    assert body["parallel_tool_calls"] is False


def test_tools_in_the_prompt_are_not_sent_again() -> None:
    """Nor is a choice among none."""
    choice = ToolChoice(mode=ToolMode.REQUIRED)

    for fields in ({"tools": (TOOL,), "tool_route": ToolRoute.PROMPT}, {}):
        body = sent(tool_choice=choice, parallel_tool_calls=False, **fields)
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & body.keys()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (OutputFormat(), {"type": "json_object"}),
        (
            OutputFormat(schema={"type": "object"}, name="n", strict=True),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            },
        ),
        (
            OutputFormat(schema={"type": "array"}),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "array"}}},
        ),
    ],
)
def test_output_format(wanted: OutputFormat, told: Any) -> None:
    """Servers keep the schema themselves."""
    assert sent(output_format=wanted)["response_format"] == told


def test_extras_of_chat_are_the_servers_business() -> None:
    """They are passed on, but for those that nobody would see; none replaces a field of ours."""
    ours = {"top_k": 5, "chat_template_kwargs": {"a": 1}, "stream": False, "model": "other"}
    extras = {"openai_chat": {**ours, "logprobs": True}, "openai_chat.functions": {}}

    body = sent(extras=extras)

    assert body["top_k"] == 5
    assert body["chat_template_kwargs"] == {"a": 1}
    assert (body["stream"], body["model"]) == (True, "m1")
    assert "logprobs" not in body
    assert noted(extras=extras) == ("fields_ignored",)


def test_extras_of_other_protocols_stay() -> None:
    """Only what means the same everywhere is passed on."""
    extras = {"anthropic_messages": {"top_k": 5, "context_management": {}}}

    body = sent(extras=extras)

    assert body["top_k"] == 5
    assert "context_management" not in body
    assert noted(extras=extras) == ("fields_ignored",)


BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 7},
    "openai_responses": {"input": "hi", "max_output_tokens": 7},
    "anthropic_messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 7},
}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_each_protocol_asks_alike(protocol: Any) -> None:
    """One question in three protocols is one request to a server."""
    body = {"model": "m1", "stream": True, **BODIES[protocol.name]}

    request = protocol.parse(json.dumps(body).encode())

    assert json.loads(encode_request(request)[0]) == sent(sampling=Sampling(max_tokens=7))
