"""The answer of a server, from bytes to canonical events. Pure.

Source: OpenAI API reference, `chat.completion.chunk`; reasoning as `reasoning_content` (DeepSeek,
llama.cpp, SGLang) or `reasoning` (Ollama, newer vLLM); vLLM's `stop_reason`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.core.ids import NewId
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.engines.openai_http.calls import CallReader
from lingma_cli.engines.openai_http.endings import Endings, read_stream_error
from lingma_cli.engines.openai_http.frames import FrameReader, FrameTooLargeError
from lingma_cli.errors import ErrorKind, LingmaError

# The longest event, and the longest answer that comes in one piece.
MAX_BYTES: Final = 32 * 1024 * 1024
_REASONS: Final[Mapping[str, FinishReason]] = MappingProxyType(
    {
        **{reason.value: reason for reason in FinishReason},
        "function_call": FinishReason.TOOL_CALLS,
        "max_tokens": FinishReason.LENGTH,
    }
)
# The server gave up, whatever it has said before.
_BROKEN: Final = frozenset({"abort", "error", "insufficient_system_resource"})


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    # quirk: some servers give an object where its text belongs.
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | int | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    # A list of parts: Mistral's servers.
    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None
    index: int | None = 0
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class _Details(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    completion_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    object: str | None = None


_CHUNKS: Final = msgspec.json.Decoder(_Chunk)


class AnswerReader:
    """Reads one answer, however it is cut; what it returns is loosely bracketed.

    Args:
        request: what was asked.
        endings: makes the errors.
        new_call_id: makes ids of calls for servers that give none.
    """

    def __init__(self, request: ChatRequest, endings: Endings, new_call_id: NewId) -> None:
        self._model = request.model
        self._stops = request.sampling.stop
        self._endings = endings
        self._frames = FrameReader(MAX_BYTES)
        self._calls = CallReader(new_call_id, parallel=request.parallel_tool_calls)
        self._reason: str | None = None
        self._stopped_by: str | None = None
        self._usage: Usage | None = None
        # Text that came after a call had begun: it is told after the calls.
        self._late: list[BlockDelta] = []
        self._started = False
        self.ended = False
        self.said_done = False

    @property
    def notes(self) -> Sequence[Note]:
        """What was left out so far."""
        return (Note.of(NoteCode.CALLS_DROPPED),) if self._calls.dropped else ()

    @property
    def has_reason(self) -> bool:
        """Whether the server has said why it stops; only token counts may follow."""
        return self._reason is not None

    @property
    def has_usage(self) -> bool:
        """Whether token counts have come."""
        return self._usage is not None

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Return the events that `data` completes."""
        return self._begun(self._read(self._frames.feed(data)))

    def whole(self, body: bytes) -> list[ChatEvent]:
        """Return the events of an answer in one piece, from a server that does not stream."""
        return self._begun(self._read(iter((body, b"[DONE]"))))

    def end(self, error: LingmaError | None = None) -> list[ChatEvent]:
        """Return the events that the end of the body completes.

        Args:
            error: what ended it, if it was cut; an answer that had said all has ended well.
        """
        events = self._begun(self._read(self._frames.end()))
        if not self.ended:
            events += self._begun(self._end(error))
        return events

    def fail(self, error: LingmaError) -> list[ChatEvent]:
        """End the answer with `error`, unless it has ended."""
        if self.ended:
            return []
        self.ended = True
        return [Failed(error=error)]

    def _begun(self, events: Iterator[ChatEvent]) -> list[ChatEvent]:
        """Put the beginning before the first events; a failure needs none."""
        held = list(events)
        if held and not self._started and not isinstance(held[0], Failed):
            self._started = True
            # The server's own name for the model may be the path of a file.
            held.insert(0, Started(model=self._model))
        return held

    def _read(self, frames: Iterator[bytes]) -> Iterator[ChatEvent]:
        try:
            for frame in frames:
                if self.ended:
                    return
                if frame == b"[DONE]":
                    self.said_done = True
                    yield from self._end(None)
                elif frame:
                    yield from self._events(frame)
        except FrameTooLargeError:
            yield from self._failed(self._endings.failed("sent an event without an end"))

    def _events(self, frame: bytes) -> Iterator[ChatEvent]:
        try:
            chunk = _CHUNKS.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield from self._failed(self._endings.failed("sent a chunk that cannot be read"))
            return
        if chunk.error or chunk.object == "error" or chunk.choices is None:
            yield from self._said_error(frame, chunk)
            return
        for choice in chunk.choices:
            if not choice.index:
                yield from self._choice(choice)
        if chunk.usage is not None:
            self._usage = _read_usage(chunk.usage) or self._usage

    def _said_error(self, frame: bytes, chunk: _Chunk) -> Iterator[ChatEvent]:
        if chunk.usage is not None and not chunk.error:
            self._usage = _read_usage(chunk.usage) or self._usage
            return
        refusal = read_stream_error(msgspec.json.decode(frame))
        if chunk.error or chunk.object == "error" or refusal.message:
            yield from self._failed(self._endings.error(refusal))

    def _choice(self, choice: _Choice) -> Iterator[ChatEvent]:
        delta = choice.delta or choice.message
        if delta is not None:
            if thought := delta.reasoning_content or delta.reasoning:
                yield from self._told(BlockKind.REASONING, thought)
            if text := _text(delta.content) or delta.refusal:
                yield from self._told(BlockKind.TEXT, text)
            for call in delta.tool_calls or ():
                yield from self._call(call)
        if choice.finish_reason is not None:
            self._reason = choice.finish_reason
            if choice.stop_reason in self._stops:
                self._stopped_by = str(choice.stop_reason)

    def _told(self, kind: BlockKind, text: str) -> Iterator[ChatEvent]:
        delta = BlockDelta(kind=kind, text=text)
        if self._calls:
            self._late.append(delta)
        else:
            yield delta

    def _call(self, call: _Call) -> Iterator[ChatEvent]:
        function = call.function or _Function()
        arguments = function.arguments or ""
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        id_ = "" if call.id is None else str(call.id)
        return self._calls.add(call.index, id_, function.name or "", arguments)

    def _end(self, error: LingmaError | None) -> Iterator[ChatEvent]:
        """Yield how it ends; without a reason of the server's it has not ended well."""
        if self._reason is None:
            yield from self._failed(error or self._endings.failed("broke off its answer"))
            return
        if self._reason in _BROKEN:
            yield from self._failed(self._endings.failed("gave up its answer"))
            return
        if self._reason == "content_filter":
            filtered = "stopped its answer by a filter"
            failure = self._endings.failed(filtered, ErrorKind.CONTENT_FILTERED)
            yield from self._failed(failure)
            return
        yield from self._calls.end()
        if any(late.text.strip() for late in self._late):
            yield from self._late
        if self._usage is not None:
            yield UsageReported(usage=self._usage)
        self.ended = True
        yield Finished(reason=self._finish_reason(), stop_sequence=self._stopped_by)

    def _finish_reason(self) -> FinishReason:
        reason = _REASONS.get(self._reason or "", FinishReason.STOP)
        if reason is FinishReason.LENGTH:
            return reason
        # quirk: after calls, Ollama and others say `stop`; so does vLLM for a named tool.
        if self._calls.told:
            return FinishReason.TOOL_CALLS
        return FinishReason.STOP

    def _failed(self, error: LingmaError) -> Iterator[ChatEvent]:
        self.ended = True
        yield Failed(error=error)


def _text(content: str | list[Any] | None) -> str:
    if not isinstance(content, list):
        return content or ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _read_usage(usage: _Usage) -> Usage | None:
    if usage.prompt_tokens is None:
        return None
    details = usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens or 0,
        reasoning_tokens=(details.reasoning_tokens or 0) if details is not None else 0,
    )
