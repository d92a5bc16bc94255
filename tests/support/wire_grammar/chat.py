"""Chat Completions: what its stream has to look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.support.wire_grammar.rules import (
    DONE,
    Checker,
    Json,
    Rule,
    Violation,
    adds_up,
    as_dict,
    is_count,
    is_name,
)

_CHAT_ENDS: Final = {"stop", "length", "tool_calls", "content_filter", "function_call"}
_CHAT_DELTA_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "role": str,
    "content": (str, type(None)),
    "refusal": (str, type(None)),
    "reasoning_content": str,
    "tool_calls": list,
    "function_call": dict,
}
_CALL_TEXTS: Final = {"function": "arguments", "custom": "input"}


@dataclass(slots=True)
class _Choice:
    call_ids: list[str] = field(default_factory=list)
    is_legacy: bool = False
    finish: str | None = None


class _Chat(Checker):
    def __init__(self, choices: int, *, include_usage: bool) -> None:
        super().__init__()
        self._wanted = choices
        self._include_usage = include_usage
        self._choices: dict[int, _Choice] = {}
        self._head: tuple[object, ...] | None = None
        self._has_usage = False

    def check(self, stream: bytes) -> None:
        end: str | None = None
        for frame in self.frames(stream):
            self.hold(Rule.CHAT_CHUNK, frame.event is None)
            if not self.hold(Rule.CHAT_END, end is None):
                continue
            if frame.data == DONE:
                end = DONE
                continue
            value = self.value(frame)
            if "error" in value:
                end = "error"
                self._error(value)
            else:
                self._chunk(value)
        self.hold(Rule.CHAT_END, end, "the stream just stops")
        if end == DONE:
            finished = [one for one in self._choices.values() if one.finish is not None]
            self.hold(Rule.CHAT_FINISH, len(finished) == self._wanted, f"{len(finished)} finished")
            self.hold(Rule.CHAT_USAGE, self._has_usage == self._include_usage, "[DONE]")

    def _error(self, value: Json) -> None:
        error = as_dict(value["error"])
        is_told = value.keys() == {"error"} and {"param", "code"} <= error.keys()
        is_told = is_told and isinstance(error.get("message"), str)
        self.hold(Rule.CHAT_ERROR, is_told and is_name(error.get("type")))

    def _chunk(self, chunk: Json) -> None:
        head = (chunk.get("id"), chunk.get("model"), chunk.get("created"))
        choices = chunk.get("choices")
        is_chunk = chunk.get("object") == "chat.completion.chunk" and is_name(head[0])
        is_chunk = is_chunk and isinstance(head[1], str) and is_count(head[2])
        if not self.hold(Rule.CHAT_CHUNK, is_chunk and isinstance(choices, list)):
            return
        self._head = self._head or head
        self.hold(Rule.CHAT_SAME, head == self._head)
        self.hold(Rule.CHAT_USAGE, not self._has_usage)
        if not choices:
            self._usage(chunk)
            return
        self.hold(Rule.CHAT_USAGE, chunk.get("usage") is None)
        for choice in choices or ():
            self._choice(as_dict(choice))

    def _usage(self, chunk: Json) -> None:
        is_over = all(one.finish is not None for one in self._choices.values())
        is_due = is_over and len(self._choices) == self._wanted
        self.hold(Rule.CHAT_USAGE, self._include_usage and is_due)
        self._has_usage = True
        usage = as_dict(chunk.get("usage"))
        self.hold(Rule.CHAT_COUNTS, adds_up(usage, "prompt_tokens", "completion_tokens"))

    def _choice(self, told: Json) -> None:
        index, delta, finish = told.get("index"), told.get("delta"), told.get("finish_reason")
        is_choice = isinstance(delta, dict) and (finish is None or finish in _CHAT_ENDS)
        self.hold(Rule.CHAT_CHUNK, is_choice and "finish_reason" in told)
        is_wanted = is_count(index) and index < self._wanted
        if not self.hold(Rule.CHAT_CHOICE, is_wanted) or not is_count(index):
            return
        is_first = index not in self._choices
        choice = self._choices.setdefault(index, _Choice())
        self.hold(Rule.CHAT_FINISH if finish else Rule.CHAT_AFTER_FINISH, choice.finish is None)
        self._delta(choice, as_dict(delta), is_first=is_first)
        if finish is not None:
            choice.finish = finish
            self._finish(choice, finish)

    def _delta(self, choice: _Choice, delta: Json, *, is_first: bool) -> None:
        role = "assistant" if is_first else None
        self.hold(Rule.CHAT_ROLE, delta.get("role") == role)
        for name, value in delta.items():
            known = _CHAT_DELTA_TYPES.get(name)
            if not self.hold(Rule.CHAT_DELTA, known and isinstance(value, known)):
                return
        for call in delta.get("tool_calls", ()):
            self._call(choice, as_dict(call))
        if "function_call" in delta:
            self._legacy(choice, delta["function_call"])

    def _call(self, choice: _Choice, call: Json) -> None:
        index, begun = call.get("index"), len(choice.call_ids)
        is_next = is_count(index) and index <= begun
        if not self.hold(Rule.CHAT_CALL_INDEX, is_next) or not is_count(index):
            return
        if index < begun:
            function = as_dict(call.get("function"))
            is_more = call.keys() == {"index", "function"} and function.keys() == {"arguments"}
            self.hold(Rule.CHAT_CALL_MORE, is_more and isinstance(function["arguments"], str))
            return
        kind = call.get("type", "")
        text, told = _CALL_TEXTS.get(kind, ""), as_dict(call.get(kind))
        is_told = call.keys() == {"index", "id", "type", kind} and told.keys() == {"name", text}
        is_told = is_told and is_name(call["id"]) and is_name(told["name"])
        self.hold(Rule.CHAT_CALL_FIRST, is_told and isinstance(told[text], str))
        self.hold(Rule.CHAT_CALL_ID, call.get("id") not in choice.call_ids)
        choice.call_ids.append(str(call.get("id")))

    def _legacy(self, choice: _Choice, call: Json) -> None:
        names = {"arguments"} if choice.is_legacy else {"name", "arguments"}
        is_told = call.keys() == names and all(isinstance(text, str) for text in call.values())
        self.hold(Rule.CHAT_LEGACY, is_told and not choice.call_ids)
        choice.is_legacy = True

    def _finish(self, choice: _Choice, finish: str) -> None:
        wanted = {"stop", "content_filter"}
        if choice.call_ids or choice.is_legacy:
            wanted = {"tool_calls" if choice.call_ids else "function_call"}
        self.hold(Rule.CHAT_REASON, finish in wanted | {"length"})


def chat(stream: bytes, *, choices: int = 1, include_usage: bool = False) -> list[Violation]:
    """Return what is wrong with a stream of Chat Completions.

    Args:
        stream: all of its bytes.
        choices: how many were asked for.
        include_usage: whether counts were asked for.
    """
    checker = _Chat(choices, include_usage=include_usage)
    checker.check(stream)
    return checker.found
