"""The body of a Chat Completions request as it stands on the wire, typed.

Source: OpenAI API reference, "Create chat completion". Only fields that somebody here reads.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Function(msgspec.Struct):
    """A function that is offered or called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    arguments: str = "{}"


class CustomCall(msgspec.Struct):
    """A call of a freeform tool."""

    name: str
    input: str = ""


class ToolCall(msgspec.Struct):
    """A call in an earlier assistant turn."""

    function: Function | None = None
    custom: CustomCall | None = None
    id: str = ""


class BodyPart(msgspec.Struct):
    """One part of a content list."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Any = None


class BodyMessage(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[BodyPart] | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Function | None = None
    tool_call_id: str | None = None
    name: str | None = None


class BodyTool(msgspec.Struct):
    """One tool that is offered."""

    type: str = "function"
    function: Function | None = None


class StreamOptions(msgspec.Struct):
    """What a stream should carry besides its text."""

    include_usage: bool | None = None


class Body(msgspec.Struct):
    """The whole body; fields that are not here end up in `extras`."""

    messages: list[BodyMessage]
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[BodyTool] | None = None
    functions: list[Function] | None = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    user: str | None = None
