"""Responses: what its stream has to look like."""

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

_START: Final = ("response.created", "response.in_progress")
_FINALS: Final = ("response.completed", "response.incomplete", "response.failed")
# How an item begins, beside its id.
_EMPTY: Final[Mapping[str, Json]] = {
    "message": {"role": "assistant", "status": "in_progress", "content": []},
    "reasoning": {"summary": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "custom_tool_call": {"input": ""},
}
# What grows while an item is under way.
_GROWING: Final = {"status", "content", "summary", "arguments", "input"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What an item's events and fields are called.

    Attributes:
        text: its text's events, up to `.delta` and `.done`.
        field: where its text is, in `.done` of its text and in the item, unless it has parts.
        part: its parts' events, up to `.added` and `.done`; empty without parts.
        number: what a part's number is called.
        parts: where its parts are in the item.
        kind: its parts' type.
    """

    text: str
    field: str = "text"
    part: str = ""
    number: str = ""
    parts: str = ""
    kind: str = ""

    def before(self) -> Mapping[str, set[str]]:
        """Return what may come right before each event; the beginning is no word."""
        delta, done = f"{self.text}.delta", f"{self.text}.done"
        if not self.part:
            return {delta: {"", delta}, done: {"", delta}}
        added, whole = f"{self.part}.added", f"{self.part}.done"
        return {added: {"", whole}, delta: {added, delta}, done: {added, delta}, whole: {done}}

    def last(self) -> set[str]:
        """Return what may come right before the item is done."""
        return {"", f"{self.part}.done"} if self.part else {f"{self.text}.done"}


_WORDS: Final = {
    "message": _Words(
        text="response.output_text",
        part="response.content_part",
        number="content_index",
        parts="content",
        kind="output_text",
    ),
    "reasoning": _Words(
        text="response.reasoning_summary_text",
        part="response.reasoning_summary_part",
        number="summary_index",
        parts="summary",
        kind="summary_text",
    ),
    "function_call": _Words(text="response.function_call_arguments", field="arguments"),
    "custom_tool_call": _Words(text="response.custom_tool_call_input", field="input"),
}
_KNOWN: Final = {kind for words in _WORDS.values() for kind in words.before()}


@dataclass(slots=True)
class _Item:
    """The item that the stream is in; `step` is its last event, `texts` are its whole parts'."""

    first: Json
    words: _Words
    step: str = ""
    deltas: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class _Responses(Checker):
    def __init__(self) -> None:
        super().__init__()
        self._head: tuple[object, ...] | None = None
        self._open: _Item | None = None
        self._done: list[Json] = []
        self._ids: set[object] = set()
        self._has_final = False

    def check(self, stream: bytes) -> None:
        number, is_done = 0, False
        for frame in self.frames(stream):
            self.hold(Rule.RESPONSES_END, not is_done)
            if frame.data == DONE:
                is_done = True
                self.hold(Rule.RESPONSES_END, self._has_final)
                continue
            value = self.value(frame)
            kind = str(value.get("type"))
            self.hold(Rule.RESPONSES_EVENT, frame.event == kind)
            self.hold(Rule.RESPONSES_NUMBER, value.get("sequence_number") == number)
            self.hold(Rule.RESPONSES_END, not self._has_final)
            is_begun = kind == _START[number] if number < len(_START) else kind not in _START
            self.hold(Rule.RESPONSES_BEGIN, is_begun)
            self._event(kind, value)
            number += 1
        self.hold(Rule.RESPONSES_END, is_done, "the stream just stops")

    def _event(self, kind: str, value: Json) -> None:
        match kind:
            case "response.created" | "response.in_progress":
                self._begin(as_dict(value.get("response")))
            case "response.output_item.added":
                self._add(value, as_dict(value.get("item")))
            case "response.output_item.done":
                self._end_item(value, as_dict(value.get("item")))
            case _ if kind in _FINALS:
                self._end(kind.removeprefix("response."), as_dict(value.get("response")))
            case _ if self.hold(Rule.RESPONSES_TYPE, kind in _KNOWN):
                self._inside(kind, value)

    def _begin(self, response: Json) -> None:
        is_empty = response.get("status") == "in_progress" and response.get("output") == []
        self.hold(Rule.RESPONSES_BEGIN, is_empty and response.get("object") == "response")
        self._same(response)

    def _same(self, response: Json) -> None:
        head = (response.get("id"), response.get("model"), response.get("created_at"))
        self._head = self._head or head
        is_head = is_name(head[0]) and isinstance(head[1], str) and is_count(head[2])
        self.hold(Rule.RESPONSES_SAME, is_head and head == self._head)

    def _add(self, value: Json, item: Json) -> None:
        is_next = self._open is None and value.get("output_index") == len(self._done)
        self.hold(Rule.RESPONSES_INDEX, is_next)
        kind = str(item.get("type"))
        empty = _EMPTY.get(kind, {"type": None})
        is_empty = all(item.get(name) == begun for name, begun in empty.items())
        call = {"call_id", "name"} if kind.endswith("_call") else set()
        is_named = all(is_name(item.get(name)) for name in {"id", *call})
        if not self.hold(Rule.RESPONSES_ITEM, is_empty and is_named):
            return
        ids = {item["id"], item.get("call_id", item["id"])}
        self.hold(Rule.RESPONSES_ITEM_ID, not ids & self._ids)
        self._ids |= ids
        is_after_cut = bool(self._done) and self._done[-1].get("status") == "incomplete"
        self.hold(Rule.RESPONSES_STATUS, not is_after_cut)
        self._open = _Item(item, _WORDS[kind])

    def _is_placed(self, item: _Item, value: Json) -> bool:
        words = item.words
        is_placed = value.get("output_index") == len(self._done)
        is_placed = is_placed and value.get("item_id") == item.first["id"]
        return is_placed and (not words.part or value.get(words.number) == len(item.texts))

    def _inside(self, kind: str, value: Json) -> None:
        item = self._open
        before = {} if item is None else item.words.before()
        is_due = item is not None and item.step in before.get(kind, ())
        if not self.hold(Rule.RESPONSES_ORDER, is_due) or item is None:
            return
        self.hold(Rule.RESPONSES_PLACE, self._is_placed(item, value))
        item.step = kind
        if kind.endswith(".delta"):
            if self.hold(Rule.RESPONSES_TEXT, isinstance(value.get("delta"), str)):
                item.deltas.append(value["delta"])
        elif kind == f"{item.words.text}.done":
            text = value.get(item.words.field)
            self.hold(Rule.RESPONSES_TEXT, text == "".join(item.deltas))
        else:
            self._part(item, kind, as_dict(value.get("part")))

    def _part(self, item: _Item, kind: str, part: Json) -> None:
        text = "".join(item.deltas)
        is_part = part.get("type") == item.words.kind and part.get("text") == text
        self.hold(Rule.RESPONSES_PART, is_part)
        if kind.endswith(".done"):
            item.texts.append(text)
            item.deltas.clear()

    def _end_item(self, value: Json, item: Json) -> None:
        begun, self._open = self._open, None
        if not self.hold(Rule.RESPONSES_ORDER, begun and begun.step in begun.words.last()):
            self._done.append(item)
            return
        assert begun is not None
        self.hold(Rule.RESPONSES_PLACE, value.get("output_index") == len(self._done))
        first, whole = (
            {name: said for name, said in one.items() if name not in _GROWING}
            for one in (begun.first, item)
        )
        parts = item.get(begun.words.parts)
        if isinstance(parts, list):
            is_told = [as_dict(part).get("text") for part in parts] == begun.texts
        else:
            is_told = item.get(begun.words.field) == "".join(begun.deltas)
        self.hold(Rule.RESPONSES_ITEM_DONE, first == whole and is_told)
        status = item.get("status", "completed")
        self.hold(Rule.RESPONSES_STATUS, status in ("completed", "incomplete"))
        self._done.append(item)

    def _end(self, status: str, response: Json) -> None:
        self._has_final = True
        self._same(response)
        self.hold(Rule.RESPONSES_ORDER, self._open is None)
        self.hold(Rule.RESPONSES_OUTPUT, response.get("output") == self._done)
        error, details = as_dict(response.get("error")), as_dict(response.get("incomplete_details"))
        # A response that was cancelled has no event of its own.
        known = {status, "cancelled"} if status == "failed" else {status}
        is_told = response.get("status") in known
        is_told = is_told and (status == "failed") == (error.keys() >= {"code", "message"})
        is_told = is_told and (status == "incomplete") == is_name(details.get("reason"))
        self.hold(Rule.RESPONSES_FINAL, is_told)
        if status == "completed":
            is_whole = all(item.get("status") != "incomplete" for item in self._done)
            self.hold(Rule.RESPONSES_STATUS, is_whole)
        if status != "failed":
            usage = as_dict(response.get("usage"))
            self.hold(Rule.RESPONSES_COUNTS, adds_up(usage, "input_tokens", "output_tokens"))


def responses(stream: bytes) -> list[Violation]:
    """Return what is wrong with a stream of Responses, given all of its bytes."""
    checker = _Responses()
    checker.check(stream)
    return checker.found
