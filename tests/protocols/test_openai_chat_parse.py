"""OpenAI Chat Completions: bodies in."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
    Thread,
    Tool,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.notes import codes
from lingma_cli.protocols.custom_tools import bridged
from lingma_cli.protocols.openai_chat_parse import LEGACY, parse

HI = {"role": "user", "content": "hi"}


def _parse(**fields: Any) -> ChatRequest:
    return parse(json.dumps({"messages": [HI]} | fields).encode())


def _tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


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


def test_a_session_is_a_thread() -> None:
    """It is named and its answer is no stored response; an empty name names none."""
    request = _parse(session_id="conv_1")

    assert request.thread == Thread(conversation_id="conv_1", store=False)
    assert request.extras == {"openai_chat": {}}
    assert _parse(session_id="").thread is None
    assert _parse(session_id=None).thread is None


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
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}},
            {"type": "file", "file": {"file_id": "f", "filename": "a.pdf"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}},
            {"type": "file", "file": {"filename": "a.pdf"}},
            {"type": "refusal", "refusal": "no"},
        ],
    )
    expected = (
        TextPart(text="look"),
        MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64,AA"),
        MediaPart(kind=MediaKind.IMAGE, reference="https://example.org/a.png"),
        MediaPart(kind=MediaKind.AUDIO, reference="data:audio/mp3;base64,AA"),
        MediaPart(kind=MediaKind.FILE, reference="f"),
        MediaPart(kind=MediaKind.FILE, reference="data:application/pdf;base64,AA"),
        MediaPart(kind=MediaKind.FILE, reference="a.pdf"),
        TextPart(text="no"),
    )

    assert expected == message.parts


def test_an_assistant_turn_with_reasoning_and_calls() -> None:
    """Reasoning, text, sound and all spellings of calls become parts."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"id": "d", "type": "custom", "custom": {"name": "patch", "input": "+a"}}
    bare = {"function": {"name": "h", "arguments": ""}, "id": None}
    message = _turn(
        role="assistant",
        content=None,
        refusal="no",
        audio={"id": "a"},
        reasoning_content="hm",
        tool_calls=[call, custom, bare],
        function_call={"name": "g", "arguments": "[]"},
    )
    expected = (
        ReasoningPart(text="hm"),
        TextPart(text="no"),
        MediaPart(kind=MediaKind.AUDIO, reference="a"),
        ToolUsePart(call_id="c", name="f", arguments="{}"),
        ToolUsePart(call_id="d", name="patch", arguments='{"input":"+a"}'),
        ToolUsePart(call_id="", name="h", arguments="{}"),
        ToolUsePart(call_id="g", name="g", arguments="[]"),
    )

    assert expected == message.parts


@pytest.mark.parametrize("content", [None, "", []])
def test_a_turn_without_content(content: Any) -> None:
    """It is a turn without parts."""
    assert _turn(role="assistant", content=content).parts == ()


def test_anthropic_blocks() -> None:
    """Editors send them in OpenAI bodies; results become turns of their own."""
    data = {"type": "base64", "media_type": "image/png", "data": "AA"}
    pixels = {"type": "image", "source": data}
    link = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    paper = {"type": "document", "source": {"type": "file", "file_id": "f"}}
    calling = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "d", "name": "g"},
    ]
    shown = [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}, pixels]
    answering = [
        {"type": "tool_result", "tool_use_id": "c", "content": shown},
        {"type": "tool_result", "tool_use_id": "d", "content": "bad", "is_error": True},
        {"type": "text", "text": "look"},
        link,
        paper,
    ]
    image = MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64,AA")
    expected = (
        Message(
            role=Role.ASSISTANT,
            parts=(
                ReasoningPart(text="hm"),
                TextPart(text="so"),
                ToolUsePart(call_id="c", name="f", arguments='{"a":1}'),
                ToolUsePart(call_id="d", name="g", arguments="{}"),
            ),
        ),
        Message(
            role=Role.TOOL,
            parts=(
                ToolOutputPart(call_id="c", text="1\n2", media=(image,)),
                ToolOutputPart(call_id="d", text="bad", is_error=True),
            ),
        ),
        Message(
            role=Role.USER,
            parts=(
                TextPart(text="look"),
                MediaPart(kind=MediaKind.IMAGE, reference="https://example.org/a.png"),
                MediaPart(kind=MediaKind.FILE, reference="f"),
            ),
        ),
    )
    turns = [{"role": "assistant", "content": calling}, {"role": "user", "content": answering}]

    assert expected == _parse(messages=turns).messages


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


def test_a_tools_answer_with_an_image() -> None:
    """Text is joined, the image is kept beside it."""
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "text", "text": "b"},
    ]
    image = MediaPart(kind=MediaKind.IMAGE, reference="https://example.org/a.png")
    expected = ToolOutputPart(call_id="c", text="a\nb", media=(image,))

    assert (expected,) == _turn(role="tool", tool_call_id="c", content=content).parts


SCHEMA = {"type": "object"}
GRAMMAR = {"definition": "start: /a+/", "syntax": "lark"}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
            Tool(name="f", parameters=SCHEMA, strict=True),
        ),
        (
            {"function": {"name": "f", "description": "does f"}},
            Tool(name="f", description="does f"),
        ),
        (
            {"name": "f", "description": "does f", "input_schema": SCHEMA},
            Tool(name="f", description="does f", parameters=SCHEMA),
        ),
        (
            {"type": "custom", "name": "f", "input_schema": SCHEMA},
            Tool(name="f", parameters=SCHEMA),
        ),
        (
            {"type": "function", "name": "f", "parameters": SCHEMA, "strict": False},
            Tool(name="f", parameters=SCHEMA, strict=False),
        ),
        ({"type": "custom", "custom": {"name": "f"}}, bridged("f", "", None)),
        (
            {
                "type": "custom",
                "custom": {"name": "f", "format": {"type": "grammar", "grammar": GRAMMAR}},
            },
            bridged("f", "", GRAMMAR),
        ),
        (
            {"type": "custom", "name": "f", "format": {"type": "grammar"} | GRAMMAR},
            bridged("f", "", GRAMMAR),
        ),
    ],
)
def test_tools(entry: dict[str, Any], expected: Tool) -> None:
    """Functions and freeform tools, nested as in Chat, or flat as elsewhere."""
    assert (expected,) == _parse(tools=[entry]).tools


def test_functions_want_the_older_answer() -> None:
    """They offer the same, one call at a time; the mark is no unknown field."""
    request = _parse(functions=[{"name": "g", "description": "does g"}])

    assert (Tool(name="g", description="does g"),) == request.tools
    assert not request.parallel_tool_calls
    assert not request.results_have_ids
    assert request.extras == {"openai_chat": {}, LEGACY: {}}


def test_tools_and_functions_together() -> None:
    """Both are offered, and the newer form decides about the answer."""
    request = _parse(tools=[_tool("f")], functions=[{"name": "g"}])

    assert [tool.name for tool in request.tools] == ["f", "g"]
    assert LEGACY not in request.extras
    assert request.results_have_ids


@pytest.mark.parametrize(("sent", "allowed"), [(None, True), (True, True), (False, False)])
def test_parallel_calls(sent: bool | None, allowed: bool) -> None:
    """They are allowed unless the client says no."""
    assert allowed is _parse(parallel_tool_calls=sent).parallel_tool_calls


def _named(name: str) -> ToolChoice:
    return ToolChoice(mode=ToolMode.NAMED, name=name)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ToolChoice()),
        ({"tool_choice": "auto"}, ToolChoice()),
        ({"tool_choice": "none"}, ToolChoice(mode=ToolMode.NONE)),
        ({"tool_choice": "required"}, ToolChoice(mode=ToolMode.REQUIRED)),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, _named("f")),
        ({"tool_choice": {"type": "custom", "custom": {"name": "p"}}}, _named("p")),
        ({"tool_choice": {"type": "function", "name": "f"}}, _named("f")),
        ({"tool_choice": {"type": "tool", "name": "f"}}, _named("f")),
        ({"tool_choice": {"type": "any"}}, ToolChoice(mode=ToolMode.REQUIRED)),
        ({"tool_choice": {"type": "auto"}}, ToolChoice()),
        ({"tool_choice": {"type": "none"}}, ToolChoice(mode=ToolMode.NONE)),
        ({"function_call": {"name": "f"}}, _named("f")),
        ({"function_call": "none"}, ToolChoice(mode=ToolMode.NONE)),
    ],
)
def test_tool_choice(fields: dict[str, Any], expected: ToolChoice) -> None:
    """Words and named tools, in the new form, the old one and Anthropic's."""
    request = _parse(tools=[_tool("f"), {"type": "custom", "custom": {"name": "p"}}], **fields)

    assert expected == request.tool_choice
    assert len(request.tools) == 2


@pytest.mark.parametrize(
    ("mode", "expected"), [("auto", ToolMode.AUTO), ("required", ToolMode.REQUIRED)]
)
def test_allowed_tools(mode: str, expected: ToolMode) -> None:
    """Only those are offered; hosted ones are not ours to offer."""
    names: list[dict[str, Any]] = [_tool("g"), {"type": "web_search"}]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": names}}
    request = _parse(tools=[_tool("f"), _tool("g")], tool_choice=choice)

    assert [tool.name for tool in request.tools] == ["g"]
    assert request.tool_choice == ToolChoice(mode=expected)


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
    assert _parse(max_tokens=5).sampling.max_tokens == 5


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(None, ()), ("", ()), ("a", ("a",)), (["a", "", *"bcde"], ("a", *"bcde"))],
)
def test_stop_sequences(stop: Any, expected: tuple[str, ...]) -> None:
    """One or many; an empty one stops nothing."""
    assert expected == _parse(stop=stop).sampling.stop


def test_the_rest_of_a_request() -> None:
    """Stream, usage, user, effort and output format."""
    schema = {"type": "object"}
    wanted = {"name": "x", "schema": schema, "strict": True}
    format_ = {"type": "json_schema", "json_schema": wanted}
    request = _parse(
        stream=True,
        stream_options={"include_usage": True},
        user="u",
        reasoning_effort="low",
        response_format=format_,
    )

    assert (True, True, "u", "low", OutputFormat(name="x", schema=schema, strict=True)) == (
        request.stream,
        request.include_usage,
        request.user,
        request.reasoning_effort,
        request.output_format,
    )


def test_other_spellings() -> None:
    """The effort may stand in `reasoning`, the user may be a `safety_identifier`."""
    request = _parse(reasoning={"effort": "high", "summary": "auto"}, safety_identifier="s")

    assert (request.reasoning_effort, request.user) == ("high", "s")


@pytest.mark.parametrize("n", range(1, 9))
def test_several_choices(n: int) -> None:
    """Up to eight answers to one prompt."""
    assert _parse(n=n).choices == n


def test_any_json_object_will_do() -> None:
    """The older JSON mode has no schema."""
    assert OutputFormat() == _parse(response_format={"type": "json_object"}).output_format


def test_what_concerns_openai_alone_is_left_alone() -> None:
    """Fields that change no answer are neither kept nor told of."""
    request = _parse(
        store=False,
        metadata={"a": "b"},
        service_tier="auto",
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        stream_options={"include_usage": False, "include_obfuscation": False},
    )

    assert request == _parse()


@pytest.mark.parametrize("response_format", [None, {}, {"type": "text"}])
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
        ({"messages": [HI | {"name": "Ada"}]}, "name_dropped"),
        ({"tools": [{"type": "web_search"}]}, "tool_dropped"),
        ({"tools": [_tool("f"), _tool("f")]}, "tool_dropped"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice_ignored"),
        ({"tool_choice": {"type": []}}, "tool_choice_ignored"),
    ],
)
def test_what_is_dropped_leaves_a_note(fields: dict[str, Any], code: str) -> None:
    """Nothing is lost silently."""
    assert (code,) == codes(_parse(**fields).notes)


def test_unknown_fields_are_kept() -> None:
    """They wait in `extras` for an engine that knows them."""
    request = _parse(logit_bias={"1": 2}, x=[None], messages=[HI])

    assert request.extras == {"openai_chat": {"logit_bias": {"1": 2}, "x": [None]}}
