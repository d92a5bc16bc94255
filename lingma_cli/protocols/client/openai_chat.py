"""OpenAI Chat Completions as a caller speaks it: turns to a body, stream bytes to events.

Source: OpenAI API reference, "Chat completions" (object `chat.completion.chunk`). Reasoning is
read from `reasoning_content`, the field that DeepSeek introduced. The events are loose: whoever
feeds the decoder seals them, so a stream that just stops becomes a failure there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import Role
from lingma_cli.core.events import (
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
from lingma_cli.protocols import custom_tools
from lingma_cli.protocols.client.openai_error import ErrorFields, to_error
from lingma_cli.protocols.sse import SseReader

PATH: Final = "/v1/chat/completions"

_REASONS: Final[Mapping[str, FinishReason]] = MappingProxyType(
    {
        **{reason.value: reason for reason in FinishReason},
        "function_call": FinishReason.TOOL_CALLS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message of plain text."""

    role: Role
    text: str


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Custom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class _Call(msgspec.Struct):
    id: str | None = None
    function: _Function | None = None
    custom: _Custom | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    index: int = 0
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    completion_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    model: str = ""
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: ErrorFields | None = None


_CHUNKS: Final = msgspec.json.Decoder(_Chunk)


def encode_request(turns: Sequence[Turn], *, model: str = "") -> bytes:
    """Return the body that asks for a streamed answer with token counts.

    Args:
        turns: the conversation, oldest first.
        model: empty leaves the choice to the server.
    """
    body: dict[str, Any] = {
        "messages": [{"role": turn.role.value, "content": turn.text} for turn in turns],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if model:
        body["model"] = model
    return msgspec.json.encode(body)


class Decoder:
    """Reads one stream, however it is cut."""

    def __init__(self) -> None:
        self._frames = SseReader()
        self._started = False
        self._reason: str | None = None
        # The raw text of the open freeform call: it is JSON only as a whole.
        self._freeform: list[str] | None = None

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Yield the events that `chunk` completes.

        Nothing is finished before the `[DONE]`: a finish reason alone does not end the stream.
        """
        for frame in self._frames.feed(chunk):
            if frame == b"[DONE]":
                yield from self._close_freeform()
                yield self._end()
                continue
            try:
                yield from self._events(_CHUNKS.decode(frame))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield _failed("the server sent a chunk that cannot be read")

    def _events(self, chunk: _Chunk) -> Iterator[ChatEvent]:
        if chunk.error is not None:
            yield from self._close_freeform()
            yield Failed(error=to_error(chunk.error))
            return
        if not self._started:
            self._started = True
            yield Started(model=chunk.model)
        for choice in chunk.choices:
            if choice.index == 0:
                yield from self._delta_events(choice.delta)
                self._reason = choice.finish_reason or self._reason
        if chunk.usage is not None:
            yield UsageReported(usage=_read_usage(chunk.usage))

    def _delta_events(self, delta: _Delta) -> Iterator[ChatEvent]:
        if delta.reasoning_content:
            yield from self._close_freeform()
            yield BlockDelta(kind=BlockKind.REASONING, text=delta.reasoning_content)
        if delta.content:
            yield from self._close_freeform()
            yield BlockDelta(kind=BlockKind.TEXT, text=delta.content)
        for call in delta.tool_calls or ():
            yield from self._call_events(call)

    def _call_events(self, call: _Call) -> Iterator[ChatEvent]:
        called = call.function or call.custom or _Function()
        if called.name is not None:
            yield from self._close_freeform()
            id_ = call.id or ""
            yield BlockOpened(kind=BlockKind.TOOL_CALL, call_id=id_, name=called.name)
        if isinstance(called, _Custom):
            if self._freeform is None:
                self._freeform = []
            self._freeform.append(called.input or "")
        elif called.arguments:
            yield BlockDelta(kind=BlockKind.TOOL_CALL, text=called.arguments)

    def _close_freeform(self) -> Iterator[ChatEvent]:
        if self._freeform is not None:
            arguments = custom_tools.to_arguments("".join(self._freeform))
            self._freeform = None
            yield BlockDelta(kind=BlockKind.TOOL_CALL, text=arguments)

    def _end(self) -> ChatEvent:
        if self._reason is None:
            return _failed("the server ended the answer without a finish reason")
        if self._reason == "content_filter":
            return _failed("the answer was stopped by a filter", ErrorKind.CONTENT_FILTERED)
        return Finished(reason=_REASONS.get(self._reason, FinishReason.STOP))


def _read_usage(usage: _Usage) -> Usage:
    details = usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        reasoning_tokens=(details.reasoning_tokens or 0) if details else 0,
    )


def _failed(message: str, kind: ErrorKind = ErrorKind.ENGINE_FAILED) -> Failed:
    return Failed(error=LingmaError(kind, message))
