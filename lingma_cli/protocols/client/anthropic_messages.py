"""Anthropic Messages as a caller speaks it: stream bytes to events.

Source: Anthropic API reference, "Streaming Messages". The events are loose: whoever feeds the
decoder seals them, so a stream that just stops becomes a failure there.
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
from lingma_cli.errors import FACES, ErrorKind, LingmaError
from lingma_cli.protocols.sse import SseReader

_REASONS: Final[Mapping[str, FinishReason]] = MappingProxyType(
    {
        "max_tokens": FinishReason.LENGTH,
        "model_context_window_exceeded": FinishReason.LENGTH,
        "tool_use": FinishReason.TOOL_CALLS,
    }
)
_BLOCKS: Final[Mapping[str, BlockKind]] = MappingProxyType(
    {
        "text": BlockKind.TEXT,
        "thinking": BlockKind.REASONING,
        "tool_use": BlockKind.TOOL_CALL,
    }
)
# Several kinds share a type. These are what a stream can mean by it.
_KINDS: Final[Mapping[str, ErrorKind]] = MappingProxyType(
    {
        **{face.anthropic_type: kind for kind, face in reversed(tuple(FACES.items()))},
        "api_error": ErrorKind.ENGINE_FAILED,
        "overloaded_error": ErrorKind.OVERLOADED,
    }
)


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int = 0
    output_tokens_details: _Details | None = None


class _Details(msgspec.Struct):
    thinking_tokens: int = 0


class _Message(msgspec.Struct):
    model: str = ""
    usage: _Usage | None = None


class _Block(msgspec.Struct):
    type: str
    id: str = ""
    name: str = ""


class _Delta(msgspec.Struct):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Error(msgspec.Struct):
    type: str
    message: str = ""


class _Frame(msgspec.Struct):
    type: str
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: _Error | None = None


_FRAMES: Final = msgspec.json.Decoder(_Frame)


class Decoder:
    """Reads one stream, however it is cut."""

    def __init__(self) -> None:
        self._frames = SseReader()
        self._input_tokens = 0
        self._open: BlockKind | None = None
        self._ending = _Delta()

    def feed(self, chunk: bytes) -> Iterator[ChatEvent]:
        """Yield the events that `chunk` completes.

        Nothing is finished before `message_stop`: a stop reason alone does not end the stream.
        """
        for data in self._frames.feed(chunk):
            try:
                frame = _FRAMES.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                yield _failed("the server sent an event that cannot be read")
            else:
                yield from self._events(frame)

    def _events(self, frame: _Frame) -> Iterator[ChatEvent]:
        match frame:
            case _Frame(type="message_start", message=_Message(model=model, usage=usage)):
                self._input_tokens = (usage.input_tokens or 0) if usage is not None else 0
                yield Started(model=model, input_tokens=self._input_tokens)
            case _Frame(type="message_delta", delta=_Delta() as delta, usage=usage):
                self._ending = delta
                if usage is not None:
                    yield UsageReported(usage=self._usage(usage))
            case _Frame(type="message_stop"):
                yield self._end()
            case _Frame(type="error", error=_Error(type=type_, message=message)):
                yield _failed(message, _KINDS.get(type_, ErrorKind.ENGINE_FAILED))
            case _:
                yield from self._block_events(frame)

    def _block_events(self, frame: _Frame) -> Iterator[ChatEvent]:
        match frame:
            case _Frame(type="content_block_start", content_block=_Block() as block):
                # A block that only the server could fill is passed over.
                self._open = _BLOCKS.get(block.type)
                if self._open is not None:
                    yield BlockOpened(kind=self._open, call_id=block.id, name=block.name)
            case _Frame(type="content_block_delta", delta=_Delta() as delta):
                if self._open is not None:
                    text = delta.text or delta.thinking or delta.partial_json
                    yield BlockDelta(kind=self._open, text=text)
            case _Frame(type="content_block_stop"):
                yield BlockClosed()
            case _:
                pass

    def _usage(self, usage: _Usage) -> Usage:
        told, details = usage.input_tokens, usage.output_tokens_details
        return Usage(
            input_tokens=self._input_tokens if told is None else told,
            output_tokens=usage.output_tokens,
            reasoning_tokens=details.thinking_tokens if details is not None else 0,
        )

    def _end(self) -> ChatEvent:
        reason = self._ending.stop_reason
        if reason is None:
            return _failed("the server ended the answer without a stop reason")
        if reason == "refusal":
            return _failed("the answer was stopped by a filter", ErrorKind.CONTENT_FILTERED)
        return Finished(
            reason=_REASONS.get(reason, FinishReason.STOP),
            stop_sequence=self._ending.stop_sequence,
        )


def _failed(message: str, kind: ErrorKind = ErrorKind.ENGINE_FAILED) -> Failed:
    return Failed(error=LingmaError(kind, message))
