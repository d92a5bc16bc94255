"""Details of answers on which single clients depend, each looked at once, off the wire."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.e2e.test_client_facts import CHAT, MESSAGES, RESPONSES, body_for
from tests.support.demo_words import calls, say
from tests.support.frames import Frame, frames_of, streamed
from tests.support.serving import Serving

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS: dict[str, list[dict[str, Any]]] = {
    CHAT: [{"type": "function", "function": {"name": "write", "parameters": SCHEMA}}],
    RESPONSES: [{"type": "function", "name": "write", "parameters": SCHEMA}],
    MESSAGES: [{"name": "write", "input_schema": SCHEMA}],
}
# Everything that is easily damaged: several bytes a letter, line ends, quotes, backslashes.
TEXT = "x = \"é你🙂\"\n\tprint('\\n')\r\n</tool> \\u0041\u2028end"
TWO = calls([("write", {"text": TEXT}), ("write", {"text": "b"})], words="cut=1")
THOUGHT = "[[demo: say=answer thought=because think=push]]"


def stream_of(server: Serving, path: str, text: str, **more: Any) -> list[Frame]:
    """Return the frames of a streamed answer."""
    return frames_of(server.post(body_for(path, text, stream=True, **more), path))


def whole(server: Serving, path: str, text: str, **more: Any) -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    body: dict[str, Any] = server.post(body_for(path, text, **more), path).json()
    return body


def test_responses_events_name_their_items(demo: Serving) -> None:
    """Every event between an item's `added` and `done` has its id and index; none is missing."""
    items: dict[str, list[str]] = {}
    events = stream_of(demo, RESPONSES, TWO, tools=TOOLS[RESPONSES])
    assert [one.data["sequence_number"] for one in events[:-1]] == list(range(len(events) - 1))
    assert [one.name for one in events[:-1]] == [one.data["type"] for one in events[:-1]]
    for event in events[2:-2]:
        item_id = event.data.get("item_id") or event.data["item"]["id"]
        items.setdefault(item_id, []).append(event.name)
    assert len(items) == 2
    for names in items.values():
        assert names[0] == "response.output_item.added"
        assert names[-2:] == [
            "response.function_call_arguments.done",
            "response.output_item.done",
        ]
        assert set(names[1:-2]) == {"response.function_call_arguments.delta"}


def test_responses_end_with_the_whole_answer(demo: Serving) -> None:
    """`response.completed` has the output of the `done` events, one id, and usage with details."""
    for text in (TWO, THOUGHT, say("hello")):
        events = stream_of(demo, RESPONSES, text, tools=TOOLS[RESPONSES])
        completed = events[-2].data["response"]

        done = [one.data["item"] for one in events if one.name == "response.output_item.done"]
        assert completed["output"] == done
        assert done
        assert completed["id"] == events[0].data["response"]["id"]
        details = completed["usage"]["input_tokens_details"]
        assert set(details) == {"cached_tokens", "cache_write_tokens"}
        assert "user" not in completed
        assert events[-1].data == "[DONE]"


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_arguments_arrive_to_the_letter(demo: Serving, path: str, stream: bool) -> None:
    """Arguments are JSON text, whatever is in them and wherever the pieces are cut."""
    if stream:
        made = streamed_arguments(path, stream_of(demo, path, TWO, tools=TOOLS[path]))
    else:
        body = whole(demo, path, TWO, tools=TOOLS[path])
        if path == CHAT:
            called = body["choices"][0]["message"]["tool_calls"]
            made = [call["function"]["arguments"] for call in called]
        elif path == RESPONSES:
            made = [item["arguments"] for item in body["output"] if "arguments" in item]
            assert all(item["call_id"] for item in body["output"])
        else:
            made = [json.dumps(block["input"]) for block in body["content"] if "input" in block]
    assert [json.loads(arguments)["text"] for arguments in made] == [TEXT, "b"]


def streamed_arguments(path: str, events: list[Frame]) -> list[str]:
    """Return the arguments of each call, put together from their pieces."""
    pieces: dict[Any, str] = {}
    for event in events:
        if event.data == "[DONE]":
            continue
        if path == CHAT:
            deltas = [choice["delta"] for choice in event.data["choices"]]
            for call in (call for delta in deltas for call in delta.get("tool_calls", ())):
                place, piece = call["index"], call["function"].get("arguments", "")
                pieces[place] = pieces.get(place, "") + piece
        elif event.name == "response.function_call_arguments.delta":
            place = event.data["item_id"]
            pieces[place] = pieces.get(place, "") + event.data["delta"]
        elif event.name == "content_block_delta" and "partial_json" in event.data["delta"]:
            place = event.data["index"]
            pieces[place] = pieces.get(place, "") + event.data["delta"]["partial_json"]
    return list(pieces.values())


def test_reasoning_items_have_id_and_summary(demo: Serving) -> None:
    """A reasoning item has both, in the stream from the beginning."""
    for event in stream_of(demo, RESPONSES, THOUGHT):
        item = event.data.get("item", {}) if event.data != "[DONE]" else {}
        if item.get("type") == "reasoning":
            assert item["id"].startswith("rs_")
            assert isinstance(item["summary"], list)
            break
    else:
        pytest.fail("there was no reasoning item")


def test_chat_calls_have_their_index_and_reason(demo: Serving) -> None:
    """Parallel calls have indexes of their own; the reason is `tool_calls`; content is there."""
    events = [one.data for one in stream_of(demo, CHAT, TWO, tools=TOOLS[CHAT])]
    choices = [choice for data in events[:-1] for choice in data["choices"]]
    heads = [
        call
        for choice in choices
        for call in choice["delta"].get("tool_calls", ())
        if call.get("id")
    ]
    assert [head["index"] for head in heads] == [0, 1]
    assert all(head["type"] == "function" and head["function"]["name"] for head in heads)
    assert choices[-1]["finish_reason"] == "tool_calls"
    assert events[-1] == "[DONE]"

    choice = whole(demo, CHAT, TWO, tools=TOOLS[CHAT])["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None


def test_messages_blocks_are_opened_empty_and_closed(demo: Serving) -> None:
    """Each block starts empty, is closed under its index, and each event has its name."""
    wish = calls([("write", {"text": "a"})], words="prose=before think=push")
    thinking = {"type": "adaptive"}
    events = stream_of(demo, MESSAGES, wish, tools=TOOLS[MESSAGES], thinking=thinking)
    assert [one.name for one in events] == [one.data["type"] for one in events]
    usage = events[0].data["message"]["usage"]
    assert usage["input_tokens"] > 0
    starts = [one.data for one in events if one.name == "content_block_start"]
    stops = [one.data["index"] for one in events if one.name == "content_block_stop"]
    assert [start["index"] for start in starts] == stops == [0, 1, 2]
    blocks = [start["content_block"] for start in starts]
    assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
    assert (blocks[0]["thinking"], blocks[1]["text"], blocks[2]["input"]) == ("", "", {})
    assert events[-2].data["delta"]["stop_reason"] == "tool_use"
    assert events[-2].data["usage"]["output_tokens"] > 0


def test_echoed_tools_and_parts_are_complete(demo: Serving) -> None:
    """Function tools are echoed with `strict` and `description`; texts carry their lists."""
    body = whole(demo, RESPONSES, say("hello"), tools=TOOLS[RESPONSES])

    assert {"strict", "description"} <= set(body["tools"][0])
    assert {"annotations", "logprobs"} <= set(body["output"][0]["content"][0])


# What each API calls the wish for one call at a time.
ONE_BY_ONE: dict[str, dict[str, Any]] = {
    CHAT: {"parallel_tool_calls": False},
    RESPONSES: {"parallel_tool_calls": False},
    MESSAGES: {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
}


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_parallel_calls_come_unless_unwanted(demo: Serving, path: str, stream: bool) -> None:
    """Two calls of one turn come in every API, with ids of their own; else one."""
    cases: list[tuple[dict[str, Any], int]] = [({}, 2), (ONE_BY_ONE[path], 1)]
    for more, count in cases:
        body = body_for(path, TWO, tools=TOOLS[path], stream=stream, **more)
        assert len(set(call_ids(path, demo.post(body, path), stream=stream))) == count


def call_ids(path: str, answer: httpx.Response, *, stream: bool) -> list[str]:
    """Return the ids of the calls in an answer."""
    if not stream:
        items = {CHAT: "tool_calls", RESPONSES: "output", MESSAGES: "content"}[path]
        body = answer.json() if path != CHAT else answer.json()["choices"][0]["message"]
        return [
            one["call_id"] if path == RESPONSES else one["id"]
            for one in body[items]
            if one["type"] in ("function", "function_call", "tool_use")
        ]
    data = [frame.data for frame in frames_of(answer) if frame.data != "[DONE]"]
    if path == CHAT:
        deltas = [choice["delta"] for one in data for choice in one["choices"]]
        return [call["id"] for one in deltas for call in one.get("tool_calls", ()) if "id" in call]
    if path == RESPONSES:
        return [
            one["item"]["call_id"] for one in data if one["type"] == "response.output_item.done"
        ]
    starts = [one["content_block"] for one in data if one["type"] == "content_block_start"]
    return [one["id"] for one in starts if one["type"] == "tool_use"]


@pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
def test_every_piece_is_sent_at_once(demo: Serving, path: str) -> None:
    """The first words are there while the rest is not: the answer still goes on."""
    question = say("alpha ", "repeat=2000 split=6 delay=0.05")
    with streamed(demo, path, body_for(path, question, stream=True)) as answer:
        text = ""
        for piece in answer.iter_text():
            text += piece
            if "alpha" in text:
                # A place inside, and a lease.
                assert demo.in_flight() == 2
                break
        assert 0 < text.count("alpha") < 1000
