"""OpenAI Chat Completions: events to chunks, collected answers to a body.

Source: OpenAI API reference, "Chat completions" (objects `chat.completion` and
`chat.completion.chunk`). Reasoning travels in `reasoning_content`, the field that DeepSeek
introduced and that agents read. Requests are read in `openai_chat_parse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import ChatRequest, Tool
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
from lingma_cli.protocols import custom_tools
from lingma_cli.protocols.openai_chat_parse import LEGACY, NAME, parse
from lingma_cli.protocols.openai_error import encode_error
from lingma_cli.protocols.sse import COMMENT
from lingma_cli.protocols.wire import WireProtocol


class _Dialect:
    """How this request wants its calls told.

    A request that came with `functions` is answered with at most one `function_call`.
    """

    def __init__(self, request: ChatRequest) -> None:
        self._tools: dict[str, Tool] = {tool.name: tool for tool in request.tools}
        self.is_legacy = LEGACY in request.extras

    def is_custom(self, name: str) -> bool:
        tool = self._tools.get(name)
        return tool is not None and tool.custom

    def client_name(self, name: str) -> str:
        tool = self._tools.get(name)
        return name if tool is None else tool.client_name or name

    def reason(self, reason: FinishReason) -> str:
        if self.is_legacy and reason is FinishReason.TOOL_CALLS:
            return "function_call"
        return reason.value

    def call(self, name: str, call_id: str, text: str) -> dict[str, Any]:
        """Return a call; `text` is its arguments, or what is known of them."""
        told = self.client_name(name)
        if self.is_custom(name):
            custom = {"name": told, "input": custom_tools.to_text(text)}
            return {"id": call_id, "type": "custom", "custom": custom}
        function = {"name": told, "arguments": text}
        return {"id": call_id, "type": "function", "function": function}


class Encoder:
    """Writes sealed streams as chunks, one stream after another for each choice.

    Args:
        request: what was asked.
        response_id: without the `chatcmpl-` in front.
        created: seconds since the epoch.
    """

    def __init__(self, request: ChatRequest, *, response_id: str, created: int) -> None:
        self._id = f"chatcmpl-{response_id}"
        self._created = created
        self._include_usage = request.include_usage
        self._show_reasoning = request.show_reasoning
        self._dialect = _Dialect(request)
        self._choices = request.choices
        self._choice = -1
        self._usages: dict[int, Usage] = {}
        self._calls = 0
        # The freeform call that is open, and its arguments so far: its text can only be told whole.
        self._freeform: BlockOpened | None = None
        self._arguments: list[str] = []
        # All of a text chunk but its text is the same for the whole stream.
        self._before = self._after = b""

    def feed(self, events: Sequence[ChatEvent]) -> bytes:
        """Return the frames of `events`, ready to be written at once."""
        return b"".join(map(self._frame, events))

    def _frame(self, event: ChatEvent) -> bytes:
        match event:
            case BlockDelta(kind=kind, text=text):
                return self._delta(kind, text)
            case BlockOpened(kind=BlockKind.TOOL_CALL):
                return self._open_call(event)
            case BlockClosed():
                return b"" if self._freeform is None else self._close_freeform(self._freeform)
            case Started(model=model):
                return self._start(model)
            case UsageReported(usage=usage):
                self._usages[self._choice] = usage
                return b""
            case Finished(reason=reason):
                return self._end(self._dialect.reason(reason))
            case Failed(error=error):
                return b"data: %b\n\n" % encode_error(error)
            case BlockOpened():
                return b""

    def _delta(self, kind: BlockKind, text: str) -> bytes:
        match kind:
            case BlockKind.TEXT:
                return b"%b%b%b" % (self._before, msgspec.json.encode(text), self._after)
            case BlockKind.REASONING:
                return self._chunk({"reasoning_content": text}) if self._show_reasoning else b""
            case BlockKind.TOOL_CALL:
                return self._call_delta(text)

    def _open_call(self, opened: BlockOpened) -> bytes:
        self._calls += 1
        if self._dialect.is_legacy:
            name = self._dialect.client_name(opened.name)
            return self._legacy({"name": name, "arguments": ""})
        if self._dialect.is_custom(opened.name):
            self._freeform = opened
            return b""
        return self._call(self._dialect.call(opened.name, opened.call_id, ""))

    def _call_delta(self, text: str) -> bytes:
        if self._freeform is not None:
            self._arguments.append(text)
            return b""
        function = {"arguments": text}
        if self._dialect.is_legacy:
            return self._legacy(function)
        return self._call({"function": function})

    def _close_freeform(self, opened: BlockOpened) -> bytes:
        text = "".join(self._arguments)
        self._freeform = None
        self._arguments.clear()
        return self._call(self._dialect.call(opened.name, opened.call_id, text))

    def _call(self, fields: dict[str, Any]) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._calls - 1} | fields]})

    def _legacy(self, function: dict[str, Any]) -> bytes:
        return self._chunk({"function_call": function}) if self._calls == 1 else b""

    def _start(self, model: str) -> bytes:
        if self._choice < 0:
            self._model = model
        self._choice += 1
        self._calls = 0
        marked = self._chunk({"content": "\0"})
        self._before, self._after = marked.rsplit(b'"\\u0000"', 1)
        return self._chunk({"role": "assistant", "content": ""})

    def _end(self, reason: str) -> bytes:
        frames = [self._chunk({}, reason)]
        if self._choice + 1 == self._choices:
            if self._include_usage and self._usages:
                frames.append(self._envelope([], _usage(list(self._usages.values()))))
            frames.append(b"data: [DONE]\n\n")
        return b"".join(frames)

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {
            "index": self._choice,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish_reason,
        }
        return self._envelope([choice], None)

    def _envelope(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        chunk: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        if self._include_usage:
            chunk["usage"] = usage
        return b"data: %b\n\n" % msgspec.json.encode(chunk)


def render(
    answers: Sequence[Collector], request: ChatRequest, *, response_id: str, created: int
) -> bytes:
    """Return the body of finished answers; the caller has seen to their errors."""
    dialect = _Dialect(request)
    body: dict[str, Any] = {
        "id": f"chatcmpl-{response_id}",
        "object": "chat.completion",
        "created": created,
        "model": answers[0].model,
        "choices": [
            {
                "index": index,
                "message": _message(answer, dialect, show_reasoning=request.show_reasoning),
                "logprobs": None,
                "finish_reason": dialect.reason(answer.reason),
            }
            for index, answer in enumerate(answers)
        ],
    }
    if usages := [answer.usage for answer in answers if answer.usage is not None]:
        body["usage"] = _usage(usages)
    return msgspec.json.encode(body)


def _message(answer: Collector, dialect: _Dialect, *, show_reasoning: bool) -> dict[str, Any]:
    calls = [block for block in answer.blocks if block.kind is BlockKind.TOOL_CALL]
    text = answer.text()
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls and not text else text,
        "refusal": None,
    }
    reasoning = answer.text(BlockKind.REASONING)
    if reasoning and show_reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message |= _calls(calls, dialect)
    return message


def _calls(calls: Sequence[Block], dialect: _Dialect) -> dict[str, Any]:
    if dialect.is_legacy:
        first = calls[0]
        name = dialect.client_name(first.name)
        return {"function_call": {"name": name, "arguments": first.text}}
    return {"tool_calls": [dialect.call(call.name, call.call_id, call.text) for call in calls]}


def _usage(usages: Sequence[Usage]) -> dict[str, Any]:
    """Return the counts of all choices: they share the prompt, which is counted once."""
    prompt = usages[0].input_tokens
    completion = sum(usage.output_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": sum(usage.reasoning_tokens for usage in usages),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


PROTOCOL: Final = WireProtocol(
    name=NAME,
    paths=("/v1/chat/completions",),
    parse=parse,
    encoder=Encoder,
    render=render,
    encode_error=encode_error,
    ping=COMMENT,
)
