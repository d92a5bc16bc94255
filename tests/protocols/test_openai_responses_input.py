"""Items of a Responses conversation: into messages, into storage, and continued from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    Thread,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.notes import codes
from lingma_cli.errors import LingmaError
from lingma_cli.protocols.openai_responses import parse
from lingma_cli.protocols.openai_responses_input import (
    continued,
    normalised,
    read_items,
    references,
    stored_items,
)
from tests.support.openai_schema import violations

USER = {"role": "user", "content": "hi"}
CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c", "output": "42"}
PNG = "data:image/png;base64,AA"


def said(*items: dict[str, Any], tools: tuple[Tool, ...] = ()) -> list[tuple[Role, list[Part]]]:
    reading = read_items(normalised(items), tools)
    assert reading.notes == []
    return [(message.role, list(message.parts)) for message in reading.messages]


def text(role: Role, *texts: str) -> tuple[Role, list[Part]]:
    return role, [TextPart(text=one) for one in texts]


def ids() -> Callable[[], str]:
    numbers = count(1)
    return lambda: str(next(numbers))


# messages


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
    """OpenAI's `developer` speaks as the system; a type is not needed."""
    assert [text(expected, "x")] == said({"role": role, "content": "x"})


def test_content_parts() -> None:
    """Texts of every name and media keep their order; media keep their reference."""
    ((_, parts),) = said(
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "output_text", "text": "b", "annotations": []},
                {"type": "text", "text": "c"},
                {"type": "refusal", "refusal": "d"},
                {"type": "input_image", "image_url": PNG, "detail": "auto"},
                {"type": "input_image", "image_url": {"url": PNG}},
                {"type": "input_image", "file_id": "file_1"},
                {"type": "input_file", "filename": "x", "file_data": "AA"},
                {"type": "input_file", "file_url": "https://example.org/a"},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ],
        }
    )

    media = [
        (MediaKind.IMAGE, PNG),
        (MediaKind.IMAGE, PNG),
        (MediaKind.IMAGE, "file_1"),
        (MediaKind.FILE, "AA"),
        (MediaKind.FILE, "https://example.org/a"),
        (MediaKind.AUDIO, ""),
    ]
    assert parts == [
        *(TextPart(text=one) for one in "abcd"),
        *(MediaPart(kind=kind, reference=reference) for kind, reference in media),
    ]


def test_one_turn_of_the_assistant() -> None:
    """Reasoning, text and calls that follow each other are one turn, their outputs another."""
    found = said(
        USER,
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "I look"}]},
        CALL,
        CALL | {"call_id": "d", "arguments": "[]"},
        OUTPUT,
        OUTPUT | {"call_id": "d"},
        {"role": "assistant", "content": "done"},
        USER,
        USER,
    )

    assert found == [
        text(Role.USER, "hi"),
        (
            Role.ASSISTANT,
            [
                ReasoningPart(text="hm"),
                TextPart(text="I look"),
                ToolUsePart(call_id="c", name="f", arguments="{}"),
                ToolUsePart(call_id="d", name="f", arguments="[]"),
            ],
        ),
        (
            Role.TOOL,
            [ToolOutputPart(call_id="c", text="42"), ToolOutputPart(call_id="d", text="42")],
        ),
        text(Role.ASSISTANT, "done"),
        text(Role.USER, "hi"),
        text(Role.USER, "hi"),
    ]


def test_an_output_of_parts() -> None:
    """Texts are joined by lines, images are kept as media."""
    parts = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": PNG},
        {"type": "input_text", "text": "b"},
    ]
    image = MediaPart(kind=MediaKind.IMAGE, reference=PNG)
    expected = ToolOutputPart(call_id="c", text="a\nb", media=(image,))

    assert [(Role.TOOL, [expected])] == said(OUTPUT | {"output": parts})


def test_a_freeform_call() -> None:
    """Raw text goes to the engine as the bridged function's arguments."""
    call = {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": 'a"b'}
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}

    (_, (use,)), (_, (answer,)) = said(call, output)
    assert isinstance(use, ToolUsePart)
    assert json.loads(use.arguments) == {"input": 'a"b'}
    assert answer == ToolOutputPart(call_id="c", text="ok")


def test_calls_are_told_by_the_names_that_engines_know() -> None:
    """A call of an earlier turn carries the client's name, perhaps with a namespace."""
    tools = (Tool(name="f"), Tool(name="n__f", client_name="f", namespace="n"))
    ((_, parts),) = said(CALL, CALL | {"namespace": "n"}, CALL | {"name": "gone"}, tools=tools)

    assert [part.name for part in parts if isinstance(part, ToolUsePart)] == ["f", "n__f", "gone"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"summary": [{"text": "a"}, {"text": "b"}]}, "a\n\nb"),
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "c"}]}, "c"),
        ({"summary": [{"text": "a"}], "content": [{"text": "c"}]}, "c"),
    ],
)
def test_reasoning(fields: dict[str, Any], expected: str) -> None:
    """The content says more than the summary, if it is there."""
    assert [(Role.ASSISTANT, [ReasoningPart(text=expected)])] == said(
        {"type": "reasoning"} | fields
    )


def test_built_in_tools_that_the_client_ran() -> None:
    """Calls and outputs of the shell and of patches are kept as those of functions."""
    found = said(
        {"type": "local_shell_call", "call_id": "1", "action": {"command": ["ls"]}},
        {"type": "apply_patch_call", "call_id": "2", "operation": {"type": "delete_file"}},
        {"type": "local_shell_call_output", "call_id": "1", "output": "a.txt"},
        {"type": "shell_call_output", "call_id": "2", "output": [{"stdout": "x"}]},
    )

    assert found == [
        (
            Role.ASSISTANT,
            [
                ToolUsePart(call_id="1", name="local_shell", arguments='{"command":["ls"]}'),
                ToolUsePart(call_id="2", name="apply_patch", arguments='{"type":"delete_file"}'),
            ],
        ),
        (
            Role.TOOL,
            [
                ToolOutputPart(call_id="1", text="a.txt"),
                ToolOutputPart(call_id="2", text='[{"stdout":"x"}]'),
            ],
        ),
    ]


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"type": "web_search_call", "id": "ws", "status": "completed"}, "part_dropped"),
        ({"type": "mcp_call", "id": "m", "call_id": "c", "content": 5}, "part_dropped"),
        ({"type": "compaction", "encrypted_content": "x"}, "part_dropped"),
        ({"type": "something_new", "role": 5, "content": {"a": 1}}, "part_dropped"),
        ({"type": ["message"]}, "part_dropped"),
        ({"type": "local_shell_call"}, "part_dropped"),
        ({"type": "item_reference", "id": "msg_1"}, "part_dropped"),
        ({"id": "msg_1"}, "part_dropped"),
        ({"role": "user", "content": [{"type": "hologram"}]}, "part_dropped"),
        ({"type": "reasoning", "encrypted_content": "x"}, "reasoning_dropped"),
    ],
)
def test_what_has_no_meaning_here_is_noted(item: dict[str, Any], code: str) -> None:
    """Nothing of an unknown kind is refused, and nothing is lost silently."""
    assert codes(read_items(normalised([item]), ()).notes) == (code,)


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "robot", "content": "x"}, "input[0].role"),
        ({"content": "x"}, "input[0].role"),
        ({"role": "user", "content": 5}, "input[0].content"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "input[0].content[0].text"),
        ({"role": "user", "content": ["a"]}, "input[0].content[0]"),
        ({"type": "function_call", "name": "f"}, "input[0].call_id"),
        (CALL | {"arguments": {}}, "input[0].arguments"),
        (OUTPUT | {"output": {"a": 1}}, "input[0].output"),
        ({"type": "custom_tool_call", "call_id": "c"}, "input[0].name"),
        ({"type": "reasoning", "summary": "x"}, "input[0].summary"),
    ],
)
def test_a_malformed_item_is_named(item: dict[str, Any], param: str) -> None:
    """An item of a known type must be one."""
    with pytest.raises(LingmaError) as caught:
        read_items(normalised([item]), ())

    assert param == caught.value.param


# storage


def test_input_of_every_form_is_a_list_of_items() -> None:
    """A text, a single item and a list say the same."""
    part = {"type": "input_text", "text": "hi"}
    expected = ({"type": "message", "role": "user", "content": [part]},)

    assert expected == normalised("hi") == normalised(USER) == normalised([USER])
    assert normalised(None) == ()


def test_stored_items_have_ids_and_fit_the_schema() -> None:
    """Given ids stay, others are made with their type's prefix; the items are OpenAI's."""
    items: list[dict[str, Any]] = [
        USER,
        USER | {"id": "mine"},
        {"role": "assistant", "content": "hm"},
        CALL,
        OUTPUT | {"id": None, "output": [{"type": "input_image", "image_url": PNG}]},
        {"type": "custom_tool_call", "call_id": "c", "name": "p", "input": ""},
        {"type": "custom_tool_call_output", "call_id": "c", "output": ""},
        {"type": "reasoning", "summary": [], "id": 5},
    ]
    stored = stored_items(normalised(items), ids())

    made = ["msg_1", "mine", "msg_2", "fc_3", "fco_4", "ctc_5", "ctco_6", "rs_7"]
    assert made == [item["id"] for item in stored]
    assert [fault for item in stored for fault in violations("ItemField", item)] == []


# continuation


def asked(*items: dict[str, Any], **fields: Any) -> ChatRequest:
    body = {"model": "m", "input": list(items), "previous_response_id": "resp_1"} | fields
    return parse(json.dumps(body).encode())


def test_a_conversation_goes_on() -> None:
    """Instructions of now come first, then what was said, then what is said now."""
    request = asked(OUTPUT, USER, instructions="be brief")
    stored = stored_items(normalised([{"role": "developer", "content": "old"}, USER, CALL]), ids())

    found = [(turn.role, list(turn.parts)) for turn in continued(request, stored).messages]

    assert found == [
        text(Role.SYSTEM, "be brief"),
        text(Role.SYSTEM, "old"),
        text(Role.USER, "hi"),
        (Role.ASSISTANT, [ToolUsePart(call_id="c", name="f", arguments="{}")]),
        (Role.TOOL, [ToolOutputPart(call_id="c", text="42")]),
        text(Role.USER, "hi"),
    ]


def test_the_assistants_turn_goes_on_over_the_border() -> None:
    """History and input are read as one list, so a turn is not cut between them."""
    (turn,) = continued(
        asked(CALL), [{"type": "message", "role": "assistant", "content": "I"}]
    ).messages

    assert [type(part) for part in turn.parts] == [TextPart, ToolUsePart]


def test_without_history_nothing_changes() -> None:
    """Continuing from nothing is the request itself."""
    request = asked(USER, {"type": "web_search_call"}, instructions="x", background=True)

    assert request == continued(request, [])


def test_references_are_resolved() -> None:
    """What stands in the history is there; what was looked up takes the reference's place."""
    request = asked(
        {"type": "item_reference", "id": "msg_old"}, {"id": "msg_far"}, {"id": "msg_far"}, USER
    )
    old = {"type": "message", "id": "msg_old", "role": "user", "content": "old"}
    far = {"type": "message", "id": "msg_far", "role": "user", "content": "far"}

    assert references(request) == ("msg_old", "msg_far")
    assert codes(request.notes) == ("part_dropped",)

    whole = continued(request, [old], {"msg_far": far})

    expected = [text(Role.USER, one) for one in ("old", "far", "far", "hi")]
    assert expected == [(turn.role, list(turn.parts)) for turn in whole.messages]
    assert whole.notes == ()
    assert whole.thread is not None
    assert [item.get("id") for item in whole.thread.items] == ["msg_far", "msg_far", None]


def test_a_reference_to_nothing_stays_noted() -> None:
    """What nobody stored is left out, and the note says so once."""
    whole = continued(asked({"id": "gone"}, USER), [])

    assert [message.role for message in whole.messages] == [Role.USER]
    assert [note.text for note in whole.notes] == ["input[0] refers to an item that is not known"]


def test_requests_of_other_protocols_stay_as_they_are() -> None:
    """Only a Responses thread can be continued with Responses items."""
    message = Message(role=Role.USER, parts=(TextPart(text="hi"),))
    request = ChatRequest(model="m", messages=(message,), thread=Thread())

    assert request == continued(request, [USER])
    assert references(ChatRequest(model="m", messages=())) == ()
