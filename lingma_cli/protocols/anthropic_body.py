"""The body of a Messages request as it stands on the wire, typed.

Source: Anthropic API reference, "Create a Message" and "Count tokens in a Message". Only fields
that somebody here reads; a content block of a type that is not here becomes `Unknown`.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from lingma_cli.protocols.parts import BlockSource


class Text(msgspec.Struct, tag="text"):
    """Plain text."""

    text: str


class Unknown(msgspec.Struct, tag="unknown"):
    """A block of another type, `kind`."""

    kind: str


class Source(BlockSource, kw_only=True):
    """Where an image or a document is: `base64`, `text`, `content`, `url` or `file`."""

    type: str
    content: str | list[Text | Image | Unknown] | None = None


class Image(msgspec.Struct, tag="image"):
    """A picture."""

    source: Source


class Document(msgspec.Struct, tag="document"):
    """A PDF or a text, perhaps with words about it."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations: Any = None


class SearchResult(msgspec.Struct, tag="search_result"):
    """Texts that the client found; `source` says where."""

    source: str
    title: str
    content: list[Text]


class ToolReference(msgspec.Struct, tag="tool_reference"):
    """A deferred tool that a search of the client's found."""

    tool_name: str


class ToolUse(msgspec.Struct, tag="tool_use"):
    """A call that the assistant made."""

    id: str
    name: str
    input: dict[str, Any] | None = None


class ToolResult(msgspec.Struct, tag="tool_result"):
    """What a client's tool answered."""

    tool_use_id: str
    content: str | list[Text | Image | Document | SearchResult | ToolReference | Unknown] | None = (
        None
    )
    is_error: bool | None = None


class Thinking(msgspec.Struct, tag="thinking"):
    """Reasoning of an earlier turn."""


class RedactedThinking(msgspec.Struct, tag="redacted_thinking"):
    """Reasoning that its maker encrypted."""


class ToolName(msgspec.Struct):
    """The tool that a change is about; none for a tool server or an inline definition."""

    name: str | None = None


class ToolAddition(msgspec.Struct, tag="tool_addition"):
    """From here on the tool is offered."""

    tool: ToolName


class ToolRemoval(msgspec.Struct, tag="tool_removal"):
    """From here on the tool is not offered."""

    tool: ToolName


Block = (
    Text
    | Image
    | Document
    | SearchResult
    | ToolUse
    | ToolResult
    | Thinking
    | RedactedThinking
    | ToolAddition
    | ToolRemoval
    | Unknown
)


class BodyMessage(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[Block] | None = None


class BodyTool(msgspec.Struct):
    """One tool that is offered; one of another type than `custom` has a schema of its vendor's."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    defer_loading: bool | None = None
    strict: bool | None = None
    input_examples: Any = None


class BodyToolChoice(msgspec.Struct):
    """How free the model is in calling tools."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingConfig(msgspec.Struct):
    """Whether the model should reason, and whether that is shown."""

    type: str
    display: str | None = None
    budget_tokens: int | None = None


class Format(msgspec.Struct):
    """What the answer's text should be."""

    type: str
    schema: dict[str, Any] | None = None


class OutputConfig(msgspec.Struct):
    """How the answer should be made."""

    effort: str | None = None
    format: Format | None = None
    task_budget: Any = None


class Metadata(msgspec.Struct):
    """Who asks."""

    user_id: str | None = None


class Body(msgspec.Struct):
    """The whole body; fields that are not here end up in `extras`."""

    messages: list[BodyMessage]
    model: str | None = None
    system: str | list[Block] | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool | None = None
    tools: list[BodyTool] | None = None
    tool_choice: BodyToolChoice | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    metadata: Metadata | None = None
    thread: Any = None
    # Read and left alone: they concern Anthropic's own bookkeeping, or spare it work.
    betas: Any = None
    cache_control: Any = None
    context_management: Any = None
    service_tier: Any = None


_IN_SOURCE: Final = frozenset({"text", "image"})
_IN_RESULT: Final = _IN_SOURCE | {"document", "search_result", "tool_reference"}
_IN_TURN: Final = _IN_SOURCE | {
    "document",
    "search_result",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "tool_addition",
    "tool_removal",
}


def mark_unknown(value: dict[str, Any]) -> dict[str, Any]:
    """Return a body in which blocks of types that are not here are `Unknown`.

    The rest stays as it is, wrong or right, and so does every block's place.
    """
    messages = value.get("messages")
    if isinstance(messages, list):
        value = value | {"messages": [_turn(message) for message in messages]}
    if "system" in value:
        value = value | {"system": _blocks(value["system"], _IN_TURN)}
    return value


def _turn(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    return message | {"content": _blocks(message.get("content"), _IN_TURN)}


def _blocks(content: Any, known: AbstractSet[str]) -> Any:
    if not isinstance(content, list):
        return content
    return [_block(block, known) for block in content]


def _block(block: Any, known: AbstractSet[str]) -> Any:
    if not isinstance(block, dict) or not isinstance(kind := block.get("type"), str):
        return block
    if kind not in known:
        return {"type": "unknown", "kind": kind}
    if kind == "tool_result":
        return block | {"content": _blocks(block.get("content"), _IN_RESULT)}
    if kind == "document" and isinstance(source := block.get("source"), dict):
        return block | {"source": source | {"content": _blocks(source.get("content"), _IN_SOURCE)}}
    return block
