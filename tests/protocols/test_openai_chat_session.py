"""Turns of Chat Completions as items of a stored conversation, and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import BlockKind
from lingma_cli.core.notes import codes
from lingma_cli.protocols.openai_chat_parse import parse
from lingma_cli.protocols.openai_chat_session import added, after

WEATHER = {"type": "function", "function": {"name": "weather"}}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}


def _asked(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return parse(json.dumps({"messages": messages, **fields}).encode())


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def _answer(*blocks: Block) -> Collector:
    return Collector(blocks=list(blocks))


def _text(text: str) -> Block:
    return Block(kind=BlockKind.TEXT, text=text)


def _call(call_id: str, arguments: str = "{}", name: str = "weather") -> Block:
    return Block(kind=BlockKind.TOOL_CALL, text=arguments, call_id=call_id, name=name)


def _told(*turns: tuple[ChatRequest, Collector]) -> list[dict[str, Any]]:
    """Return the items of a session after `turns`."""
    items: list[dict[str, Any]] = []
    for request, answer in turns:
        asked, said = added(request, answer, is_first=not items)
        items += [*asked, *said]
    return items


def _words(messages: Sequence[Message]) -> list[str]:
    """Return each turn as its role's letter and its texts."""
    return [f"{one.role.value[0]}:{_said(one)}" for one in messages]


def _said(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def test_turns_come_before_the_request() -> None:
    """Everything that was said, in its order, each turn by itself."""
    first = _asked(_user("one"), _user("two"))
    items = _told((first, _answer(_text("12"))), (_asked(_user("three")), _answer(_text("3"))))

    assert _words(after(_asked(_user("four")), items).messages) == [
        "u:one",
        "u:two",
        "a:12",
        "u:three",
        "a:3",
        "u:four",
    ]


def test_an_empty_session_changes_nothing() -> None:
    """The first request of a session is asked as any other."""
    request = _asked(_system("be brief"), _user("hi"), session_id="conv_1")

    assert after(request, ()) == request


def test_the_items_are_those_of_responses() -> None:
    """Other protocols can go on with them."""
    asked, said = added(_asked(_user("hi")), _answer(_text("yo")), is_first=True)

    assert asked == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    ]
    assert said == [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "yo"}],
        }
    ]


def test_system_turns_of_the_first_request_stay() -> None:
    """They stand at the beginning; a later request may stand under others, once."""
    first = _asked(_system("be brief"), _user("one"))
    other = _asked(_system("be long"), _user("two"))
    items = _told((first, _answer(_text("1"))), (other, _answer(_text("2"))))

    assert _words(after(other, items[:3]).messages) == ["s:be long", "u:one", "a:1", "u:two"]
    assert _words(after(_asked(_user("three")), items).messages) == [
        "s:be brief",
        "u:one",
        "a:1",
        "u:two",
        "a:2",
        "u:three",
    ]


def test_system_turns_in_between_are_turns() -> None:
    """Only those at the beginning are about the whole."""
    asked = _asked(_user("one"), _system("now be brief"), _user("two"))
    items = _told((_asked(_user("zero")), _answer(_text("0"))), (asked, _answer(_text("2"))))

    assert _words(after(_asked(_user("three")), items).messages) == [
        "u:zero",
        "a:0",
        "u:one",
        "s:now be brief",
        "u:two",
        "a:2",
        "u:three",
    ]


def test_calls_and_results_keep_their_ids() -> None:
    """Parallel calls with a text before them, and their results in the next request."""
    question = _asked(_user("where?"), tools=[WEATHER])
    answer = _answer(_text("let me see"), _call("call_1", '{"a": 1}'), _call("call_2", ""))
    results = [
        {"role": "tool", "tool_call_id": f"call_{one}", "content": f"r{one}"} for one in "12"
    ]
    items = _told((question, answer), (_asked(*results), _answer(_text("sunny"))))
    turns = after(_asked(_user("and?"), tools=[WEATHER]), items).messages

    assert [turn.role.value for turn in turns] == ["user", "assistant", "tool", "assistant", "user"]
    assert turns[1].parts == (
        TextPart(text="let me see"),
        ToolUsePart(call_id="call_1", name="weather", arguments='{"a": 1}'),
        ToolUsePart(call_id="call_2", name="weather", arguments="{}"),
    )
    assert turns[2].parts == (
        ToolOutputPart(call_id="call_1", text="r1"),
        ToolOutputPart(call_id="call_2", text="r2"),
    )


def test_a_freeform_call_is_stored_as_one() -> None:
    """Its raw text is what a client of Responses sees."""
    tools = [{"type": "custom", "custom": {"name": "shell"}}]
    question = _asked(_user("list"), tools=tools)
    items = _told((question, _answer(_call("call_1", '{"input":"ls"}', "shell"))))

    assert items[-1] == {
        "type": "custom_tool_call",
        "call_id": "call_1",
        "name": "shell",
        "input": "ls",
    }
    call = after(_asked(_user("and?"), tools=tools), items).messages[1].parts
    assert call == (ToolUsePart(call_id="call_1", name="shell", arguments='{"input":"ls"}'),)


def test_an_old_function_call_is_met_by_its_name() -> None:
    """Clients of `functions` never learn an id."""
    functions = [{"name": "weather"}]
    question = _asked(_user("where?"), functions=functions)
    items = _told((question, _answer(_call("call_of_ours"))))
    result = _asked({"role": "function", "name": "weather", "content": "rain"}, functions=functions)
    parts = [part for turn in after(result, items).messages for part in turn.parts]

    assert parts[1:] == [
        ToolUsePart(call_id="weather", name="weather", arguments="{}"),
        ToolOutputPart(call_id="weather", text="rain"),
    ]


def test_media_keep_their_references() -> None:
    """In questions, in results, and by whichever name they are known."""
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "look"},
        PICTURE,
        {"type": "file", "file": {"file_data": "data:text/plain;base64,QQ"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": "QQ", "format": "mp3"}},
    ]
    asked = _asked(
        {"role": "user", "content": parts},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "see"}}]},
        {"role": "tool", "tool_call_id": "c", "content": [PICTURE]},
    )
    turns = after(_asked(_user("and?")), _told((asked, _answer(_text("ok"))))).messages

    assert turns[:3] == asked.messages
    assert turns[0].parts[-1] == MediaPart(
        kind=MediaKind.AUDIO, reference="data:audio/mp3;base64,QQ"
    )


def test_reasoning_is_not_stored() -> None:
    """Neither what the model thought nor what a client sent back of it."""
    asked = _asked(
        _user("one"), {"role": "assistant", "content": "1", "reasoning_content": "hm"}, _user("two")
    )
    thought = Block(kind=BlockKind.REASONING, text="hm")
    items = _told((asked, _answer(thought, _text("2"))))
    parts: list[Part] = [
        part for turn in after(_asked(_user("x")), items).messages for part in turn.parts
    ]

    assert not any(isinstance(part, ReasoningPart) for part in parts)
    assert "hm" not in json.dumps(items)


def test_an_empty_answer_is_a_turn() -> None:
    """Otherwise two questions would stand side by side."""
    items = _told((_asked(_user("one")), _answer(_text(""))))

    assert _words(after(_asked(_user("two")), items).messages) == ["u:one", "a:", "u:two"]
    assert after(_asked(_user("two")), items).messages[1] == Message(role=Role.ASSISTANT, parts=())


def test_what_is_not_understood_is_noted() -> None:
    """A conversation may hold items that mean nothing here."""
    odd = {"type": "mystery", "id": "item_1"}

    assert "part_dropped" in codes(after(_asked(_user("x")), [odd]).notes)
