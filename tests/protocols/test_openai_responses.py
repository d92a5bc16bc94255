"""OpenAI Responses: bodies in, the stream's grammar, and the law that both modes say the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given

from lingma_cli.core.chat import (
    ChatRequest,
    Message,
    OutputFormat,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
)
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
)
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.openai_responses import PROTOCOL, Encoder, parse, render
from lingma_cli.protocols.openai_responses_body import ResponsesThread
from lingma_cli.protocols.sse import SseReader
from tests.support.openai_schema import violations
from tests.support.strategies import seal, sealed_streams


def _parse(**fields: Any) -> ChatRequest:
    return parse(json.dumps({"input": "hi"} | fields).encode())


# requests


def test_a_minimal_request() -> None:
    """One text and nothing else: a user's turn, to be stored, with usage in the end."""
    part = {"type": "input_text", "text": "hi"}
    thread = ResponsesThread(items=({"type": "message", "role": "user", "content": [part]},))
    expected = ChatRequest(
        model="m",
        messages=(Message(role=Role.USER, parts=(TextPart(text="hi"),)),),
        include_usage=True,
        extras={"openai_responses": {}},
        thread=thread,
    )

    assert expected == _parse(model="m")


def test_instructions_come_first() -> None:
    """They are a system turn before the input's own."""
    request = _parse(instructions="be brief", input=[{"role": "developer", "content": "x"}])
    texts = [(message.role, message.parts) for message in request.messages]

    assert texts == [
        (Role.SYSTEM, (TextPart(text="be brief"),)),
        (Role.SYSTEM, (TextPart(text="x"),)),
    ]


def test_the_rest_of_a_request() -> None:
    """Knobs, effort, user, stream and calls in parallel."""
    request = _parse(
        temperature=0.5,
        top_p=1,
        max_output_tokens=16,
        reasoning={"effort": "low", "summary": "auto"},
        user="u",
        stream=True,
        parallel_tool_calls=False,
    )

    assert request.sampling == Sampling(temperature=0.5, top_p=1.0, max_tokens=16)
    assert (request.reasoning_effort, request.user) == ("low", "u")
    assert (request.stream, request.parallel_tool_calls) == (True, False)


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputFormat()),
        (
            {"type": "json_schema", "name": "n", "schema": {"a": 1}, "strict": True},
            OutputFormat(schema={"a": 1}, name="n", strict=True, param="text.format.schema"),
        ),
    ],
)
def test_output_formats(format_: Any, expected: OutputFormat | None) -> None:
    """The format stands flat in `text`."""
    request = _parse(text={"format": format_})

    assert expected == request.output_format
    assert request.notes == ()


def test_tools_come_from_the_body_and_the_input() -> None:
    """An agent may add tools in the middle of a conversation; they are offered like the others."""
    more = {"type": "additional_tools", "role": "developer", "tools": [{"name": "g"}]}
    request = _parse(
        tools=[{"type": "function", "name": "f"}],
        input=[{"role": "user", "content": "hi"}, more],
        tool_choice={"type": "function", "name": "g"},
    )

    assert request.tools == (Tool(name="f"), Tool(name="g"))
    assert request.tool_choice == ToolChoice(mode=ToolMode.NAMED, name="g")
    assert (len(request.messages), request.notes) == (1, ())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (None, None, True)),
        ({"previous_response_id": "resp_1"}, ("resp_1", None, True)),
        ({"conversation": "conv_1", "store": False}, (None, "conv_1", False)),
        ({"conversation": {"id": "conv_1"}, "store": None}, (None, "conv_1", True)),
    ],
)
def test_the_thread(fields: dict[str, Any], expected: tuple[str | None, str | None, bool]) -> None:
    """What the turn follows, and whether it is to be kept: yes, unless told otherwise."""
    thread = _parse(**fields).thread

    assert thread is not None
    assert expected == (thread.previous_id, thread.conversation_id, thread.store)


@pytest.mark.parametrize(
    "fields", [{"previous_response_id": "r"}, {"conversation": "c"}, {"instructions": "go on"}]
)
def test_a_turn_may_have_no_input(fields: dict[str, Any]) -> None:
    """What it follows, or the instructions, are enough to answer."""
    assert _parse(input=None, **fields).thread is not None


def test_nulls_are_as_good_as_absence() -> None:
    """SDKs send null for what was not set."""
    names = """model instructions stream tools tool_choice parallel_tool_calls text reasoning
        temperature top_p max_output_tokens store previous_response_id conversation background user
        metadata include truncation service_tier"""

    assert _parse() == _parse(**dict.fromkeys(names.split()))


def test_harmless_fields_leave_no_trace() -> None:
    """What every agent sends and nobody needs is no extra; what might matter is."""
    harmless = {
        "include": ["reasoning.encrypted_content"],
        "client_metadata": {"a": 1},
        "prompt_cache_key": "k",
        "service_tier": "auto",
        "stream_options": {"include_obfuscation": False},
        "top_logprobs": 0,
    }
    request = _parse(**harmless, moderation={"a": 1}, x=[None])

    assert request.extras == {"openai_responses": {"moderation": {"a": 1}, "x": [None]}}
    assert request.notes == ()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"background": True}, "background_ignored"),
        ({"tools": [{"type": "mcp"}]}, "tool_dropped"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice_ignored"),
        ({"input": [{"role": "user", "content": "hi"}, {"type": "x"}]}, "part_dropped"),
        ({"text": {"format": {"type": "grammar"}}}, "fields_ignored"),
        ({"text": {"verbosity": "low"}}, "fields_ignored"),
        ({"top_logprobs": 3}, "fields_ignored"),
        ({"include": ["message.output_text.logprobs"]}, "fields_ignored"),
    ],
)
def test_what_is_not_followed_leaves_a_note(fields: dict[str, Any], code: str) -> None:
    """Nothing is lost silently."""
    assert (code,) == codes(_parse(**fields).notes)


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "nothing to answer": ({"input": None}, "input"),
    "no items": ({"input": []}, "input"),
    "input number": ({"input": 5}, "input"),
    "item text": ({"input": ["hi"]}, "input[0]"),
    "item role": ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
    "single item": ({"input": {"role": "user", "content": 5}}, "input[0].content"),
    "added tools": ({"input": [{"type": "additional_tools", "tools": [1]}]}, "input[0].tools"),
    "added tool": (
        {"input": [{"type": "additional_tools", "tools": [{"type": "function"}]}]},
        "input[0].tools[0].name",
    ),
    "model": ({"model": 5}, "model"),
    "stream": ({"stream": "yes"}, "stream"),
    "instructions": ({"instructions": ["x"]}, "instructions"),
    "tools": ({"tools": {}}, "tools"),
    "tool name": ({"tools": [{"type": "function"}]}, "tools[0].name"),
    "choice": ({"tool_choice": "any"}, "tool_choice"),
    "effort": ({"reasoning": {"effort": 5}}, "reasoning.effort"),
    "schema": ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    "format": ({"text": {"format": "json"}}, "text.format"),
    "temperature": ({"temperature": "hot"}, "temperature"),
    "no tokens": ({"max_output_tokens": 0}, "max_output_tokens"),
    "metadata": ({"metadata": "x"}, "metadata"),
    "previous": ({"previous_response_id": 5}, "previous_response_id"),
    "conversation": ({"conversation": {}}, "conversation.id"),
    "both": ({"previous_response_id": "r", "conversation": "c"}, "previous_response_id"),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    """The error says where in the body the first wrong thing stands, in `param` and in words."""
    with pytest.raises(LingmaError) as caught:
        _parse(**fields)

    assert (ErrorKind.INVALID_REQUEST, param) == (caught.value.kind, caught.value.param)
    assert f"`{param}`" in caught.value.message


def test_what_codex_sends() -> None:
    """Its system text is input, its tools are of three kinds, and nothing of it is refused."""
    schema = {"type": "object", "properties": {}}
    command = {"type": "function", "name": "exec_command", "strict": False, "parameters": schema}
    request = _parse(
        model="m",
        stream=True,
        input=[
            {"type": "message", "role": role, "content": [{"type": "input_text", "text": role}]}
            for role in ("developer", "developer", "user", "user")
        ],
        tools=[
            command,
            {"type": "namespace", "name": "multi_agent_v1", "tools": [command | {"name": "wait"}]},
            {"type": "web_search", "external_web_access": True},
        ],
        tool_choice="auto",
        parallel_tool_calls=True,
        reasoning={"summary": "auto"},
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="thread",
        client_metadata={"a": "b"},
    )

    roles = [message.role for message in request.messages]
    assert roles == [Role.SYSTEM, Role.SYSTEM, Role.USER, Role.USER]
    assert [(tool.name, tool.namespace) for tool in request.tools] == [
        ("exec_command", None),
        ("wait", "multi_agent_v1"),
    ]
    assert codes(request.notes) == ("tool_dropped",)
    assert request.extras == {"openai_responses": {}}


# both modes


ASKED = ChatRequest(
    model="m",
    messages=(),
    tools=(Tool(name="p", custom=True), Tool(name="n__f", client_name="f", namespace="n")),
)


def _stream(events: list[ChatEvent]) -> list[dict[str, Any]]:
    encoder = Encoder(ASKED, response_id="x", created=0)
    frames = list(SseReader().feed(encoder.feed(events)))
    assert frames.pop() == b"[DONE]"
    return [json.loads(frame) for frame in frames]


def _answer(events: list[ChatEvent]) -> Collector:
    answer = Collector()
    answer.feed(events)
    return answer


@given(sealed_streams.filter(lambda events: isinstance(events[-1], Finished)))
def test_the_stream_and_the_body_say_the_same(events: list[ChatEvent]) -> None:
    """The object in the last event is the non-streaming body."""
    body = render([_answer(events)], ASKED, response_id="x", created=0)

    assert json.loads(body) == _stream(events)[-1]["response"]


@given(sealed_streams)
def test_every_event_fits_the_schema(events: list[ChatEvent]) -> None:
    """OpenAI's own document knows each of them."""
    assert [
        wrong for one in _stream(events) for wrong in violations("ResponseStreamEvent", one)
    ] == []


@given(sealed_streams)
def test_events_are_numbered_and_named(events: list[ChatEvent]) -> None:
    """Numbers have no gap, each `event:` line repeats the type, and there is one response id."""
    written = Encoder(ASKED, response_id="x", created=0).feed(events).decode()
    names = [line[7:] for line in written.split("\n") if line.startswith("event: ")]
    told = _stream(events)

    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert [event["type"] for event in told] == names
    assert {event["response"]["id"] for event in told if "response" in event} == {"resp_x"}


def _rebuild(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the output together from deltas as a strict client does, checking each event's place."""
    output: list[dict[str, Any]] = []
    text, is_open = "", False
    for event in events:
        match event["type"].removeprefix("response."):
            case "output_item.added":
                assert not is_open
                assert event["output_index"] == len(output)
                output.append(event["item"])
                text, is_open = "", True
            case "output_item.done":
                item = event["item"]
                (said,) = [
                    item[key] for key in ("content", "summary", "arguments", "input") if key in item
                ]
                assert text == (said if isinstance(said, str) else said[0]["text"])
                assert (is_open, output[-1]["id"]) == (True, item["id"])
                output[-1], is_open = item, False
            case kind if "item_id" in event:
                assert (is_open, output[-1]["id"]) == (True, event["item_id"])
                assert event["output_index"] == len(output) - 1
                text += event["delta"] if kind.endswith(".delta") else ""
            case _:
                assert not is_open
    return output


@given(sealed_streams)
def test_deltas_make_up_the_output(events: list[ChatEvent]) -> None:
    """One item is open at a time, its deltas are its text, and the object holds the same items."""
    told = _stream(events)

    assert [event["type"] for event in told[:2]] == ["response.created", "response.in_progress"]
    assert _rebuild(told) == told[-1]["response"]["output"]


def test_the_last_item_of_a_cut_answer_is_incomplete() -> None:
    """A client that acts on closed items sees that this one is not whole."""
    opened = BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="f")
    cut = BlockDelta(kind=BlockKind.TOOL_CALL, text='{"a')
    told = _stream(seal([[opened, cut, Finished(reason=FinishReason.LENGTH)]]))
    done = [event["item"]["status"] for event in told if event["type"].endswith("item.done")]

    assert done == ["incomplete"]
    assert told[-1]["type"] == "response.incomplete"


def test_where_it_is_served() -> None:
    """The path of the OpenAI API, and the bare one of clients without `/v1`."""
    assert PROTOCOL.paths == ("/v1/responses", "/responses")
