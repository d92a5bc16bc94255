"""Anthropic Messages: bodies in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    Part,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.anthropic_error import encode_error
from lingma_cli.protocols.anthropic_parse import parse

HI = {"role": "user", "content": "hi"}
F = {"name": "f", "input_schema": {"type": "object"}}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
PNG_PART = MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64,AA")


def _parse(**fields: Any) -> ChatRequest:
    return parse(json.dumps({"messages": [HI]} | fields).encode())


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}


def _said(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


def _turn(*blocks: dict[str, Any], role: str = "user") -> tuple[Message, ...]:
    return _parse(messages=[{"role": role, "content": list(blocks)}]).messages


def _result(content: Any = ..., **fields: Any) -> dict[str, Any]:
    held = {} if content is ... else {"content": content}
    return {"type": "tool_result", "tool_use_id": "c"} | held | fields


def test_a_minimal_request() -> None:
    """One user turn and nothing else, not even `max_tokens`; reasoning is not asked for."""
    expected = ChatRequest(
        model="m",
        messages=(_said(Role.USER, TextPart(text="hi")),),
        include_usage=True,
        show_reasoning=False,
        extras={"anthropic_messages": {}},
    )

    assert expected == _parse(model="m")


def test_nulls_are_as_good_as_absence() -> None:
    """SDKs send null for what was not set."""
    names = ["model", "system", "stream", "tools", "tool_choice", "thinking", "metadata", "thread"]

    assert _parse() == _parse(**dict.fromkeys(names))


# turns


@pytest.mark.parametrize("system", ["be brief", [_text("be "), _text("brief")]])
def test_the_system_text_comes_first(system: Any) -> None:
    """It is a string or a list of blocks."""
    first, last = _parse(system=system).messages

    assert "".join(part.text for part in first.parts if isinstance(part, TextPart)) == "be brief"
    assert (first.role, last.role) == (Role.SYSTEM, Role.USER)


@pytest.mark.parametrize("role", ["system", "developer"])
@pytest.mark.parametrize("content", ["tools changed", [_text("tools changed")]])
def test_a_system_turn_keeps_its_place(role: str, content: Any) -> None:
    """Claude Code puts one behind the user's turn; it is no user turn."""
    expected = (
        _said(Role.USER, TextPart(text="hi")),
        _said(Role.SYSTEM, TextPart(text="tools changed")),
    )

    assert expected == _parse(messages=[HI, {"role": role, "content": content}]).messages


def test_the_billing_line_is_no_prompt() -> None:
    """It is left out alone: a text that only begins like it stays."""
    line = "x-anthropic-billing-header: cc_version=2.1.329"
    system = [_text(line), _text(f"{line}\nYou are an agent.")]
    first, _ = _parse(system=system).messages

    assert (TextPart(text=f"{line}\nYou are an agent."),) == first.parts
    assert tuple(turn.role for turn in _parse(system=[_text(line)]).messages) == (Role.USER,)


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (_text("look"), TextPart(text="look")),
        (PNG, PNG_PART),
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            MediaPart(kind=MediaKind.IMAGE, reference="https://example.org/a.png"),
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            MediaPart(kind=MediaKind.IMAGE, reference="file_1"),
        ),
        (
            {"type": "document", "source": {"type": "text", "data": "words"}},
            TextPart(text="words"),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "words"}},
            TextPart(text="words"),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [PNG]}},
            PNG_PART,
        ),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"},
            },
            MediaPart(kind=MediaKind.FILE, reference="data:application/pdf;base64,AA"),
        ),
        (
            {
                "type": "search_result",
                "source": "https://example.org",
                "title": "Found",
                "content": [_text("one"), _text("two")],
            },
            TextPart(text="Found\nhttps://example.org\none\ntwo"),
        ),
    ],
)
def test_content_blocks(block: dict[str, Any], part: Part) -> None:
    """Each becomes a part; nothing of it is lost."""
    assert (_said(Role.USER, part),) == _turn(block)


def test_words_about_a_document_are_kept() -> None:
    """Title and context stand before the text."""
    source = {"type": "text", "data": "words"}
    block = {"type": "document", "source": source, "title": "T", "context": "C"}
    expected = _said(Role.USER, TextPart(text="T"), TextPart(text="C"), TextPart(text="words"))

    assert (expected,) == _turn(block)


def test_a_call_of_an_earlier_turn() -> None:
    """Its input becomes JSON text; an absent one is an empty object."""
    call = {"type": "tool_use", "id": "c", "name": "f", "input": {"a": "é\n", "b": 10**30}}
    bare = {"type": "tool_use", "id": "d", "name": "g"}
    arguments = '{"a":"é\\n","b":1000000000000000000000000000000}'
    expected = _said(
        Role.ASSISTANT,
        TextPart(text="I look."),
        ToolUsePart(call_id="c", name="f", arguments=arguments),
        ToolUsePart(call_id="d", name="g", arguments="{}"),
    )

    assert (expected,) == _turn(_text("I look."), call, bare, role="assistant")


@pytest.mark.parametrize(
    ("block", "output"),
    [
        (_result("42"), ToolOutputPart(call_id="c", text="42")),
        (_result(), ToolOutputPart(call_id="c", text="")),
        (_result([]), ToolOutputPart(call_id="c", text="")),
        (_result([_text("4"), _text("2")]), ToolOutputPart(call_id="c", text="4\n2")),
        (_result("no", is_error=True), ToolOutputPart(call_id="c", text="no", is_error=True)),
        (
            _result([_text("a dot"), PNG]),
            ToolOutputPart(call_id="c", text="a dot", media=(PNG_PART,)),
        ),
    ],
)
def test_a_tools_result(block: dict[str, Any], output: ToolOutputPart) -> None:
    """Its content is a text, blocks or missing, and it may have failed."""
    assert (_said(Role.TOOL, output),) == _turn(block)


def test_words_around_results_stay_around_them() -> None:
    """A user turn with results becomes several turns, in order; parallel results stay together."""
    one, two = ToolOutputPart(call_id="c", text="1"), ToolOutputPart(call_id="d", text="2")
    expected = (
        _said(Role.USER, TextPart(text="before")),
        _said(Role.TOOL, one, two),
        _said(Role.USER, TextPart(text="after"), PNG_PART),
    )
    results = _result("1"), _result("2", tool_use_id="d")

    assert expected == _turn(_text("before"), *results, _text("after"), PNG)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "hm", "signature": "foreign"},
        {"type": "redacted_thinking", "data": "AA"},
    ],
)
def test_reasoning_of_earlier_turns_is_dropped(block: dict[str, Any]) -> None:
    """It is neither sent on nor lost silently; many blocks make one note."""
    turn = {"role": "assistant", "content": [block, block, _text("Hi")]}
    request = _parse(messages=[HI, turn])

    assert _said(Role.ASSISTANT, TextPart(text="Hi")) == request.messages[1]
    assert [note.code.value for note in request.notes] == ["reasoning_dropped"]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": {"type": "error"}},
        _result([{"type": "browser_state"}]),
        {"type": "tool_addition", "tool": {"type": "mcp_toolset_reference", "server_name": "s"}},
    ],
)
def test_what_cannot_be_read_leaves_a_note(block: dict[str, Any]) -> None:
    """Blocks of other kinds are left out, and the turn stays a turn."""
    request = _parse(messages=[{"role": "user", "content": [block]}])

    assert (codes(request.notes), len(request.messages)) == (("part_dropped",), 1)


# tools


def test_tools() -> None:
    """The client's own tools are offered, whether or not they name their type."""
    named = {"type": "custom", "name": "g", "description": "does g", "strict": True}
    expected = (
        Tool(name="f", parameters={"type": "object"}),
        Tool(name="g", description="does g", strict=True),
    )

    assert expected == _parse(tools=[F | {"cache_control": {"type": "ephemeral"}}, named]).tools


@pytest.mark.parametrize(
    ("tool", "code"),
    [
        ({"type": "web_search_20250305", "name": "web_search", "max_uses": 5}, "tool_dropped"),
        ({"type": "bash_20250124", "name": "bash"}, "tool_dropped"),
        ({"type": "mcp_toolset", "mcp_server_name": "s"}, "tool_dropped"),
        (F, "tool_dropped"),
        ({"name": "later", "defer_loading": True}, "tool_deferred"),
    ],
)
def test_tools_that_are_not_offered_leave_a_note(tool: dict[str, Any], code: str) -> None:
    """Server tools, tools of the vendor's schema, doubles and deferred ones are never a 400."""
    request = _parse(tools=[F, tool])

    assert (["f"], (code,)) == ([tool.name for tool in request.tools], codes(request.notes))


def test_a_deferred_tool_that_was_found_is_offered() -> None:
    """The client's search answers with references; a change in mid-conversation does the same."""
    later = [{"name": name, "defer_loading": True} for name in ("found", "added", "waiting")]
    added, removed = (
        {"type": f"tool_{change}", "tool": {"type": "tool_reference", "name": name}}
        for change, name in (("addition", "added"), ("removal", "f"))
    )
    reference = {"type": "tool_reference", "tool_name": "found"}
    turns = [
        {"role": "user", "content": [_result([reference])]},
        {"role": "system", "content": [added, removed]},
    ]
    request = _parse(tools=[F, *later], messages=turns)

    assert [tool.name for tool in request.tools] == ["found", "added"]
    assert (ToolOutputPart(call_id="c", text="found"),) == request.messages[0].parts


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any"}, ToolChoice(mode=ToolMode.REQUIRED)),
        ({"type": "none"}, ToolChoice(mode=ToolMode.NONE)),
        ({"type": "tool", "name": "f"}, ToolChoice(mode=ToolMode.NAMED, name="f")),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: ToolChoice) -> None:
    """Four forms, and parallel calls may be switched off in each."""
    request = _parse(tools=[F], tool_choice=choice)
    single = _parse(tools=[F], tool_choice=choice | {"disable_parallel_tool_use": True})

    assert (expected, True) == (request.tool_choice, request.parallel_tool_calls)
    assert (expected, False) == (single.tool_choice, single.parallel_tool_calls)


@pytest.mark.parametrize("choice", [{"type": "new"}, {"type": "tool", "name": "bash"}])
def test_a_choice_that_cannot_be_followed_is_noted(choice: dict[str, Any]) -> None:
    """An unknown form, or a tool that had to be dropped, leaves the model free."""
    request = _parse(tools=[F, {"type": "bash_20250124", "name": "bash"}], tool_choice=choice)

    assert ToolChoice() == request.tool_choice
    assert "tool_choice_ignored" in codes(request.notes)


# the rest


def test_sampling() -> None:
    """Every knob arrives; `top_k` waits in `extras` for an engine that knows it."""
    request = _parse(max_tokens=5, temperature=1, top_p=0.5, top_k=7, stop_sequences=["a", "b"])
    expected = Sampling(max_tokens=5, temperature=1.0, top_p=0.5, stop=("a", "b"))

    assert (expected, {"top_k": 7}) == (request.sampling, request.extras["anthropic_messages"])


@pytest.mark.parametrize(
    ("thinking", "is_shown"),
    [
        (None, False),
        ({"type": "disabled"}, False),
        ({"type": "enabled", "budget_tokens": 2048}, True),
        ({"type": "adaptive"}, True),
        ({"type": "adaptive", "display": "summarized"}, True),
        ({"type": "adaptive", "display": "omitted"}, False),
        ({"type": "enabled", "budget_tokens": 31999, "display": "omitted"}, False),
    ],
)
def test_reasoning_is_shown_when_asked_for(thinking: dict[str, Any] | None, is_shown: bool) -> None:
    """Unless the client wants it omitted; a budget cannot be kept and is noted."""
    request = _parse(thinking=thinking)
    noted = ("fields_ignored",) if thinking and "budget_tokens" in thinking else ()

    assert (is_shown, noted) == (request.show_reasoning, codes(request.notes))


@pytest.mark.parametrize(
    "fields",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
    ],
)
def test_the_output_format_in_both_places(fields: dict[str, Any]) -> None:
    """The older field and the newer one say the same."""
    found = _parse(**fields).output_format

    assert found is not None
    assert found.schema == {"type": "object"}


def test_effort_user_and_stream() -> None:
    """The user is an opaque string, even when it holds JSON."""
    user = '{"device_id":"d","account_uuid":"","session_id":"s"}'
    request = _parse(output_config={"effort": "high"}, metadata={"user_id": user}, stream=True)

    assert ("high", user, True) == (request.reasoning_effort, request.user, request.stream)
    assert None is request.output_format


def test_fields_of_betas_are_accepted() -> None:
    """None is refused: clients would drop a feature and try again. Those that do no harm when
    they are left alone are no extras, so nobody notes them.
    """
    harmless = {
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "service_tier": "auto",
        "betas": ["x"],
        "cache_control": {"type": "ephemeral"},
    }
    others = {"mcp_servers": [{"type": "url"}], "container": "c"}

    assert others == _parse(**harmless, **others).extras["anthropic_messages"]


def _document(**fields: Any) -> list[dict[str, Any]]:
    source = {"type": "text", "media_type": "text/plain", "data": "d"}
    return [{"role": "user", "content": [{"type": "document", "source": source, **fields}]}]


@pytest.mark.parametrize(
    ("fields", "noted"),
    [
        ({"output_config": {"format": {"type": "grammar"}}}, ("fields_ignored",)),
        ({"output_config": {"task_budget": {"type": "tokens"}}}, ("fields_ignored",)),
        ({"tools": [F | {"input_examples": [{"a": 1}]}]}, ("fields_ignored",)),
        ({"messages": _document(citations={"enabled": True})}, ("fields_ignored",)),
        ({"messages": _document(citations={"enabled": False})}, ()),
        ({"messages": _document(citations="odd")}, ()),
    ],
)
def test_inner_fields_that_are_not_followed(fields: dict[str, Any], noted: tuple[str, ...]) -> None:
    """What changes the answer and is not forwarded is noted."""
    assert noted == codes(_parse(**fields).notes)


def test_a_negative_limit_is_refused() -> None:
    """No tokens may be asked for, fewer not."""
    with pytest.raises(LingmaError) as caught:
        _parse(max_tokens=-1)

    assert caught.value.param == "max_tokens"
    assert _parse(max_tokens=0).sampling == Sampling(max_tokens=0)


@pytest.mark.parametrize(
    "thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}]
)
def test_threads_are_refused_as_clients_understand(thread: dict[str, str]) -> None:
    """With this code the SDK sends the whole conversation; ignoring the field would lose it."""
    with pytest.raises(LingmaError) as caught:
        _parse(thread=thread)
    error = json.loads(encode_error(caught.value))["error"]
    details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}

    assert ErrorKind.INVALID_REQUEST is caught.value.kind
    assert (details, "invalid_request_error") == (error["details"], error["type"])


def _error(body: bytes) -> str:
    try:
        parse(body)
    except LingmaError as error:
        return error.message
    return ""


def test_any_depth_is_a_request_or_a_typed_error() -> None:
    """What was just shallow enough to be read is shallow enough to be written."""
    call = b'{"type":"tool_use","id":"c","name":"f","input":%b}'
    bodies = [
        b'{"messages":[{"role":"assistant","content":[%b]}]}'
        % (call % (b'{"a":' * depth + b"1" + b"}" * depth))
        for depth in range(500, 1000)
    ]

    assert {"", "the request body is nested too deeply"} == set(map(_error, bodies))
