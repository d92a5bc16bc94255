"""The body of a Chat Completions request as it stands on the wire, typed.

Source: OpenAI API reference, "Create chat completion"; and the Anthropic Messages blocks and tools
that some editors put into OpenAI bodies. Only fields that somebody here reads.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lingma_cli.protocols.parts import BlockSource


class Function(msgspec.Struct):
    """A function that is offered."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionCall(msgspec.Struct):
    """A function that was called."""

    name: str
    arguments: str | None = None


class Custom(msgspec.Struct):
    """A freeform tool that is offered."""

    name: str
    description: str | None = None
    format: dict[str, Any] | None = None


class CustomCall(msgspec.Struct):
    """A call of a freeform tool."""

    name: str
    input: str | None = None


class ToolCall(msgspec.Struct):
    """A call in an earlier assistant turn."""

    function: FunctionCall | None = None
    custom: CustomCall | None = None
    id: str | None = None


class Audio(msgspec.Struct):
    """A sound: base64 and its format."""

    data: str = ""
    format: str = "wav"


class File(msgspec.Struct):
    """A file: its content as a data URL, the id of an upload, or no more than a name."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class BodyPart(msgspec.Struct):
    """One part of a content list, OpenAI's or Anthropic's."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Any = None
    input_audio: Audio | None = None
    file: File | None = None
    source: BlockSource | None = None
    thinking: str | None = None
    id: str | None = None
    name: str = ""
    input: Any = None
    tool_use_id: str = ""
    content: str | list[BodyPart] | None = None
    is_error: bool | None = None


class AudioId(msgspec.Struct):
    """A sound of an earlier answer."""

    id: str


class BodyMessage(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[BodyPart] | None = None
    refusal: str | None = None
    audio: AudioId | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: FunctionCall | None = None
    tool_call_id: str | None = None
    name: str | None = None


class BodyTool(msgspec.Struct):
    """One tool that is offered: nested as in Chat, or flat as in Responses and Anthropic."""

    type: str = "function"
    function: Function | None = None
    custom: Custom | None = None
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    input_schema: dict[str, Any] | None = None
    format: dict[str, Any] | None = None
    strict: bool | None = None


class StreamOptions(msgspec.Struct):
    """What a stream should carry besides its text."""

    include_usage: bool | None = None


class JsonSchema(msgspec.Struct):
    """A named schema for the answer."""

    schema: dict[str, Any]
    name: str | None = None
    strict: bool | None = None


class ResponseFormat(msgspec.Struct):
    """What the answer's text should be."""

    type: str = "text"
    json_schema: JsonSchema | None = None


class Reasoning(msgspec.Struct):
    """The effort as Responses spells it."""

    effort: str | None = None


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
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
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
    safety_identifier: str | None = None
    session_id: str | None = None
    # Read and left alone: they concern OpenAI's own bookkeeping and change no answer.
    store: Any = None
    metadata: Any = None
    service_tier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None


class AllowedTools(msgspec.Struct):
    """The offered tools that may be called this time."""

    tools: list[dict[str, Any]]
    mode: Literal["auto", "required"] = "auto"


class AllowedChoice(msgspec.Struct):
    """A choice of type `allowed_tools`."""

    allowed_tools: AllowedTools


class AllowedBody(msgspec.Struct):
    """A body whose choice is of type `allowed_tools`."""

    tool_choice: AllowedChoice
