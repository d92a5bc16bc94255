"""OpenAI Chat Completions: body to request, events to chunks, a collected answer to a body.

Source: OpenAI API reference, "Chat completions" (object `chat.completion` and
`chat.completion.chunk`). Reasoning travels in `reasoning_content`, the field that DeepSeek
introduced and that agents read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    OutputFormat,
    Part,
    ReasoningPart,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.protocols.fields import convert, decode_object, extras, invalid
from lingma_cli.protocols.openai_chat_body import (
    Body,
    BodyMessage,
    ToolCall,
)
from lingma_cli.protocols.openai_error import encode_error
from lingma_cli.protocols.sse import COMMENT
from lingma_cli.protocols.wire import WireProtocol

NAME: Final = "openai_chat"

_ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
_MEDIA: Final = {
    "image_url": MediaKind.IMAGE,
    "input_image": MediaKind.IMAGE,
    "image": MediaKind.IMAGE,
    "input_audio": MediaKind.AUDIO,
    "file": MediaKind.FILE,
}


def parse(body: bytes) -> ChatRequest:
    """Return the request in `body`.

    Raises:
        LingmaError: the body is no valid request; `param` holds the path.
    """
    value = decode_object(body)
    shape = convert(value, Body)
    if not shape.messages:
        raise invalid("at least one message is needed", param="messages")
    if shape.n not in (None, 1):
        raise invalid("only one choice can be asked for", param="n")
    notes: list[Note] = []
    messages = tuple(
        _message(item, f"messages[{index}]", notes) for index, item in enumerate(shape.messages)
    )
    return ChatRequest(
        model=shape.model or "",
        messages=messages,
        tools=tuple(_tools(shape, notes)),
        tool_choice=_tool_choice(shape, notes),
        sampling=_sampling(shape),
        reasoning_effort=shape.reasoning_effort,
        output_format=_output_format(shape.response_format),
        stream=bool(shape.stream),
        include_usage=bool(shape.stream_options and shape.stream_options.include_usage),
        user=shape.user,
        extras={NAME: extras(value, Body)},
        notes=tuple(notes),
    )


def _message(item: BodyMessage, path: str, notes: list[Note]) -> Message:
    role = _ROLES.get(item.role)
    if role is None:
        raise invalid(f"must be one of {', '.join(_ROLES)}", param=f"{path}.role")
    parts = list(_parts(item, path, notes))
    if role is Role.TOOL:
        if any(isinstance(part, MediaPart) for part in parts):
            sentence = f"{path}: a tool's answer is text only"
            notes.append(Note(code=NoteCode.PART_DROPPED, text=sentence))
        text = "".join(part.text for part in parts if isinstance(part, TextPart))
        call_id = item.tool_call_id or item.name or ""
        parts = [ToolOutputPart(call_id=call_id, text=text)]
    elif item.name:
        notes.append(Note.of(NoteCode.NAME_DROPPED))
    for index, call in enumerate(item.tool_calls or ()):
        parts.append(_tool_use(call, f"{path}.tool_calls[{index}]"))
    if item.function_call is not None:
        name, arguments = item.function_call.name, item.function_call.arguments
        parts.append(ToolUsePart(call_id=name, name=name, arguments=arguments))
    return Message(role=role, parts=tuple(parts))


def _tool_use(call: ToolCall, path: str) -> ToolUsePart:
    if call.function is not None:
        name, arguments = call.function.name, call.function.arguments
    elif call.custom is not None:
        name, arguments = call.custom.name, call.custom.input
    else:
        raise invalid("a call needs a function", param=f"{path}.function")
    return ToolUsePart(call_id=call.id, name=name, arguments=arguments)


def _parts(item: BodyMessage, path: str, notes: list[Note]) -> Iterator[Part]:
    if item.reasoning_content:
        yield ReasoningPart(text=item.reasoning_content)
    if isinstance(item.content, str):
        yield TextPart(text=item.content)
        return
    for index, part in enumerate(item.content or ()):
        if part.type in _MEDIA:
            yield MediaPart(kind=_MEDIA[part.type], reference=_reference(part.image_url))
        elif part.text is not None or part.refusal is not None:
            yield TextPart(text=part.text or part.refusal or "")
        elif part.type in ("text", "refusal"):
            raise invalid("a text part needs a text", param=f"{path}.content[{index}].text")
        else:
            notes.append(
                Note(
                    code=NoteCode.PART_DROPPED,
                    text=f"unknown content part {part.type!r} in {path}.content[{index}]",
                )
            )


def _reference(image_url: Any) -> str:
    url = image_url.get("url") if isinstance(image_url, dict) else image_url
    return url if isinstance(url, str) else ""


def _tools(shape: Body, notes: list[Note]) -> Iterator[Tool]:
    functions = list(shape.functions or ())
    for tool in shape.tools or ():
        if tool.function is None:
            sentence = f"tool type {tool.type!r} is not known"
            notes.append(Note(code=NoteCode.TOOL_DROPPED, text=sentence))
        else:
            functions.append(tool.function)
    for function in functions:
        yield Tool(
            name=function.name,
            description=function.description or "",
            parameters=function.parameters or {},
        )


def _tool_choice(shape: Body, notes: list[Note]) -> ToolChoice:
    choice = shape.tool_choice if shape.tool_choice is not None else shape.function_call
    param = "tool_choice" if shape.tool_choice is not None else "function_call"
    if choice is None:
        return ToolChoice()
    if isinstance(choice, str):
        modes = {"auto": ToolMode.AUTO, "none": ToolMode.NONE, "required": ToolMode.REQUIRED}
        if choice not in modes:
            raise invalid(f"must be one of {', '.join(modes)} or an object", param=param)
        return ToolChoice(mode=modes[choice])
    kind = choice.get("type", "function")
    if kind not in ("function", "custom"):
        sentence = f"a choice of type {kind!r}"
        notes.append(Note(code=NoteCode.TOOL_CHOICE_IGNORED, text=sentence))
        return ToolChoice()
    function = choice.get(kind, choice)
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        at = "name" if param == "function_call" else "function.name"
        raise invalid("must name a function", param=f"{param}.{at}")
    return ToolChoice(mode=ToolMode.NAMED, name=name)


def _sampling(shape: Body) -> Sampling:
    stop = (shape.stop,) if isinstance(shape.stop, str) else tuple(shape.stop or ())
    return Sampling(
        temperature=shape.temperature,
        top_p=shape.top_p,
        seed=shape.seed,
        presence_penalty=shape.presence_penalty,
        frequency_penalty=shape.frequency_penalty,
        max_tokens=shape.max_completion_tokens or shape.max_tokens,
        stop=stop,
    )


def _output_format(response_format: dict[str, Any] | None) -> OutputFormat | None:
    if response_format is None or response_format.get("type") in (None, "text"):
        return None
    wanted = response_format.get("json_schema")
    if not isinstance(wanted, dict):
        return OutputFormat()
    return OutputFormat(
        schema=wanted.get("schema"),
        name=str(wanted.get("name", "")),
        strict=bool(wanted.get("strict")),
    )


class Encoder:
    """Writes one sealed stream as chunks.

    Args:
        request: what was asked.
        response_id: without the `chatcmpl-` in front.
        created: seconds since the epoch.
    """

    def __init__(self, request: ChatRequest, *, response_id: str, created: int) -> None:
        self._id = f"chatcmpl-{response_id}"
        self._created = created
        self._include_usage = request.include_usage
        self._usage: Usage | None = None
        self._calls = 0
        # All of a text chunk but its text is the same for the whole stream.
        self._before = self._after = b""

    def feed(self, events: Sequence[ChatEvent]) -> bytes:
        """Return the frames of `events`, ready to be written at once."""
        return b"".join(map(self._frame, events))

    def _frame(self, event: ChatEvent) -> bytes:
        match event:
            case BlockDelta(kind=kind, text=text):
                return self._delta(kind, text)
            case BlockOpened(kind=BlockKind.TOOL_CALL, call_id=call_id, name=name):
                self._calls += 1
                function = {"name": name, "arguments": ""}
                call = {"index": self._calls - 1, "id": call_id, "type": "function"}
                return self._chunk({"tool_calls": [{**call, "function": function}]})
            case Started(model=model):
                return self._start(model)
            case UsageReported(usage=usage):
                self._usage = usage
                return b""
            case Finished(reason=reason):
                return self._end(reason.value)
            case Failed(error=error):
                return b"data: %b\n\n" % encode_error(error)
            case BlockOpened() | BlockClosed():
                return b""

    def _delta(self, kind: BlockKind, text: str) -> bytes:
        match kind:
            case BlockKind.TEXT:
                return b"%b%b%b" % (self._before, msgspec.json.encode(text), self._after)
            case BlockKind.REASONING:
                return self._chunk({"reasoning_content": text})
            case BlockKind.TOOL_CALL:
                call = {"index": self._calls - 1, "function": {"arguments": text}}
                return self._chunk({"tool_calls": [call]})

    def _start(self, model: str) -> bytes:
        self._model = model
        marked = self._chunk({"content": "\0"})
        self._before, self._after = marked.rsplit(b'"\\u0000"', 1)
        return self._chunk({"role": "assistant", "content": ""})

    def _end(self, reason: str) -> bytes:
        frames = [self._chunk({}, reason)]
        if self._include_usage and self._usage is not None:
            frames.append(self._envelope([], _usage(self._usage)))
        frames.append(b"data: [DONE]\n\n")
        return b"".join(frames)

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
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
    del request
    answer = answers[0]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text() or None,
        "refusal": None,
    }
    if reasoning := answer.text(BlockKind.REASONING):
        message["reasoning_content"] = reasoning
    calls = [block for block in answer.blocks if block.kind is BlockKind.TOOL_CALL]
    if calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.text},
            }
            for call in calls
        ]
    elif message["content"] is None:
        message["content"] = ""
    reason = answer.reason.value
    body: dict[str, Any] = {
        "id": f"chatcmpl-{response_id}",
        "object": "chat.completion",
        "created": created,
        "model": answer.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
    }
    if answer.usage is not None:
        body["usage"] = _usage(answer.usage)
    return msgspec.json.encode(body)


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
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
