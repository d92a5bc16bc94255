"""Conversations in each protocol's words, and answers read and held to its grammar."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.kills.plan import CHAT, MESSAGES, RESPONSES, TOOL
from tests.support.wire_grammar import chat, messages, responses
from tests.support.wire_grammar.bodies import Whole, chat_body, messages_body, responses_body
from tests.support.wire_grammar.rules import DONE, Checker, Json, Violation

_SCHEMA: Final = {"type": "object", "properties": {"mark": {"type": "string"}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A tool call as the client got it."""

    id: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A question."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was answered, and the calls at its end."""

    text: str
    calls: Sequence[Call] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What the tools gave, by call id."""

    texts: Mapping[str, str]


Turn = User | Said | Results


@dataclass(slots=True, kw_only=True)
class Answer:
    """What a client has of an answer.

    Attributes:
        error: the code or type of the error that it ended with.
        wrong: what no client should have to see.
    """

    text: str = ""
    calls: list[Call] = field(default_factory=list)
    error: str = ""
    wrong: list[str] = field(default_factory=list)


def body(path: str, turns: Sequence[Turn], *, model: str, tools: bool, stream: bool) -> Json:
    """Return the request that asks for the next turn."""
    told: Json = {"model": model, "stream": stream}
    items = [item for turn in turns for item in _ITEMS[path](turn)]
    if path == RESPONSES:
        tool: Json = {"type": "function", "name": TOOL, "parameters": _SCHEMA}
        told["input"] = items
    elif path == CHAT:
        tool = {"type": "function", "function": {"name": TOOL, "parameters": _SCHEMA}}
        told["messages"] = items
    else:
        tool = {"name": TOOL, "input_schema": _SCHEMA}
        told |= {"messages": items, "max_tokens": 4_000}
    return told | {"tools": [tool]} if tools else told


def _chat_items(turn: Turn) -> list[Json]:
    match turn:
        case User(text=text):
            return [{"role": "user", "content": text}]
        case Said(text=text, calls=calls):
            made = [{"id": one.id, "type": "function", "function": _function(one)} for one in calls]
            said: Json = {"role": "assistant", "content": text}
            return [said | {"tool_calls": made} if made else said]
        case Results(texts=texts):
            return [
                {"role": "tool", "tool_call_id": id_, "content": text}
                for id_, text in texts.items()
            ]


def _response_items(turn: Turn) -> list[Json]:
    match turn:
        case User(text=text):
            return [{"role": "user", "content": text}]
        case Said(text=text, calls=calls):
            said = [{"role": "assistant", "content": text}] if text else []
            kind = {"type": "function_call"}
            return [*said, *({**kind, "call_id": one.id, **_function(one)} for one in calls)]
        case Results(texts=texts):
            kind = {"type": "function_call_output"}
            return [{**kind, "call_id": id_, "output": text} for id_, text in texts.items()]


def _message_items(turn: Turn) -> list[Json]:
    match turn:
        case User(text=text):
            return [{"role": "user", "content": text}]
        case Said(text=text, calls=calls):
            blocks: list[Json] = [{"type": "text", "text": text}] if text else []
            for one in calls:
                given = json.loads(one.arguments)
                blocks.append({"type": "tool_use", "id": one.id, "name": TOOL, "input": given})
            return [{"role": "assistant", "content": blocks}]
        case Results(texts=texts):
            results = [
                {"type": "tool_result", "tool_use_id": id_, "content": text}
                for id_, text in texts.items()
            ]
            return [{"role": "user", "content": results}]


def _function(call: Call) -> Json:
    return {"name": TOOL, "arguments": call.arguments}


_ITEMS: Final[Mapping[str, Callable[[Turn], list[Json]]]] = {
    CHAT: _chat_items,
    RESPONSES: _response_items,
    MESSAGES: _message_items,
}
_WHOLE: Final[Mapping[str, Callable[[Json], Whole]]] = {
    CHAT: chat_body,
    RESPONSES: responses_body,
    MESSAGES: messages_body,
}
_GRAMMAR: Final[Mapping[str, Callable[[bytes], list[Violation]]]] = {
    CHAT: chat,
    RESPONSES: responses,
    MESSAGES: messages,
}


def read(path: str, *, status: int, stream: bool, data: bytes) -> Answer:
    """Read a complete answer; whatever is wrong with it is told in `wrong`."""
    answer = Answer()
    if status == 200 and stream:
        answer.wrong += map(str, _GRAMMAR[path](data))
        for frame in Checker().frames(data):
            if frame.data != DONE:
                _STREAMED[path](answer, json.loads(frame.data))
        return answer
    try:
        value = json.loads(data)
        if status == 200:
            _read_whole(answer, _WHOLE[path](value))
        else:
            answer.error = _error(path, value)
    except (ValueError, LookupError, TypeError) as error:
        answer.wrong.append(f"status {status} with {data[:300]!r}: {error!r}")
    return answer


def _read_whole(answer: Answer, whole: Whole) -> None:
    (told,) = whole.answers
    for said in told.said:
        if said.kind == "text":
            answer.text += said.text
        elif said.kind == "tool_call":
            answer.calls.append(Call(id=said.call_id, arguments=said.text))
    if told.reason != ("tool_calls" if answer.calls else "stop"):
        answer.wrong.append(f"it ended with {told.reason}")


def _error(path: str, value: Any) -> str:
    """Return what the protocol's own error says that it is.

    Raises:
        ValueError: it is not the protocol's.
        LookupError: nor this.
    """
    error = value["error"]
    if path == MESSAGES:
        if value["type"] != "error" or not error["message"]:
            raise ValueError("no error of Messages")
        return str(error["type"])
    if value.keys() != {"error"} or error.keys() != {"message", "type", "param", "code"}:
        raise ValueError("no error of OpenAI")
    return str(error["code"])


def _chat_frame(answer: Answer, value: Json) -> None:
    if "error" in value:
        answer.error = value["error"]["code"]
        return
    for choice in value["choices"]:
        delta = choice["delta"]
        answer.text += delta.get("content") or ""
        for call in delta.get("tool_calls", ()):
            if call["index"] == len(answer.calls):
                answer.calls.append(Call(id=call["id"], arguments=""))
            last = answer.calls[-1]
            arguments = last.arguments + call["function"]["arguments"]
            answer.calls[-1] = Call(id=last.id, arguments=arguments)


def _response_frame(answer: Answer, value: Json) -> None:
    item = value.get("item", {})
    match value["type"]:
        case "response.output_text.delta":
            answer.text += value["delta"]
        case "response.output_item.done" if item["type"] == "function_call":
            answer.calls.append(Call(id=item["call_id"], arguments=item["arguments"]))
        case "response.failed":
            answer.error = value["response"]["error"]["code"]


def _message_frame(answer: Answer, value: Json) -> None:
    match value["type"]:
        case "content_block_start" if value["content_block"]["type"] == "tool_use":
            answer.calls.append(Call(id=value["content_block"]["id"], arguments=""))
        case "content_block_delta":
            delta = value["delta"]
            answer.text += delta.get("text", "")
            if "partial_json" in delta:
                last = answer.calls[-1]
                arguments = last.arguments + delta["partial_json"]
                answer.calls[-1] = Call(id=last.id, arguments=arguments)
        case "error":
            answer.error = value["error"]["type"]


_STREAMED: Final[Mapping[str, Callable[[Answer, Json], None]]] = {
    CHAT: _chat_frame,
    RESPONSES: _response_frame,
    MESSAGES: _message_frame,
}
