"""OpenAI Responses as a caller reads it: stream bytes to events.

Source: OpenAI API reference, "Streaming events" of Responses. The events are loose: whoever feeds
the decoder seals them, so a stream that just stops becomes a failure there. Responses tell no
difference between an answer and one that ends with calls, so a call that was seen decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_error import ErrorFields, to_error
from lingma_cli.protocols.custom_tools import to_arguments
from lingma_cli.protocols.sse import SseReader

_DELTAS: Final[Mapping[str, BlockKind]] = MappingProxyType(
    {
        "response.output_text.delta": BlockKind.TEXT,
        "response.refusal.delta": BlockKind.TEXT,
        "response.reasoning_text.delta": BlockKind.REASONING,
        "response.reasoning_summary_text.delta": BlockKind.REASONING,
        "response.function_call_arguments.delta": BlockKind.TOOL_CALL,
    }
)
_CALLS: Final = ("function_call", "custom_tool_call")
# A response that failed has codes of its own; the others are known from error bodies.
_CODES: Final[Mapping[str, ErrorKind]] = MappingProxyType(
    {
        "rate_limit_exceeded": ErrorKind.OVERLOADED,
        "invalid_prompt": ErrorKind.INVALID_REQUEST,
    }
)


class _Item(msgspec.Struct):
    type: str = ""
    call_id: str | None = None
    name: str = ""
    input: str = ""


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    output_tokens_details: _OutputDetails | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    model: str = ""
    usage: _Usage | None = None
    error: ErrorFields | None = None
    incomplete_details: _Incomplete | None = None


class _Event(msgspec.Struct):
    type: str = ""
    delta: str = ""
    item: _Item | None = None
    response: _Response | None = None
    error: ErrorFields | None = None
    message: str = ""
    code: str | None = None


_EVENTS: Final = msgspec.json.Decoder(_Event)


class Decoder:
    """Reads one stream, however it is cut."""

    def __init__(self) -> None:
        self._frames = SseReader()
        self._has_calls = False

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Yield the events that `chunk` completes; a stream ends with its terminal event."""
        for frame in self._frames.feed(chunk):
            if frame == b"[DONE]":
                continue
            try:
                yield from self._events(_EVENTS.decode(frame))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield _failed("the server sent an event that cannot be read")

    def _events(self, event: _Event) -> Iterator[ChatEvent]:
        if event.error is not None:
            yield _failure(event.error)
        elif event.type in _DELTAS:
            yield BlockDelta(kind=_DELTAS[event.type], text=event.delta)
        elif event.type == "error":
            yield _failure(ErrorFields(message=event.message, code=event.code))
        elif event.item is not None:
            yield from self._item(event.type, event.item)
        elif event.response is not None:
            yield from self._response(event.type, event.response)

    def _item(self, kind: str, item: _Item) -> Iterator[ChatEvent]:
        is_call = item.type in _CALLS
        if kind == "response.output_item.added" and is_call:
            self._has_calls = True
            yield BlockOpened(kind=BlockKind.TOOL_CALL, call_id=item.call_id or "", name=item.name)
        elif kind == "response.output_item.done":
            if item.type == "custom_tool_call":
                yield BlockDelta(kind=BlockKind.TOOL_CALL, text=to_arguments(item.input))
            yield BlockClosed()

    def _response(self, kind: str, response: _Response) -> Iterator[ChatEvent]:
        if kind == "response.created":
            yield Started(model=response.model)
        if response.usage is not None:
            yield UsageReported(usage=_read_usage(response.usage))
        match kind:
            case "response.completed":
                reason = FinishReason.TOOL_CALLS if self._has_calls else FinishReason.STOP
                yield Finished(reason=reason)
            case "response.incomplete":
                details = response.incomplete_details
                if details is not None and details.reason == "content_filter":
                    yield _failed("the answer was stopped by a filter", ErrorKind.CONTENT_FILTERED)
                else:
                    yield Finished(reason=FinishReason.LENGTH)
            case "response.failed":
                yield _failure(response.error or ErrorFields(message="the response failed"))


def _read_usage(usage: _Usage) -> Usage:
    details = usage.output_tokens_details
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=(details.reasoning_tokens or 0) if details else 0,
    )


def _failure(said: ErrorFields) -> Failed:
    if (kind := _CODES.get(str(said.code))) is not None:
        return _failed(said.message, kind)
    return Failed(error=to_error(said))


def _failed(message: str, kind: ErrorKind = ErrorKind.ENGINE_FAILED) -> Failed:
    return Failed(error=LingmaError(kind, message))
