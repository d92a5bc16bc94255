"""A stored conversation in front of a chat request, and a chat's turns as items of one.

Conversations are stored as items of OpenAI Responses, so that either protocol can go on with what
the other has begun. Reasoning is not stored: Chat Completions never gives it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    Part,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.collect import Block, Collector
from lingma_cli.core.events import BlockKind
from lingma_cli.protocols import custom_tools
from lingma_cli.protocols.openai_responses_input import Item, read_items

_MEDIA: Final[Mapping[MediaKind, str]] = {
    MediaKind.IMAGE: "input_image",
    MediaKind.AUDIO: "input_audio",
    MediaKind.FILE: "input_file",
}


def after(request: ChatRequest, history: Sequence[Item]) -> ChatRequest:
    """Return `request` with a session's turns before its own.

    System turns at its beginning stand in for those at the session's.

    Args:
        request: as it was parsed.
        history: the session's items, oldest first.
    """
    reading = read_items(history, request.tools)
    kept, before = _led(reading.messages)
    own, now = _led(request.messages)
    return replace(
        request,
        messages=(*(own or kept), *before, *now),
        notes=(*request.notes, *reading.notes),
    )


def added(
    request: ChatRequest, answer: Collector, *, is_first: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the items that a turn adds to its session: the request's, and the answer's.

    Args:
        request: as it was parsed.
        answer: its whole answer.
        is_first: the session was empty, so that it keeps the system turns at the beginning.
    """
    own, now = _led(request.messages)
    custom = {tool.name for tool in request.tools if tool.custom}
    asked = (*own, *now) if is_first else now
    said = Message(role=Role.ASSISTANT, parts=tuple(_answered(request, answer)))
    return (
        [item for message in asked for item in _items(message, custom)],
        list(_items(said, custom)),
    )


def _led(messages: Sequence[Message]) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return the system turns at the beginning, and the rest."""
    roles = (index for index, one in enumerate(messages) if one.role is not Role.SYSTEM)
    first = next(roles, len(messages))
    return messages[:first], messages[first:]


def _answered(request: ChatRequest, answer: Collector) -> Iterator[Part]:
    for block in answer.blocks:
        if block.kind is BlockKind.TOOL_CALL:
            yield _call(request, block)
        elif block.kind is BlockKind.TEXT and block.text:
            yield TextPart(text=block.text)


def _call(request: ChatRequest, block: Block) -> ToolUsePart:
    # In the older form call and answer meet by the function's name.
    call_id = block.call_id if request.results_have_ids else block.name
    return ToolUsePart(call_id=call_id, name=block.name, arguments=block.text or "{}")


def _items(message: Message, custom: set[str]) -> Iterator[dict[str, Any]]:
    """Yield a turn as items without ids: what is said between two calls is one message."""
    content: list[dict[str, Any]] = []
    for part in message.parts:
        match part:
            case ToolUsePart() | ToolOutputPart():
                if content:
                    yield _message(message.role, content)
                    content = []
                yield _use(part, custom) if isinstance(part, ToolUsePart) else _output(part)
            case TextPart() | MediaPart():
                content.append(_content(part, message.role))
            case _:
                pass
    if content or not message.parts:
        yield _message(message.role, content)


def _message(role: Role, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "message", "role": role.value, "content": content}


def _content(part: TextPart | MediaPart, role: Role) -> dict[str, Any]:
    if isinstance(part, TextPart):
        kind = "output_text" if role is Role.ASSISTANT else "input_text"
        return {"type": kind, "text": part.text}
    reference, field = part.reference, "file_id"
    if part.kind is MediaKind.IMAGE:
        field = "image_url"
    elif reference.startswith("data:"):
        field = "file_data"
    elif "://" in reference:
        field = "file_url"
    return {"type": _MEDIA[part.kind], field: reference}


def _use(part: ToolUsePart, custom: set[str]) -> dict[str, Any]:
    named = {"call_id": part.call_id, "name": part.name}
    if part.name in custom:
        return {"type": "custom_tool_call", **named, "input": custom_tools.to_text(part.arguments)}
    return {"type": "function_call", **named, "arguments": part.arguments}


def _output(part: ToolOutputPart) -> dict[str, Any]:
    output: str | list[dict[str, Any]] = part.text
    if part.media:
        text = [_content(TextPart(text=part.text), Role.TOOL)] if part.text else []
        output = [*text, *(_content(media, Role.TOOL) for media in part.media)]
    return {"type": "function_call_output", "call_id": part.call_id, "output": output}
