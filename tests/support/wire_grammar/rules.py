"""The rules, and how frames are read and violations gathered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, NamedTuple, NoReturn, TypeGuard

Json = dict[str, Any]


class Rule(Enum):
    """What is held to; each has a bad stream in the tests."""

    SSE_UTF8 = "the stream is UTF-8"
    SSE_FRAME = "a frame is one data line after at most one event line, and a blank line"
    SSE_JSON = "data is a JSON object without repeated keys"

    CHAT_CHUNK = "a chunk has its fields, each of its type, and no event name"
    CHAT_SAME = "all chunks have the same id, model and created"
    CHAT_CHOICE = "only the choices that were asked for, by index"
    CHAT_ROLE = "the first chunk of a choice has the role, no other has"
    CHAT_DELTA = "a delta has known fields, each of its type"
    CHAT_CALL_INDEX = "calls are numbered 0, 1, 2 as they begin"
    CHAT_CALL_FIRST = "the first piece of a call has id, type, name and its text so far"
    CHAT_CALL_ID = "no two calls of a choice have the same id"
    CHAT_CALL_MORE = "later pieces of a call have only index and arguments"
    CHAT_LEGACY = "a function_call names its function once, first, and stands beside no tool_calls"
    CHAT_FINISH = "each choice finishes, once, before the end"
    CHAT_AFTER_FINISH = "nothing comes in a choice after its finish"
    CHAT_REASON = "a choice finishes with calls if and only if it has some, unless it was cut"
    CHAT_USAGE = "usage comes when asked for, once, in a chunk without choices that is the last"
    CHAT_COUNTS = "usage adds up"
    CHAT_END = "one [DONE] or one error is the last frame"
    CHAT_ERROR = "an error has message, type, param and code"

    MESSAGES_EVENT = "the event line of a message repeats the type"
    MESSAGES_TYPE = "only events that a message has"
    MESSAGES_START = "message_start, or an error, comes first, once, empty and with usage"
    MESSAGES_INDEX = "blocks are numbered 0, 1, 2 as they begin"
    MESSAGES_OVERLAP = "one block is open at a time, and deltas and stops are of that one"
    MESSAGES_BLOCK = "a block begins empty, and a tool_use with id, name and input {}"
    MESSAGES_CALL_ID = "no two calls have the same id"
    MESSAGES_DELTA = "a delta is of its block's own type"
    MESSAGES_THINKING = "thinking is shown only when asked for"
    MESSAGES_TAIL = "message_delta comes once, after all blocks, and only message_stop follows"
    MESSAGES_USAGE = "message_delta counts output tokens, and not fewer than were told before"
    MESSAGES_REASON = "stop_reason tells of calls, stop sequences and cuts as they are"
    MESSAGES_END = "one message_stop or one error is the last frame"
    MESSAGES_ERROR = "an error has type and message"

    RESPONSES_EVENT = "the event line of a response repeats the type"
    RESPONSES_TYPE = "only events that a response has"
    RESPONSES_NUMBER = "sequence_number counts from 0 without gaps"
    RESPONSES_BEGIN = "created and in_progress come first, once, with an empty response"
    RESPONSES_SAME = "id, model and created_at stay the same"
    RESPONSES_ITEM = "an item begins empty, in progress, and a call with call_id and name"
    RESPONSES_INDEX = "items begin one after the other, numbered 0, 1, 2"
    RESPONSES_PLACE = "events inside an item have its id and number, and their part's number"
    RESPONSES_ORDER = "parts, deltas and dones come in their order inside their item"
    RESPONSES_PART = "a part begins empty and ends with its text"
    RESPONSES_TEXT = "what is done is the deltas joined"
    RESPONSES_ITEM_DONE = "an item is done with what its events told"
    RESPONSES_STATUS = "an item is incomplete only as the last of a response that is not completed"
    RESPONSES_ITEM_ID = "no two items have the same id, no two calls the same call_id"
    RESPONSES_OUTPUT = "the final output is the items that were done"
    RESPONSES_FINAL = "the final event's type, status, error and details fit each other"
    RESPONSES_COUNTS = "usage is there unless the response failed, and adds up"
    RESPONSES_END = "one final event and then one [DONE] end the stream"


class Violation(NamedTuple):
    """A rule that was broken, and the frame, or what was missing."""

    rule: Rule
    where: str

    def __str__(self) -> str:
        return f"{self.rule.name}: {self.rule.value}: {self.where}"


class Frame(NamedTuple):
    event: str | None
    data: str


DONE: Final = "[DONE]"


class Checker:
    """Reads frames and gathers violations."""

    def __init__(self) -> None:
        self.found: list[Violation] = []
        self.frame = Frame(None, "")

    def hold(self, rule: Rule, kept: object, where: str | None = None) -> bool:
        """Note that `rule` is broken unless `kept`; tell whether it was kept."""
        if not kept:
            self.found.append(Violation(rule, (where or self.frame.data)[:400]))
        return bool(kept)

    def frames(self, stream: bytes) -> Iterator[Frame]:
        """Yield the frames of `stream`; comments are none."""
        try:
            text = stream.decode()
        except UnicodeDecodeError as error:
            self.hold(Rule.SSE_UTF8, kept=False, where=str(error))
            return
        *blocks, rest = text.split("\n\n")
        self.hold(Rule.SSE_FRAME, not rest, rest)
        for block in blocks:
            lines = [line for line in block.split("\n") if not line.startswith(":")]
            event = lines.pop(0)[7:] if lines and lines[0].startswith("event: ") else None
            is_frame = len(lines) == 1 and lines[0].startswith("data: ")
            if is_frame:
                self.frame = Frame(event, lines[0][6:])
                yield self.frame
            else:
                self.hold(Rule.SSE_FRAME, event is None and block and not lines, repr(block))

    def value(self, frame: Frame) -> Json:
        """Return the object in `frame`, an empty one if there is none."""
        try:
            value = json.loads(frame.data, parse_constant=_refuse, object_pairs_hook=_unique)
        except ValueError:
            value = None
        return value if self.hold(Rule.SSE_JSON, isinstance(value, dict)) else {}


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)


def _unique(pairs: list[tuple[str, Any]]) -> Json:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a repeated key")
    return value


def is_count(value: object) -> TypeGuard[int]:
    """Tell whether `value` is a whole number from 0."""
    return type(value) is int and value >= 0


def is_name(value: object) -> TypeGuard[str]:
    """Tell whether `value` is a text, and not an empty one."""
    return isinstance(value, str) and value != ""


def as_dict(value: object) -> Json:
    """Return `value`, an empty object if it is none."""
    return value if isinstance(value, dict) else {}


def adds_up(usage: Json, first: str, second: str) -> bool:
    """Tell whether a `usage` has two counts, of those names, and their total."""
    one, other, total = usage.get(first), usage.get(second), usage.get("total_tokens")
    return is_count(one) and is_count(other) and one + other == total
