"""A conversation as the body of a Chat Completions request. Pure.

Source: OpenAI API reference, "Create chat completion", as far as llama.cpp, vLLM, SGLang and Ollama
take it. What they do not take leaves a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
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
    ToolRoute,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.protocols import custom_tools

# Fields of Chat Completions that no one here knows belong to the server.
_OWN_EXTRAS: Final = "openai_chat"
# What they would add to an answer is not passed on.
_UNSEEN: Final = frozenset({"logprobs", "top_logprobs", "audio", "modalities", "prediction"})
# Of other protocols' own fields, those that servers know under the same name.
_SHARED: Final = frozenset({"top_k", "min_p", "repetition_penalty", "logit_bias"})
_EFFORTS: Final[Mapping[str, str]] = MappingProxyType(
    {"minimal": "low", "xhigh": "high", "max": "high"}
)
_AUDIO: Final = re.compile(r"data:audio/(?P<format>[\w.+-]+);base64,(?P<data>.*)", re.DOTALL)
_NO_PARAMETERS: Final[Mapping[str, Any]] = MappingProxyType({"type": "object", "properties": {}})


def encode_request(request: ChatRequest) -> tuple[bytes, list[Note]]:
    """Return the body that asks for a streamed answer with token counts, and what it lacks.

    Args:
        request: with a model of the server's, tools on their route.
    """
    writer = _Writer()
    body = {
        **writer.extras(request),
        "model": request.model,
        "messages": list(writer.messages(request.messages)),
        **_sampling(request.sampling),
        **_tools(request),
        **_format(request.output_format),
        **writer.effort(request.reasoning_effort),
        **({"user": request.user} if request.user is not None else {}),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return msgspec.json.encode(body), list(dict.fromkeys(writer.notes))


class _Writer:
    """Writes the parts of one body and gathers notes."""

    def __init__(self) -> None:
        self.notes: list[Note] = []

    def messages(self, messages: Sequence[Message]) -> Iterator[dict[str, Any]]:
        """Yield the turns; all system text stands in one turn at their head.

        Chat templates of many models refuse a second system turn, or one that is not the first.
        """
        system = [_text(turn.parts) for turn in messages if turn.role is Role.SYSTEM]
        if text := "\n\n".join(filter(None, system)):
            yield {"role": "system", "content": text}
        for turn in messages:
            match turn.role:
                case Role.USER:
                    yield {"role": "user", "content": self._content(turn.parts)}
                case Role.ASSISTANT:
                    yield self._assistant(turn.parts)
                case Role.TOOL:
                    yield from self._results(turn.parts)
                case Role.SYSTEM:
                    continue

    def _assistant(self, parts: Sequence[Part]) -> dict[str, Any]:
        calls = [self._call(part) for part in parts if isinstance(part, ToolUsePart)]
        reasoning = "\n".join(part.text for part in parts if isinstance(part, ReasoningPart))
        said = [part for part in parts if isinstance(part, TextPart | MediaPart)]
        content = self._content(said, may_see=False)
        return {
            "role": "assistant",
            "content": content if content or not calls else None,
            **({"reasoning_content": reasoning} if reasoning else {}),
            **({"tool_calls": calls} if calls else {}),
        }

    def _call(self, part: ToolUsePart) -> dict[str, Any]:
        function = {"name": part.name, "arguments": self._arguments(part.arguments)}
        return {"id": part.call_id, "type": "function", "function": function}

    def _arguments(self, text: str) -> str:
        """Return arguments that a template can read; servers refuse the whole request else."""
        try:
            is_object = isinstance(msgspec.json.decode(text), dict)
        except (msgspec.DecodeError, RecursionError):
            is_object = False
        if is_object:
            return text
        self.notes.append(Note.of(NoteCode.CALL_ARGUMENTS_REPAIRED))
        return custom_tools.to_arguments(text)

    def _results(self, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
        for is_output, group in groupby(parts, lambda part: isinstance(part, ToolOutputPart)):
            held = list(group)
            if not is_output:
                yield {"role": "user", "content": self._content(held)}
                continue
            for part in held:
                if isinstance(part, ToolOutputPart):
                    yield self._result(part)

    def _result(self, part: ToolOutputPart) -> dict[str, Any]:
        text = f"Error: {part.text}" if part.is_error else part.text
        content = self._content((TextPart(text=text), *part.media))
        return {"role": "tool", "tool_call_id": part.call_id, "content": content}

    def _content(self, parts: Sequence[Part], *, may_see: bool = True) -> str | list[Any]:
        """Return plain text if that is all there is, else a list of parts."""
        pieces = [piece for part in parts if (piece := self._piece(part, may_see=may_see))]
        if all(piece["type"] == "text" for piece in pieces):
            return "\n".join(piece["text"] for piece in pieces)
        return pieces

    def _piece(self, part: Part, *, may_see: bool) -> dict[str, Any] | None:
        match part:
            case TextPart(text=text):
                return {"type": "text", "text": text} if text else None
            case MediaPart():
                return (self._media(part) if may_see else None) or self._placeholder(part)
            case _:
                return None

    def _media(self, part: MediaPart) -> dict[str, Any] | None:
        """Return what a server can take without fetching anything: bytes in the request."""
        if part.kind is MediaKind.IMAGE and part.reference.startswith("data:image/"):
            return {"type": "image_url", "image_url": {"url": part.reference}}
        if part.kind is MediaKind.AUDIO and (sound := _AUDIO.fullmatch(part.reference)):
            audio = {"data": sound["data"], "format": sound["format"]}
            return {"type": "input_audio", "input_audio": audio}
        return None

    def _placeholder(self, part: MediaPart) -> dict[str, Any]:
        self.notes.append(Note.of(NoteCode.MEDIA_DROPPED))
        return {"type": "text", "text": f"[{part.kind.value}]"}

    def effort(self, wanted: str | None) -> dict[str, Any]:
        """Return the effort in words that servers know."""
        if wanted is None:
            return {}
        sent = _EFFORTS.get(wanted, wanted)
        if sent != wanted:
            sentence = f"the effort {wanted!r} is sent as {sent!r}"
            self.notes.append(Note(code=NoteCode.REASONING_EFFORT_IGNORED, text=sentence))
        return {"reasoning_effort": sent}

    def extras(self, request: ChatRequest) -> dict[str, Any]:
        """Return fields that are the server's business."""
        sent: dict[str, Any] = {}
        kept: list[str] = []
        for protocol, fields in request.extras.items():
            for name, value in fields.items():
                is_own = protocol == _OWN_EXTRAS and name not in _UNSEEN
                if is_own or name in _SHARED:
                    sent[name] = value
                else:
                    kept.append(name)
        if kept:
            sentence = f"not forwarded: {', '.join(kept)[:200]}"
            self.notes.append(Note(code=NoteCode.FIELDS_IGNORED, text=sentence))
        return sent


def _text(parts: Sequence[Part]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, TextPart) and part.text)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    fields = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        # The older name: Ollama does not know the newer one.
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tools(request: ChatRequest) -> dict[str, Any]:
    if not request.tools or request.tool_route is ToolRoute.PROMPT:
        return {}
    # Only what differs from a server's own default: not each knows these fields.
    choice, parallel = _choice(request.tool_choice), request.parallel_tool_calls
    return {
        "tools": [_tool(tool) for tool in request.tools],
        **({} if choice == ToolMode.AUTO.value else {"tool_choice": choice}),
        **({} if parallel else {"parallel_tool_calls": False}),
    }


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters or _NO_PARAMETERS),
    }
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> Any:
    if choice.mode is ToolMode.NAMED:
        return {"type": "function", "function": {"name": choice.name}}
    return choice.mode.value


def _format(wanted: OutputFormat | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    if wanted.schema is None:
        return {"response_format": {"type": "json_object"}}
    schema = {
        "name": wanted.name or "answer",
        "schema": wanted.schema,
        **({"strict": True} if wanted.strict else {}),
    }
    return {"response_format": {"type": "json_schema", "json_schema": schema}}
