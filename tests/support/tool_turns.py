"""Turns of a conversation with tools, and the events that calls are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from lingma_cli.core.chat import (
    ChatRequest,
    Message,
    Role,
    TextPart,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
)

CALLED: Final = Finished(reason=FinishReason.TOOL_CALLS)
STOP: Final = Finished(reason=FinishReason.STOP)
READ: Final = Tool(
    name="Read", parameters={"type": "object", "properties": {"path": {"type": "string"}}}
)
BASH: Final = Tool(
    name="Bash", parameters={"type": "object", "properties": {"command": {"type": "string"}}}
)
USER: Final = Message(role=Role.USER, parts=(TextPart(text="look"),))
QUESTION: Final = ChatRequest(model="org_auto", messages=(USER,), tools=(READ, BASH))


def said(text: str) -> ChatEvent:
    """Return a piece of text."""
    return BlockDelta(kind=BlockKind.TEXT, text=text)


def called(*call_ids: str, name: str = "Read") -> list[ChatEvent]:
    """Return a turn's end: calls, and the reason."""
    kind = BlockKind.TOOL_CALL
    calls = [
        (
            BlockOpened(kind=kind, call_id=call_id, name=name),
            BlockDelta(kind=kind, text="{}"),
            BlockClosed(),
        )
        for call_id in call_ids
    ]
    return [*(event for call in calls for event in call), CALLED]


def call_turn(*call_ids: str, name: str = "Read") -> Message:
    """Return the assistant's turn that made calls."""
    parts = (ToolUsePart(call_id=call_id, name=name, arguments="{}") for call_id in call_ids)
    return Message(role=Role.ASSISTANT, parts=tuple(parts))


def result_turn(*call_ids: str) -> Message:
    """Return a turn with a result for each call."""
    parts = (ToolOutputPart(call_id=call_id, text=f"result {call_id}") for call_id in call_ids)
    return Message(role=Role.TOOL, parts=tuple(parts))


def after(*turns: Message, request: ChatRequest = QUESTION) -> ChatRequest:
    """Return `request` with `turns` at the end of its conversation."""
    return replace(request, messages=(*request.messages, *turns))


def texts(results: Mapping[str, ToolOutputPart]) -> dict[str, str]:
    """Return what was given for each call."""
    return {call_id: result.text for call_id, result in results.items()}
