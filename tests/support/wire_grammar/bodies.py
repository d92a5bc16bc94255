"""What the body of a whole answer says, read as a client reads it.

Sources: OpenAI API reference, "The chat completion object" and "The response object"; Anthropic API
reference, "Create a Message".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from tests.support.wire_grammar.rules import Json

_REASONS: Final[Mapping[str, str]] = {
    "function_call": "tool_calls",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}


class Said(NamedTuple):
    """A piece of an answer: `text`, `reasoning` or `tool_call`; a call's text is its arguments."""

    kind: str
    text: str
    call_id: str = ""
    name: str = ""


class Told(NamedTuple):
    """One answer: its pieces, and `stop`, `length` or `tool_calls`."""

    said: list[Said]
    reason: str


class Whole(NamedTuple):
    """A body: its answers, and the tokens of the prompt and of them all."""

    answers: list[Told]
    tokens: tuple[int, int]


def merged(pieces: Iterable[Said]) -> list[Said]:
    """Return `pieces` without empty ones, those of a kind that follow each other joined."""
    joined: list[Said] = []
    for piece in pieces:
        is_more = bool(joined) and joined[-1].kind == piece.kind != "tool_call"
        if is_more:
            joined[-1] = piece._replace(text=joined[-1].text + piece.text)
        elif piece.text or piece.kind == "tool_call":
            joined.append(piece)
    return joined


def chat_body(body: Json) -> Whole:
    """Read a `chat.completion`; custom calls have their raw text, the legacy one has no id."""
    usage = body["usage"]
    return Whole(
        answers=[
            Told(merged(_of_message(choice["message"])), _reason(choice["finish_reason"]))
            for choice in body["choices"]
        ],
        tokens=(usage["prompt_tokens"], usage["completion_tokens"]),
    )


def _of_message(message: Json) -> Iterator[Said]:
    yield Said("reasoning", message.get("reasoning_content", ""))
    yield Said("text", message["content"] or "")
    for call in message.get("tool_calls", ()):
        inner = call[call["type"]]
        text = inner["input" if call["type"] == "custom" else "arguments"]
        yield Said("tool_call", text, call["id"], inner["name"])
    if legacy := message.get("function_call"):
        yield Said("tool_call", legacy["arguments"], "", legacy["name"])


def messages_body(body: Json) -> Whole:
    """Read a `message`; inputs become JSON text again."""
    usage = body["usage"]
    told = Told(merged(map(_of_block, body["content"])), _reason(body["stop_reason"]))
    return Whole(answers=[told], tokens=(usage["input_tokens"], usage["output_tokens"]))


def _of_block(block: Json) -> Said:
    match block["type"]:
        case "tool_use":
            return Said("tool_call", json.dumps(block["input"]), block["id"], block["name"])
        case "thinking":
            return Said("reasoning", block["thinking"])
        case _:
            return Said("text", block["text"])


def responses_body(body: Json) -> Whole:
    """Read a `response`; custom calls have their raw text."""
    usage = body["usage"]
    said = merged(piece for item in body["output"] for piece in _of_item(item))
    reason = "tool_calls" if any(piece.kind == "tool_call" for piece in said) else "stop"
    told = Told(said, reason if body["status"] == "completed" else "length")
    return Whole(answers=[told], tokens=(usage["input_tokens"], usage["output_tokens"]))


def _of_item(item: Json) -> Iterator[Said]:
    match item["type"]:
        case "message":
            yield from (Said("text", part["text"]) for part in item["content"])
        case "reasoning":
            yield from (Said("reasoning", part["text"]) for part in item["summary"])
        case "custom_tool_call":
            yield Said("tool_call", item["input"], item["call_id"], item["name"])
        case _:
            yield Said("tool_call", item["arguments"], item["call_id"], item["name"])


def _reason(told: str) -> str:
    return _REASONS.get(told, told)
