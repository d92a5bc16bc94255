"""Anthropic Messages: events to the stream's frames, a collected answer to a body.

Source: Anthropic API reference, "Create a Message" and "Streaming Messages". Thinking blocks
carry an empty signature: only the model's maker can sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Block, Collector
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
from lingma_cli.protocols.anthropic_error import encode_error
from lingma_cli.protocols.anthropic_parse import NAME, parse
from lingma_cli.protocols.wire import WireProtocol

_REASONS: Final = {
    FinishReason.STOP: "end_turn",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
}
_DELTA: Final = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":%d,"delta":{"type":%b:%b}}\n\n'
)
# What stands between an index and a text.
_DELTA_KINDS: Final = {
    BlockKind.TEXT: b'"text_delta","text"',
    BlockKind.REASONING: b'"thinking_delta","thinking"',
    BlockKind.TOOL_CALL: b'"input_json_delta","partial_json"',
}


def _frame(name: str, **fields: Any) -> bytes:
    data = msgspec.json.encode({"type": name, **fields})
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


class Encoder:
    """Writes one sealed stream as named events.

    Args:
        request: what was asked.
        response_id: without the `msg_` in front.
        created: not told in this protocol.
    """

    def __init__(self, request: ChatRequest, *, response_id: str, created: int) -> None:
        del created
        self._id = response_id
        self._show_reasoning = request.show_reasoning
        self._usage = Usage(input_tokens=0, output_tokens=0)
        self._index = -1
        self._is_hidden = False

    def feed(self, events: Sequence[ChatEvent]) -> bytes:
        """Return the frames of `events`, ready to be written at once."""
        return b"".join(map(self._frames, events))

    def _frames(self, event: ChatEvent) -> bytes:
        match event:
            case BlockDelta(kind=kind, text=text):
                if self._is_hidden:
                    return b""
                return _DELTA % (self._index, _DELTA_KINDS[kind], msgspec.json.encode(text))
            case BlockOpened():
                return self._open(event)
            case BlockClosed():
                if self._is_hidden:
                    self._is_hidden = False
                    return b""
                return _frame("content_block_stop", index=self._index)
            case Started():
                return self._start(event)
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case Finished():
                delta = _frame("message_delta", delta=_ending(event), usage=_usage(self._usage))
                return delta + _frame("message_stop")
            case Failed(error=error):
                return b"event: error\ndata: %b\n\n" % encode_error(error)

    def _start(self, started: Started) -> bytes:
        self._usage = Usage(input_tokens=started.input_tokens, output_tokens=0)
        message = _message(self._id, started.model)
        message |= {"stop_reason": None, "stop_sequence": None, "usage": _usage(self._usage)}
        return _frame("message_start", message=message)

    def _open(self, opened: BlockOpened) -> bytes:
        self._is_hidden = opened.kind is BlockKind.REASONING and not self._show_reasoning
        if self._is_hidden:
            return b""
        self._index += 1
        empty = Block(kind=opened.kind, text="", call_id=opened.call_id, name=opened.name)
        return _frame("content_block_start", index=self._index, content_block=_block(empty))


def render(
    answers: Sequence[Collector], request: ChatRequest, *, response_id: str, created: int
) -> bytes:
    """Return the body of finished answers; the caller has seen to their errors."""
    del created
    answer = answers[0]
    usage = answer.usage or Usage(input_tokens=answer.input_tokens, output_tokens=0)
    body = _message(response_id, answer.model)
    body["content"] = [
        _block(block)
        for block in answer.blocks
        if request.show_reasoning or block.kind is not BlockKind.REASONING
    ]
    body |= _ending(answer.finished or Finished(reason=answer.reason))
    body["usage"] = _usage(usage)
    return msgspec.json.encode(body)


def _message(response_id: str, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{response_id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
    }


def _block(block: Block) -> dict[str, Any]:
    match block.kind:
        case BlockKind.TEXT:
            return {"type": "text", "text": block.text}
        case BlockKind.REASONING:
            return {"type": "thinking", "thinking": block.text, "signature": ""}
        case BlockKind.TOOL_CALL:
            call = {"type": "tool_use", "id": block.call_id, "name": block.name}
            return {**call, "input": _input(block.text)}


def _input(arguments: str) -> msgspec.Raw | str:
    """Return a call's input to the letter; what is no JSON stays text, as it does in a stream."""
    try:
        msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return arguments
    return msgspec.Raw(arguments or "{}")


def _ending(finished: Finished) -> dict[str, Any]:
    stop = finished.stop_sequence
    reason = _REASONS[finished.reason] if stop is None else "stop_sequence"
    return {"stop_reason": reason, "stop_sequence": stop}


def _usage(usage: Usage) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return counts


PROTOCOL: Final = WireProtocol(
    name=NAME,
    paths=("/v1/messages",),
    parse=parse,
    encoder=Encoder,
    render=render,
    encode_error=encode_error,
    ping=_frame("ping"),
)
