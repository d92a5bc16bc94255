"""Token counts where the engine gives none: an estimate, and marked as one.

One token for about four narrow characters; four Chinese characters make three. No vocabulary is
downloaded or shipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lingma_cli.core.chat import (
    ChatRequest,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    Usage,
    UsageReported,
)

# About what an image of full size costs; its data say little about that.
MEDIA_TOKENS: Final = 1600


class TokenEstimate:
    """Adds up texts; `tokens` is 0 for no text and at least 1 otherwise."""

    __slots__ = ("_narrow", "_wide")

    def __init__(self) -> None:
        self._narrow = 0.0
        self._wide = 0.0

    def add(self, text: str) -> None:
        """Count `text` in."""
        characters = len(text)
        # UTF-8 spends two bytes more on a Chinese character than on a narrow one.
        wide = 0.0 if text.isascii() else (len(text.encode("utf-8", "replace")) - characters) / 2
        self._wide += wide
        self._narrow += characters - wide

    @property
    def tokens(self) -> int:
        """The estimate so far."""
        if not self._narrow and not self._wide:
            return 0
        return max(1, round(self._narrow / 4 + self._wide * 0.75))


def count_tokens(request: ChatRequest) -> int:
    """Return the estimated tokens of what the client sent: turns and tools."""
    return estimate_input(request.messages, request.tools)


def estimate_input(messages: Iterable[Message], tools: Iterable[Tool] = ()) -> int:
    """Return the estimated tokens of all turns, and of the tools that are offered with them."""
    total = TokenEstimate()
    media = 0
    for message in messages:
        for part in message.parts:
            for text in _texts(part):
                total.add(text)
            media += _media(part)
    for tool in tools:
        for text in (tool.name, tool.description, *_schema_texts(tool.parameters)):
            total.add(text)
    return total.tokens + media * MEDIA_TOKENS


def _texts(part: Part) -> tuple[str, ...]:
    match part:
        case TextPart(text=text) | ReasoningPart(text=text) | ToolOutputPart(text=text):
            return (text,)
        case ToolUsePart(name=name, arguments=arguments):
            return name, arguments
        case MediaPart():
            return ()


def _media(part: Part) -> int:
    match part:
        case MediaPart():
            return 1
        case ToolOutputPart(media=media):
            return len(media)
        case _:
            return 0


def _schema_texts(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the words of a JSON schema with their punctuation, however deep it is."""
    waiting: list[Any] = [schema]
    while waiting:
        value = waiting.pop()
        match value:
            case Mapping():
                waiting += value.values()
                yield from (f'"{key}":,' for key in value)
            case list() | tuple():
                waiting += value
                yield "," * len(value)
            case _:
                yield str(value)


class UsageCounter:
    """Reports an estimate before the end of a stream that brought no counts of its own.

    Args:
        input_tokens: the estimate for the request.
    """

    def __init__(self, input_tokens: int) -> None:
        self._input = input_tokens
        self._output = TokenEstimate()
        self._reasoning = TokenEstimate()
        self.usage: Usage | None = None

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return `events`, with a `UsageReported` before the end if there was none."""
        out: list[ChatEvent] = []
        for event in events:
            match event:
                case BlockDelta(kind=kind, text=text):
                    (self._reasoning if kind is BlockKind.REASONING else self._output).add(text)
                case UsageReported(usage=usage):
                    self.usage = usage
                case Finished() | Failed() if self.usage is None:
                    self.usage = self._estimate()
                    out.append(UsageReported(usage=self.usage))
                case _:
                    pass
            out.append(event)
        return out

    def _estimate(self) -> Usage:
        reasoning = self._reasoning.tokens
        return Usage(
            input_tokens=self._input,
            output_tokens=self._output.tokens + reasoning,
            reasoning_tokens=reasoning,
            estimated=True,
        )
