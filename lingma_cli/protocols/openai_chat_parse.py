"""OpenAI Chat Completions: body to request.

Source: OpenAI API reference, "Create chat completion". Some editors put Anthropic's blocks and
tools into these bodies, so those are read too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    Thread,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.protocols import custom_tools
from lingma_cli.protocols.fields import convert, decode_object, extras, invalid
from lingma_cli.protocols.openai_chat_body import (
    AllowedBody,
    AllowedTools,
    Body,
    BodyMessage,
    BodyPart,
    BodyTool,
    Function,
    ResponseFormat,
    ToolCall,
)
from lingma_cli.protocols.parts import by_speaker, tool_output

NAME: Final = "openai_chat"
# An empty namespace of `extras`: the request came with `functions`, and wants to be answered so.
LEGACY: Final = "openai_chat.functions"
MAX_CHOICES: Final = 8

_ROLES: Final = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
_MODES: Final = {"auto": ToolMode.AUTO, "none": ToolMode.NONE, "required": ToolMode.REQUIRED}


def parse(body: bytes) -> ChatRequest:
    """Return the request in `body`.

    Raises:
        LingmaError: the body is no valid request; `param` holds the path.
    """
    value = decode_object(body)
    shape = convert(value, Body)
    if not shape.messages:
        raise invalid("at least one message is needed", param="messages")
    notes: list[Note] = []
    is_legacy = bool(shape.functions) and not shape.tools
    tools, choice = _chosen(shape, tuple(_tools(shape, notes)), notes)
    effort = shape.reasoning.effort if shape.reasoning is not None else None
    return ChatRequest(
        model=shape.model or "",
        messages=tuple(_messages(shape.messages, notes)),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=shape.parallel_tool_calls is not False and not is_legacy,
        results_have_ids=not is_legacy,
        sampling=_sampling(shape),
        reasoning_effort=shape.reasoning_effort or effort,
        output_format=_output_format(shape.response_format),
        choices=_choices(shape),
        stream=bool(shape.stream),
        include_usage=bool(shape.stream_options and shape.stream_options.include_usage),
        user=shape.safety_identifier or shape.user,
        extras={NAME: extras(value, Body)} | ({LEGACY: {}} if is_legacy else {}),
        thread=_thread(shape.session_id),
        notes=tuple(notes),
    )


def _choices(shape: Body) -> int:
    wanted = 1 if shape.n is None else shape.n
    if not 1 <= wanted <= MAX_CHOICES:
        raise invalid(f"between 1 and {MAX_CHOICES} choices can be asked for", param="n")
    if shape.session_id and wanted > 1:
        raise invalid("a session goes on with one answer only", param="n")
    return wanted


def _thread(session_id: str | None) -> Thread | None:
    # Ours and not OpenAI's: the stored conversation that goes on. Its id may be left empty.
    return Thread(conversation_id=session_id, store=False) if session_id else None


def _messages(items: Sequence[BodyMessage], notes: list[Note]) -> Iterator[Message]:
    for index, item in enumerate(items):
        path = f"messages[{index}]"
        role = _ROLES.get(item.role)
        if role is None:
            raise invalid(f"must be one of {', '.join(_ROLES)}", param=f"{path}.role")
        parts = list(_parts(item.content, f"{path}.content", notes))
        if role is Role.TOOL:
            call_id = item.tool_call_id or item.name or ""
            yield Message(role=role, parts=(tool_output(call_id, parts),))
            continue
        if item.name:
            notes.append(Note.of(NoteCode.NAME_DROPPED))
        # Anthropic's results stand in user turns.
        yield from by_speaker(role, [*_before(item), *parts, *_after(item, path)])


def _before(item: BodyMessage) -> Iterator[Part]:
    if item.reasoning_content:
        yield ReasoningPart(text=item.reasoning_content)


def _after(item: BodyMessage, path: str) -> Iterator[Part]:
    if item.refusal:
        yield TextPart(text=item.refusal)
    if item.audio is not None:
        yield MediaPart(kind=MediaKind.AUDIO, reference=item.audio.id)
    for index, call in enumerate(item.tool_calls or ()):
        yield _tool_use(call, f"{path}.tool_calls[{index}]")
    if (legacy := item.function_call) is not None:
        # The older form has no ids: call and answer meet by the function's name.
        arguments = legacy.arguments or "{}"
        yield ToolUsePart(call_id=legacy.name, name=legacy.name, arguments=arguments)


def _tool_use(call: ToolCall, path: str) -> ToolUsePart:
    if call.function is not None:
        name, arguments = call.function.name, call.function.arguments or "{}"
    elif call.custom is not None:
        name, arguments = call.custom.name, custom_tools.to_arguments(call.custom.input or "")
    else:
        raise invalid("a call needs a function", param=f"{path}.function")
    return ToolUsePart(call_id=call.id or "", name=name, arguments=arguments)


def _parts(content: str | list[BodyPart] | None, path: str, notes: list[Note]) -> Iterator[Part]:
    if isinstance(content, str):
        if content:
            yield TextPart(text=content)
        return
    for index, part in enumerate(content or ()):
        at = f"{path}[{index}]"
        found = _part(part, at, notes) or _media(part)
        if found is not None:
            yield found
        elif part.type in ("text", "refusal"):
            raise invalid("a text part needs a text", param=f"{at}.text")
        else:
            sentence = f"unknown content part {part.type!r} in {at}"
            notes.append(Note(code=NoteCode.PART_DROPPED, text=sentence))


def _part(part: BodyPart, path: str, notes: list[Note]) -> Part | None:
    match part.type:
        case "tool_use":
            given = {} if part.input is None else part.input
            arguments = msgspec.json.encode(given).decode()
            return ToolUsePart(call_id=part.id or "", name=part.name, arguments=arguments)
        case "tool_result":
            inner = _parts(part.content, f"{path}.content", notes)
            return tool_output(part.tool_use_id, inner, is_error=bool(part.is_error))
        case "thinking" if part.thinking is not None:
            return ReasoningPart(text=part.thinking)
        case _:
            text = part.text if part.text is not None else part.refusal
            return None if text is None else TextPart(text=text)


def _media(part: BodyPart) -> MediaPart | None:
    match part.type:
        case "image_url" | "input_image":
            url = part.image_url
            url = url.get("url") if isinstance(url, dict) else url
            return _media_part(MediaKind.IMAGE, url if isinstance(url, str) else "")
        case "image":
            return _media_part(MediaKind.IMAGE, part.source.reference if part.source else "")
        case "document":
            return _media_part(MediaKind.FILE, part.source.reference if part.source else "")
        case "input_audio":
            audio = part.input_audio
            url = f"data:audio/{audio.format};base64,{audio.data}" if audio is not None else ""
            return _media_part(MediaKind.AUDIO, url)
        case "file":
            file = part.file
            reference = file and (file.file_data or file.file_id or file.filename)
            return _media_part(MediaKind.FILE, reference or "")
        case _:
            return None


def _media_part(kind: MediaKind, reference: str) -> MediaPart:
    return MediaPart(kind=kind, reference=reference)


def _tools(shape: Body, notes: list[Note]) -> Iterator[Tool]:
    offered = [_tool(tool, index) for index, tool in enumerate(shape.tools or ())]
    offered += [_function(function) for function in shape.functions or ()]
    names: set[str] = set()
    for tool in offered:
        if isinstance(tool, Tool) and tool.name not in names:
            names.add(tool.name)
            yield tool
            continue
        sentence = (
            f"tool {tool.name!r} is offered twice"
            if isinstance(tool, Tool)
            else f"tool type {tool!r} is not known"
        )
        notes.append(Note(code=NoteCode.TOOL_DROPPED, text=sentence))


def _tool(tool: BodyTool, index: int) -> Tool | str:
    """Return the tool, or its type when that is no kind of ours."""
    if tool.function is not None:
        return _function(tool.function)
    if (custom := tool.custom) is not None:
        return _freeform(custom.name, custom.description, custom.format)
    if tool.type not in ("function", "custom"):
        return tool.type
    if tool.name is None:
        raise invalid("a tool needs a definition", param=f"tools[{index}].{tool.type}")
    schema = tool.input_schema if tool.input_schema is not None else tool.parameters
    if tool.type == "custom" and schema is None:
        return _freeform(tool.name, tool.description, tool.format)
    flat = Function(
        name=tool.name, description=tool.description, parameters=schema, strict=tool.strict
    )
    return _function(flat)


def _function(function: Function) -> Tool:
    return Tool(
        name=function.name,
        description=function.description or "",
        parameters=function.parameters or {},
        strict=function.strict,
    )


def _freeform(name: str, description: str | None, format_: Mapping[str, Any] | None) -> Tool:
    # Chat nests the grammar once more than Responses does.
    grammar = (format_ or {}).get("grammar")
    return custom_tools.bridged(
        name, description or "", grammar if isinstance(grammar, dict) else format_
    )


def _chosen(
    shape: Body, tools: tuple[Tool, ...], notes: list[Note]
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """Return the tools that may be called, and how freely."""
    param = "tool_choice" if shape.tool_choice is not None else "function_call"
    choice = shape.tool_choice if shape.tool_choice is not None else shape.function_call
    if choice is None:
        return tools, ToolChoice()
    if isinstance(choice, str):
        if choice not in _MODES:
            raise invalid(f"must be one of {', '.join(_MODES)} or an object", param=param)
        return tools, ToolChoice(mode=_MODES[choice])
    match choice.get("type", "function"):
        case "function" | "custom" | "tool":
            return tools, ToolChoice(mode=ToolMode.NAMED, name=_name(choice, param, tools))
        case "allowed_tools":
            allowed = convert({param: choice}, AllowedBody).tool_choice.allowed_tools
            return tuple(_allowed(allowed, tools)), ToolChoice(mode=_MODES[allowed.mode])
        case "any":
            return tools, ToolChoice(mode=ToolMode.REQUIRED)
        case "auto" | "none" as mode:
            return tools, ToolChoice(mode=_MODES[mode])
        case kind:
            sentence = f"a choice of type {kind!r}"
            notes.append(Note(code=NoteCode.TOOL_CHOICE_IGNORED, text=sentence))
            return tools, ToolChoice()


def _allowed(allowed: AllowedTools, tools: tuple[Tool, ...]) -> Iterator[Tool]:
    names = {
        _name(entry, f"tool_choice.allowed_tools.tools[{index}]", tools)
        for index, entry in enumerate(allowed.tools)
        # Hosted tools are dropped from the offer too.
        if entry.get("type", "function") in ("function", "custom")
    }
    return (tool for tool in tools if tool.name in names)


def _name(choice: Mapping[str, Any], path: str, tools: tuple[Tool, ...]) -> str:
    """Return the offered tool's name in a choice: nested as in Chat, or flat."""
    kind = choice.get("type", "function")
    nested = choice.get(kind)
    is_flat = nested is None and ("name" in choice or path == "function_call" or kind == "tool")
    at = f"{path}.name" if is_flat else f"{path}.{kind}.name"
    named = choice if is_flat else nested
    name = named.get("name") if isinstance(named, Mapping) else None
    if not isinstance(name, str):
        raise invalid("must name a tool", param=at)
    if all(tool.name != name for tool in tools):
        raise invalid(f"tool {name!r} is not offered", param=at)
    return name


def _sampling(shape: Body) -> Sampling:
    stop = (shape.stop,) if isinstance(shape.stop, str) else tuple(shape.stop or ())
    return Sampling(
        temperature=shape.temperature,
        top_p=shape.top_p,
        seed=shape.seed,
        presence_penalty=shape.presence_penalty,
        frequency_penalty=shape.frequency_penalty,
        max_tokens=_max_tokens(shape),
        stop=tuple(filter(None, stop)),
    )


def _max_tokens(shape: Body) -> int | None:
    newer = shape.max_completion_tokens
    limit, param = (
        (newer, "max_completion_tokens") if newer is not None else (shape.max_tokens, "max_tokens")
    )
    if limit is not None and limit < 1:
        raise invalid("at least one token is needed", param=param)
    return limit


def _output_format(format_: ResponseFormat | None) -> OutputFormat | None:
    if format_ is None or format_.type == "text":
        return None
    if format_.type == "json_object":
        return OutputFormat()
    if format_.type != "json_schema":
        words = "must be one of text, json_object, json_schema"
        raise invalid(words, param="response_format.type")
    if (wanted := format_.json_schema) is None:
        raise invalid("a schema is needed", param="response_format.json_schema")
    return OutputFormat(schema=wanted.schema, name=wanted.name or "", strict=bool(wanted.strict))
