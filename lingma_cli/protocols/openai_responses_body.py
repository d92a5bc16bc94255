"""The body of a Responses request as it stands on the wire, typed.

Source: OpenAI API reference, "Create a model response". Items and tools are converted one by one,
each by its own `type`, because one of an unknown type must never make the request fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from lingma_cli.core.chat import Thread

Positive = Annotated[int, msgspec.Meta(ge=1)]


class BodyPart(msgspec.Struct):
    """One part of a content list, or of a tool's output."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: Any = None
    file_url: Any = None
    file_data: Any = None
    file_id: Any = None


class MessageItem(msgspec.Struct):
    """A turn of text and media."""

    role: str
    content: str | list[BodyPart] | None = None


class FunctionCallItem(msgspec.Struct):
    """A call of a function in an earlier turn; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str = "{}"
    namespace: str | None = None


class CustomCallItem(msgspec.Struct):
    """A call of a freeform tool in an earlier turn."""

    call_id: str
    name: str
    input: str = ""
    namespace: str | None = None


class OutputItem(msgspec.Struct):
    """What the client's tool answered."""

    call_id: str | None = None
    output: str | list[BodyPart] | None = None


class ReasoningText(msgspec.Struct):
    """A piece of a reasoning item, in its summary or its content."""

    text: str = ""


class ReasoningItem(msgspec.Struct):
    """Reasoning of an earlier turn."""

    summary: list[ReasoningText] | None = None
    content: list[ReasoningText] | None = None


class FunctionTool(msgspec.Struct):
    """A function that is offered."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CustomTool(msgspec.Struct):
    """A freeform tool that is offered."""

    name: str
    description: str | None = None
    format: dict[str, Any] | None = None


class NamespaceTool(msgspec.Struct):
    """Tools that are offered under one heading."""

    name: str
    tools: list[dict[str, Any]]


class Conversation(msgspec.Struct):
    """The conversation that a turn belongs to."""

    id: str


class Reasoning(msgspec.Struct):
    """How hard to think."""

    effort: str | None = None


class TextFormat(msgspec.Struct):
    """What the answer's text should be."""

    type: str = "text"
    schema: dict[str, Any] | None = None
    name: str = ""
    strict: bool | None = None


class Text(msgspec.Struct):
    """The settings of the answer's text."""

    format: TextFormat | None = None
    verbosity: str | None = None


class Body(msgspec.Struct):
    """The whole body; fields that are not here end up in `extras`.

    The last group is known to do no harm when nobody acts on it, so it is not worth a note.
    """

    input: str | dict[str, Any] | list[dict[str, Any]] | None = None
    model: str | None = None
    instructions: str | None = None
    stream: bool | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: Positive | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    conversation: str | Conversation | None = None
    background: bool | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None

    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    prompt_cache_options: Any = None
    truncation: str | None = None
    max_tool_calls: int | None = None
    top_logprobs: int | None = None
    include: Any = None
    client_metadata: Any = None
    service_tier: Any = None
    stream_options: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponsesThread(Thread):
    """The state between requests, and what this request's answer repeats.

    Attributes:
        echo: fields of the body that the response object repeats, as the client sent them.
    """

    echo: Mapping[str, Any] = field(default_factory=dict)
