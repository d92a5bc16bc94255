"""A good stream of each protocol, and for each rule what breaks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from tests.support.wire_grammar.rules import Rule


class Bad(NamedTuple):
    """A good stream in which `old`, once, became `new`."""

    rule: Rule
    old: str
    new: str


def _call(**fields: object) -> dict[str, object]:
    return {"tool_calls": [{"index": 0, **fields}]}


def _chunk(delta: object, finish: str | None = None, index: int = 0) -> dict[str, object]:
    return _envelope([{"index": index, "delta": delta, "finish_reason": finish}])


def _envelope(choices: list[object], **fields: object) -> dict[str, object]:
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m"}
    return {**head, "choices": choices, **fields}


def _sse(*values: Any, named: bool = True) -> str:
    return "".join(
        (f"event: {value['type']}\n" if named else "") + f"data: {json.dumps(value)}\n\n"
        for value in values
    )


DONE: Final = "data: [DONE]\n\n"
USAGE: Final = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CHAT: Final = (
    _sse(
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": "hi"}),
        _chunk(_call(id="i", type="function", function={"name": "f", "arguments": ""})),
        _chunk(_call(function={"arguments": "{}"})),
        _chunk({}, "tool_calls"),
        _chunk({"role": "assistant", "content": ""}, index=1),
        _chunk({"function_call": {"name": "f", "arguments": ""}}, index=1),
        _chunk({"function_call": {"arguments": "{1}"}}, index=1),
        _chunk({}, "function_call", index=1),
        _envelope([], usage=USAGE),
        named=False,
    )
    + DONE
)
ERROR: Final = _sse(
    {"error": {"message": "m", "type": "t", "param": None, "code": "c"}}, named=False
)
FIRST_FINISH: Final = _sse(_chunk({}, "tool_calls"), named=False)
LAST_FINISH: Final = _sse(_chunk({}, "function_call", index=1), named=False)
COUNTS: Final = _sse(_envelope([], usage=USAGE), named=False)
MORE: Final = _sse(_chunk({"content": "more"}), named=False)
SECOND_CALL: Final = _sse(
    _chunk(
        {
            "tool_calls": [
                {
                    "index": 1,
                    "id": "i",
                    "type": "custom",
                    "custom": {"name": "g", "input": "raw"},
                }
            ]
        }
    ),
    named=False,
)

CHAT_BAD: Final = (
    Bad(Rule.SSE_FRAME, '{"content": "hi"}', '{"content":\n"hi"}'),
    Bad(Rule.SSE_FRAME, DONE, "data: [DONE]\n"),
    Bad(Rule.SSE_JSON, '{"content": "hi"}', '{"content": "hi"'),
    Bad(Rule.SSE_JSON, '{"content": "hi"}', '{"content": "hi", "content": "hi"}'),
    Bad(Rule.SSE_JSON, '"total_tokens": 5', '"total_tokens": NaN'),
    Bad(Rule.CHAT_CHUNK, COUNTS, f"event: usage\n{COUNTS}"),
    Bad(Rule.CHAT_CHUNK, '{"id": "c1"', '{"id": ""'),
    Bad(Rule.CHAT_CHUNK, "chat.completion.chunk", "chat.completion"),
    Bad(Rule.CHAT_CHUNK, '"finish_reason": "tool_calls"', '"finish_reason": "tool_use"'),
    Bad(Rule.CHAT_CHUNK, ', "finish_reason": null', ""),
    Bad(Rule.CHAT_SAME, COUNTS, COUNTS.replace("c1", "c2")),
    Bad(Rule.CHAT_SAME, COUNTS, COUNTS.replace('"m"', '""')),
    Bad(Rule.CHAT_SAME, COUNTS, COUNTS.replace("7", "8")),
    Bad(Rule.CHAT_CHOICE, MORE.replace("more", "hi"), MORE.replace('"index": 0', '"index": 2')),
    Bad(Rule.CHAT_ROLE, '"role": "assistant", ', ""),
    Bad(Rule.CHAT_ROLE, '{"content": "hi"}', '{"role": "assistant", "content": "hi"}'),
    Bad(Rule.CHAT_DELTA, '{"content": "hi"}', '{"content": 1}'),
    Bad(Rule.CHAT_DELTA, '{"content": "hi"}', '{"text": "hi"}'),
    Bad(Rule.CHAT_CALL_INDEX, '[{"index": 0, "id"', '[{"index": 1, "id"'),
    Bad(Rule.CHAT_CALL_INDEX, '[{"index": 0, "id"', '[{"id"'),
    Bad(Rule.CHAT_CALL_FIRST, '"id": "i", ', ""),
    Bad(Rule.CHAT_CALL_FIRST, '"name": "f"', '"name": ""'),
    Bad(Rule.CHAT_CALL_FIRST, '"name": "f", "arguments": ""', '"name": "f", "arguments": {}'),
    Bad(Rule.CHAT_CALL_ID, FIRST_FINISH, SECOND_CALL + FIRST_FINISH),
    Bad(Rule.CHAT_CALL_MORE, '"arguments": "{}"', '"arguments": {}'),
    Bad(Rule.CHAT_CALL_MORE, '"function": {"arguments"', '"id": "i", "function": {"arguments"'),
    Bad(Rule.CHAT_LEGACY, '{"arguments": "{1}"}', '{"name": "f", "arguments": "{1}"}'),
    Bad(Rule.CHAT_FINISH, FIRST_FINISH, FIRST_FINISH * 2),
    Bad(Rule.CHAT_FINISH, FIRST_FINISH, ""),
    Bad(Rule.CHAT_AFTER_FINISH, FIRST_FINISH, FIRST_FINISH + MORE),
    Bad(Rule.CHAT_REASON, '"finish_reason": "tool_calls"', '"finish_reason": "stop"'),
    Bad(Rule.CHAT_REASON, '"finish_reason": "function_call"', '"finish_reason": "tool_calls"'),
    Bad(Rule.CHAT_USAGE, COUNTS, ""),
    Bad(Rule.CHAT_USAGE, COUNTS, COUNTS * 2),
    Bad(Rule.CHAT_USAGE, LAST_FINISH + COUNTS, COUNTS + LAST_FINISH),
    Bad(Rule.CHAT_USAGE, '"choices": [], ', f'"choices": [{json.dumps({})}], '),
    Bad(Rule.CHAT_COUNTS, '"total_tokens": 5', '"total_tokens": 4'),
    Bad(Rule.CHAT_COUNTS, '"prompt_tokens": 3', '"prompt_tokens": null'),
    Bad(Rule.CHAT_END, DONE, ""),
    Bad(Rule.CHAT_END, DONE, DONE * 2),
    Bad(Rule.CHAT_END, DONE, ERROR + DONE),
    Bad(Rule.CHAT_END, DONE, DONE + MORE),
    Bad(Rule.CHAT_ERROR, DONE, ERROR.replace('"t"', "null")),
    Bad(Rule.CHAT_ERROR, DONE, ERROR.replace(', "param": null', "")),
)

BEGUN: Final[Mapping[str, object]] = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}
TOOL_USE: Final = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
THINKING: Final = {"type": "thinking", "thinking": "", "signature": ""}

ENDED: Final = {
    "type": "message_delta",
    "delta": {"stop_reason": "tool_use", "stop_sequence": None},
    "usage": {"output_tokens": 4},
}


def _start(index: int, block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, kind: str, name: str, text: str) -> dict[str, object]:
    delta = {"type": kind, name: text}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _stop(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


MESSAGES: Final = _sse(
    {"type": "ping"},
    {"type": "message_start", "message": BEGUN},
    _start(0, THINKING),
    _delta(0, "thinking_delta", "thinking", "hm"),
    _stop(0),
    _start(1, {"type": "text", "text": ""}),
    {"type": "ping"},
    _delta(1, "text_delta", "text", "hi"),
    _stop(1),
    _start(2, TOOL_USE),
    _delta(2, "input_json_delta", "partial_json", "{}"),
    _stop(2),
    ENDED,
    {"type": "message_stop"},
)
MESSAGE_DELTA: Final = _sse(ENDED)
MESSAGE_STOP: Final = _sse({"type": "message_stop"})
MESSAGE_ERROR: Final = _sse({"type": "error", "error": {"type": "api_error", "message": "m"}})
TEXT_STOP: Final = _sse(_stop(1))
ENDING: Final = '"stop_reason": "tool_use", "stop_sequence": null'

MESSAGES_BAD: Final = (
    Bad(Rule.MESSAGES_EVENT, "event: message_stop\n", ""),
    Bad(Rule.MESSAGES_EVENT, "event: message_stop\n", "event: message\n"),
    Bad(Rule.MESSAGES_TYPE, MESSAGE_STOP, _sse({"type": "message_end"}) + MESSAGE_STOP),
    Bad(Rule.MESSAGES_START, _sse({"type": "message_start", "message": BEGUN}), ""),
    Bad(Rule.MESSAGES_START, '"content": [],', '"content": [{}],'),
    Bad(Rule.MESSAGES_START, '"input_tokens": 3, ', ""),
    Bad(
        Rule.MESSAGES_START,
        _sse(_stop(0)),
        _sse(_stop(0), {"type": "message_start", "message": BEGUN}),
    ),
    Bad(Rule.MESSAGES_INDEX, '"index": 1, "content_block"', '"index": 2, "content_block"'),
    Bad(Rule.MESSAGES_OVERLAP, TEXT_STOP, ""),
    Bad(Rule.MESSAGES_OVERLAP, TEXT_STOP, TEXT_STOP * 2),
    Bad(Rule.MESSAGES_OVERLAP, '"index": 1, "delta"', '"index": 0, "delta"'),
    Bad(Rule.MESSAGES_BLOCK, '"input": {}', '"input": {"a": 1}'),
    Bad(Rule.MESSAGES_BLOCK, '"id": "t1"', '"id": ""'),
    Bad(Rule.MESSAGES_BLOCK, ', "signature": ""', ""),
    Bad(Rule.MESSAGES_BLOCK, json.dumps(THINKING), '{"type": "image"}'),
    Bad(Rule.MESSAGES_CALL_ID, _sse(_stop(2)), _sse(_stop(2), _start(3, TOOL_USE), _stop(3))),
    Bad(Rule.MESSAGES_DELTA, '"text_delta", "text"', '"thinking_delta", "thinking"'),
    Bad(Rule.MESSAGES_DELTA, '"partial_json": "{}"', '"partial_json": {}'),
    Bad(Rule.MESSAGES_TAIL, MESSAGE_STOP, _sse(_start(3, TOOL_USE)) + MESSAGE_STOP),
    Bad(Rule.MESSAGES_TAIL, MESSAGE_DELTA, ""),
    Bad(Rule.MESSAGES_USAGE, '"usage": {"output_tokens": 4}', '"usage": {}'),
    Bad(Rule.MESSAGES_USAGE, '{"output_tokens": 4}', '{"output_tokens": 0}'),
    Bad(Rule.MESSAGES_REASON, ENDING, ENDING.replace("tool_use", "end_turn")),
    Bad(Rule.MESSAGES_REASON, ENDING, ENDING.replace('"tool_use"', "null")),
    Bad(Rule.MESSAGES_REASON, ENDING, ENDING.replace("null", '"x"')),
    Bad(Rule.MESSAGES_END, MESSAGE_STOP, ""),
    Bad(Rule.MESSAGES_END, MESSAGE_STOP, MESSAGE_STOP * 2),
    Bad(Rule.MESSAGES_END, MESSAGE_STOP, MESSAGE_STOP + MESSAGE_ERROR),
    Bad(Rule.MESSAGES_ERROR, MESSAGE_STOP, MESSAGE_ERROR.replace("api_error", "")),
)


def _response(kind: str, **fields: object) -> dict[str, object]:
    head = {"id": "r1", "object": "response", "created_at": 7, "model": "m"}
    details = {"error": None, "incomplete_details": None}
    return {"type": f"response.{kind}", "response": {**head, **details, **fields}}


def _numbered(*events: Mapping[str, object]) -> list[dict[str, object]]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _item(kind: str, index: int, item: object) -> dict[str, object]:
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": item}


def _inside(kind: str, at: Mapping[str, object], **fields: object) -> dict[str, object]:
    return {"type": f"response.{kind}", **at, **fields}


MESSAGE: Final = {"type": "message", "id": "i0", "role": "assistant"}
PART: Final = {"type": "output_text", "text": "hi"}
SUMMARY: Final = {"type": "summary_text", "text": "hm"}
CALL: Final = {"type": "function_call", "id": "i2", "call_id": "k", "name": "f"}
RAW: Final = {"type": "custom_tool_call", "id": "i3", "call_id": "l", "name": "g"}
AT_0: Final = {"item_id": "i0", "output_index": 0, "content_index": 0}
AT_1: Final = {"item_id": "i1", "output_index": 1, "summary_index": 0}
AT_2: Final = {"item_id": "i2", "output_index": 2}
AT_3: Final = {"item_id": "i3", "output_index": 3}
WHOLE: Final = (
    {**MESSAGE, "status": "completed", "content": [PART]},
    {"type": "reasoning", "id": "i1", "summary": [SUMMARY]},
    {**CALL, "status": "completed", "arguments": "{}"},
    {**RAW, "input": "raw"},
)
TOKENS: Final = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
EVENTS: Final = _numbered(
    _response("created", status="in_progress", output=[]),
    _response("in_progress", status="in_progress", output=[]),
    _item("added", 0, {**MESSAGE, "status": "in_progress", "content": []}),
    _inside("content_part.added", AT_0, part={**PART, "text": ""}),
    _inside("output_text.delta", AT_0, delta="h"),
    _inside("output_text.delta", AT_0, delta="i"),
    _inside("output_text.done", AT_0, text="hi"),
    _inside("content_part.done", AT_0, part=PART),
    _item("done", 0, WHOLE[0]),
    _item("added", 1, {"type": "reasoning", "id": "i1", "summary": []}),
    _inside("reasoning_summary_part.added", AT_1, part={**SUMMARY, "text": ""}),
    _inside("reasoning_summary_text.delta", AT_1, delta="hm"),
    _inside("reasoning_summary_text.done", AT_1, text="hm"),
    _inside("reasoning_summary_part.done", AT_1, part=SUMMARY),
    _item("done", 1, WHOLE[1]),
    _item("added", 2, {**CALL, "status": "in_progress", "arguments": ""}),
    _inside("function_call_arguments.delta", AT_2, delta="{}"),
    _inside("function_call_arguments.done", AT_2, arguments="{}"),
    _item("done", 2, WHOLE[2]),
    _item("added", 3, {**RAW, "input": ""}),
    _inside("custom_tool_call_input.delta", AT_3, delta="raw"),
    _inside("custom_tool_call_input.done", AT_3, input="raw"),
    _item("done", 3, WHOLE[3]),
    _response("completed", status="completed", output=list(WHOLE), usage=TOKENS),
)
RESPONSES: Final = _sse(*EVENTS) + DONE
CREATED: Final = _sse(EVENTS[0])
FINAL: Final = _sse(EVENTS[-1])
DELTA: Final = _sse(EVENTS[4])
SECOND_DELTA: Final = _sse(EVENTS[5])
CALL_DONE: Final = _sse(EVENTS[17])
ITEM_DONE: Final = _sse(EVENTS[8])
CALL_ADDED: Final = _sse(EVENTS[15])
FAILED: Final = FINAL.replace("completed", "failed")


def _cut(status: str) -> str:
    """Return the last event of a response of `status` whose message is incomplete."""
    incomplete = {**WHOLE[0], "status": "incomplete"}
    output = [incomplete, *WHOLE[1:]]
    return _sse({**EVENTS[-1], **_response(status, status=status, output=output, usage=TOKENS)})


RESPONSES_BAD: Final = (
    Bad(Rule.RESPONSES_EVENT, "event: response.completed\n", ""),
    Bad(Rule.RESPONSES_TYPE, DELTA, DELTA.replace("output_text", "output_note")),
    Bad(Rule.RESPONSES_NUMBER, '"sequence_number": 5', '"sequence_number": 4'),
    Bad(Rule.RESPONSES_NUMBER, DELTA, ""),
    Bad(Rule.RESPONSES_BEGIN, CREATED, CREATED.replace(".created", ".in_progress")),
    Bad(Rule.RESPONSES_BEGIN, DELTA, CREATED),
    Bad(Rule.RESPONSES_BEGIN, '"output": []', '"output": [{}]'),
    Bad(Rule.RESPONSES_SAME, FINAL, FINAL.replace("r1", "r2")),
    Bad(Rule.RESPONSES_SAME, FINAL, FINAL.replace('"m"', '"n"')),
    Bad(Rule.RESPONSES_SAME, FINAL, FINAL.replace("7", "8")),
    Bad(Rule.RESPONSES_ITEM, '"content": []', f'"content": [{json.dumps(PART)}]'),
    Bad(Rule.RESPONSES_ITEM, '"call_id": "k"', '"call_id": ""'),
    Bad(Rule.RESPONSES_ITEM, '{"type": "reasoning", ', '{"type": "thought", '),
    Bad(Rule.RESPONSES_INDEX, CALL_ADDED, CALL_ADDED.replace('_index": 2', '_index": 3')),
    Bad(Rule.RESPONSES_INDEX, ITEM_DONE, ""),
    Bad(Rule.RESPONSES_PLACE, DELTA, DELTA.replace("i0", "i9")),
    Bad(Rule.RESPONSES_PLACE, DELTA, DELTA.replace('"content_index": 0', '"content_index": 1')),
    Bad(Rule.RESPONSES_PLACE, DELTA, DELTA.replace('"output_index": 0', '"output_index": 1')),
    Bad(Rule.RESPONSES_PLACE, ITEM_DONE, ITEM_DONE.replace('_index": 0', '_index": 1')),
    Bad(Rule.RESPONSES_ORDER, _sse(EVENTS[3]), ""),
    Bad(Rule.RESPONSES_ORDER, _sse(EVENTS[7]), ""),
    Bad(Rule.RESPONSES_ORDER, CALL_DONE, ""),
    Bad(Rule.RESPONSES_ORDER, _sse(EVENTS[-2]), ""),
    Bad(Rule.RESPONSES_ORDER, FINAL, CALL_DONE + FINAL),
    Bad(Rule.RESPONSES_PART, '{"type": "summary_text", "text": ""}', '{"type": "summary_text"}'),
    Bad(Rule.RESPONSES_PART, json.dumps(EVENTS[7]["part"]), '{"type": "text", "text": "hi"}'),
    Bad(Rule.RESPONSES_TEXT, SECOND_DELTA, ""),
    Bad(Rule.RESPONSES_TEXT, '"delta": "h"', '"delta": null'),
    Bad(Rule.RESPONSES_TEXT, CALL_DONE, CALL_DONE.replace('"{}"', '""')),
    Bad(Rule.RESPONSES_ITEM_DONE, ITEM_DONE, ITEM_DONE.replace("hi", "ho")),
    Bad(Rule.RESPONSES_ITEM_DONE, ITEM_DONE, ITEM_DONE.replace("i0", "i9")),
    Bad(Rule.RESPONSES_STATUS, ITEM_DONE, ITEM_DONE.replace("completed", "in_progress")),
    Bad(Rule.RESPONSES_STATUS, ITEM_DONE, ITEM_DONE.replace("completed", "incomplete")),
    Bad(Rule.RESPONSES_ITEM_ID, '"call_id": "l"', '"call_id": "k"'),
    Bad(Rule.RESPONSES_OUTPUT, FINAL, FINAL.replace('"text": "hi"', '"text": ""')),
    Bad(Rule.RESPONSES_OUTPUT, FINAL, _cut("incomplete")),
    Bad(Rule.RESPONSES_FINAL, FINAL, FINAL.replace('"response.completed"', '"response.failed"')),
    Bad(Rule.RESPONSES_FINAL, FINAL, FAILED),
    Bad(Rule.RESPONSES_FINAL, FINAL, _cut("incomplete")),
    Bad(Rule.RESPONSES_COUNTS, '"total_tokens": 5', '"total_tokens": 6'),
    Bad(Rule.RESPONSES_COUNTS, FINAL, FINAL.replace(json.dumps(TOKENS), "null")),
    Bad(Rule.RESPONSES_END, DONE, ""),
    Bad(Rule.RESPONSES_END, DONE, DONE * 2),
    Bad(Rule.RESPONSES_END, FINAL, ""),
    Bad(Rule.RESPONSES_END, FINAL, FINAL * 2),
)
