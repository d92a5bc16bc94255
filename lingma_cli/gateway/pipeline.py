"""What a request and its answer go through between protocol and engine, once for all. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from lingma_cli.core.chat import (
    ChatRequest,
    Message,
    Part,
    Role,
    TextPart,
    ToolOutputPart,
    ToolRoute,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.gateway.exchange import Stage
from lingma_cli.transforms import output_format, tool_prompt
from lingma_cli.transforms.hidden_reasoning import HiddenReasoning
from lingma_cli.transforms.single_call import SingleCall
from lingma_cli.transforms.stop_sequences import StopSequences
from lingma_cli.transforms.token_limit import TokenLimit
from lingma_cli.transforms.tool_history import repaired
from lingma_cli.transforms.tool_policy import permitted


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """`route` is `auto`, `native`, `prompt` or `off`; `allowed` names the tools, empty for all."""

    route: str = "auto"
    allowed: Collection[str] = ()


def admitted(request: ChatRequest, options: ToolOptions) -> ChatRequest:
    """Return `request` as it may go to an engine.

    Raises:
        LingmaError: it demands what cannot be: a tool, or an output format that is none.
    """
    request = permitted(request, off=options.route == "off", allowed=options.allowed)
    if request.output_format is not None:
        output_format.check_schema(request.output_format)
    messages, notes = repaired(request.messages)
    return replace(request, messages=messages, notes=(*request.notes, *notes))


def for_engine(request: ChatRequest, *, native: bool = False, firm: bool = False) -> ChatRequest:
    """Return what the engine is given: instructions of ours added, tools written out.

    What that costs is noted.

    Args:
        request: on its route.
        native: the engine takes output formats itself.
        firm: put the demand for a call in firmer words.
    """
    system: list[str] = []
    notes: list[Note] = []
    messages = request.messages
    if is_described(request):
        parallel = request.parallel_tool_calls
        choice = request.tool_choice
        offer = tool_prompt.describe(request.tools, choice, parallel=parallel, firm=firm)
        system.append(offer.text)
        notes += [Note.of(NoteCode.TOOLS_SHORTENED)] if offer.shortened else []
        messages = tuple(_written_out(messages))
    if request.output_format is not None and not native:
        system.append(output_format.instruction(request.output_format))
    added = (Message(role=Role.SYSTEM, parts=(TextPart(text=text),)) for text in system)
    return replace(request, messages=(*added, *messages), notes=(*request.notes, *notes))


def is_described(request: ChatRequest) -> bool:
    """Tell whether the tools stand in the prompt, so that calls may stand in the text."""
    return bool(request.tools) and request.tool_route is not ToolRoute.NATIVE


def stages(request: ChatRequest, *, native: bool = False) -> list[Stage]:
    """Return what the answer's events go through after its tools have been read.

    Args:
        request: on its route.
        native: the engine takes stop sequences, token limits and output formats itself.
    """
    chosen: list[Stage] = []
    if not request.parallel_tool_calls:
        chosen.append(SingleCall())
    if not request.show_reasoning:
        chosen.append(HiddenReasoning())
    if native:
        return chosen
    if request.sampling.stop:
        chosen.append(StopSequences(request.sampling.stop))
    if request.sampling.max_tokens is not None:
        chosen.append(TokenLimit(request.sampling.max_tokens))
    if request.output_format is not None:
        chosen.append(output_format.JsonAnswer(request.output_format))
    return chosen


def _written_out(messages: tuple[Message, ...]) -> Iterator[Message]:
    """Yield turns whose calls and results are text, in the form that the prompt asks for."""
    names = {
        part.call_id: part.name
        for message in messages
        for part in message.parts
        if isinstance(part, ToolUsePart)
    }
    for message in messages:
        parts = tuple(part for old in message.parts for part in _as_text(old, names))
        yield replace(message, parts=parts)


def _as_text(part: Part, names: dict[str, str]) -> Iterator[Part]:
    match part:
        case ToolUsePart(name=name, arguments=arguments):
            yield TextPart(text=tool_prompt.written_call(name, arguments))
        case ToolOutputPart(call_id=call_id, text=text, media=media, is_error=is_error):
            name = names.get(call_id, "")
            yield TextPart(text=tool_prompt.written_result(call_id, name, text, is_error))
            yield from media
        case _:
            yield part
