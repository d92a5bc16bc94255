"""Messages: what its stream has to look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.support.wire_grammar.rules import (
    Checker,
    Json,
    Rule,
    Violation,
    as_dict,
    is_count,
    is_name,
)

_BLOCKS: Final[Mapping[str, Json]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
_DELTAS: Final = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "signature_delta": ("thinking", "signature"),
    "input_json_delta": ("tool_use", "partial_json"),
}
_BEGINNING: Final[Json] = {
    "type": "message",
    "role": "assistant",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
}


class _Messages(Checker):
    def __init__(self, *, thinking: bool) -> None:
        super().__init__()
        self._thinking = thinking
        self._blocks = 0
        self._open: str | None = None
        self._call_ids: list[str] = []
        self._output_tokens = 0
        self._is_over = False

    def check(self, stream: bytes) -> None:
        last = ""
        for frame in self.frames(stream):
            value = self.value(frame)
            kind = str(value.get("type"))
            self.hold(Rule.MESSAGES_EVENT, frame.event == kind)
            self.hold(Rule.MESSAGES_END, last not in ("message_stop", "error"))
            if kind == "ping":
                continue
            is_start = kind == "message_start"
            self.hold(Rule.MESSAGES_START, is_start == (last == "") or kind == "error")
            self.hold(Rule.MESSAGES_TAIL, not self._is_over or kind in ("message_stop", "error"))
            last = kind
            self._event(kind, value)
        self.hold(Rule.MESSAGES_END, last in ("message_stop", "error"), "the stream just stops")

    def _event(self, kind: str, value: Json) -> None:
        match kind:
            case "message_start":
                self._start(as_dict(value.get("message")))
            case "content_block_start":
                self._begin(value.get("index"), as_dict(value.get("content_block")))
            case "content_block_delta":
                self._delta(value.get("index"), as_dict(value.get("delta")))
            case "content_block_stop":
                self._is_inside(value.get("index"))
                self._open = None
            case "message_delta":
                self._end(value)
            case "message_stop":
                self.hold(Rule.MESSAGES_TAIL, self._is_over)
            case "error":
                error = as_dict(value.get("error"))
                is_told = is_name(error.get("type")) and isinstance(error.get("message"), str)
                self.hold(Rule.MESSAGES_ERROR, is_told)
            case _:
                self.hold(Rule.MESSAGES_TYPE, kept=False)

    def _start(self, message: Json) -> None:
        is_empty = all(name in message and message[name] == to for name, to in _BEGINNING.items())
        is_named = is_name(message.get("id")) and isinstance(message.get("model"), str)
        usage = as_dict(message.get("usage"))
        is_counted = is_count(usage.get("input_tokens")) and is_count(usage.get("output_tokens"))
        self.hold(Rule.MESSAGES_START, is_empty and is_named and is_counted)
        self._count(usage)

    def _count(self, usage: Json) -> None:
        tokens = usage.get("output_tokens")
        is_more = is_count(tokens) and tokens >= self._output_tokens
        if self.hold(Rule.MESSAGES_USAGE, is_more) and is_count(tokens):
            self._output_tokens = tokens

    def _begin(self, index: object, block: Json) -> None:
        kind = str(block.get("type"))
        self.hold(Rule.MESSAGES_OVERLAP, self._open is None)
        self.hold(Rule.MESSAGES_INDEX, index == self._blocks)
        self._blocks += 1
        self._open = kind
        named = {"id", "name"} if kind == "tool_use" else set()
        rest = {name: value for name, value in block.items() if name not in {"type", *named}}
        is_named = all(is_name(block.get(name)) for name in named)
        self.hold(Rule.MESSAGES_BLOCK, is_named and rest == _BLOCKS.get(kind))
        self.hold(Rule.MESSAGES_THINKING, kind != "thinking" or self._thinking)
        if kind == "tool_use":
            self.hold(Rule.MESSAGES_CALL_ID, block.get("id") not in self._call_ids)
            self._call_ids.append(str(block.get("id")))

    def _is_inside(self, index: object) -> bool:
        is_inside = self._open is not None and index == self._blocks - 1
        return self.hold(Rule.MESSAGES_OVERLAP, is_inside)

    def _delta(self, index: object, delta: Json) -> None:
        if not self._is_inside(index):
            return
        of, name = _DELTAS.get(str(delta.get("type")), ("", ""))
        is_own = of == self._open and delta.keys() == {"type", name}
        self.hold(Rule.MESSAGES_DELTA, is_own and isinstance(delta[name], str))

    def _end(self, value: Json) -> None:
        self.hold(Rule.MESSAGES_TAIL, self._open is None)
        self._is_over = True
        self._count(as_dict(value.get("usage")))
        delta = as_dict(value.get("delta"))
        reason, stop = delta.get("stop_reason"), delta.get("stop_sequence")
        wanted = {"tool_use"} if self._call_ids else {"end_turn", "stop_sequence", "refusal"}
        is_told = delta.keys() == {"stop_reason", "stop_sequence"}
        is_told = is_told and reason in wanted | {"max_tokens"}
        self.hold(Rule.MESSAGES_REASON, is_told and (reason == "stop_sequence") == is_name(stop))


def messages(stream: bytes, *, thinking: bool = True) -> list[Violation]:
    """Return what is wrong with a stream of Messages.

    Args:
        stream: all of its bytes.
        thinking: whether thinking may be shown.
    """
    checker = _Messages(thinking=thinking)
    checker.check(stream)
    return checker.found
