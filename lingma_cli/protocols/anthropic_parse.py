"""Anthropic Messages: body to request.

Source: Anthropic API reference, "Create a Message", and what its clients send beside that: system
turns inside `messages`, deferred tools, fields of betas. Clients answer a 400 by leaving features
out, so what is not known is kept or noted, never refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, assert_never

import msgspec

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    OutputFormat,
    Part,
    Role,
    Sampling,
    TextPart,
    Tool,
    ToolChoice,
    ToolMode,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.anthropic_body import (
    Block,
    Body,
    BodyMessage,
    BodyTool,
    Document,
    Image,
    RedactedThinking,
    SearchResult,
    Text,
    Thinking,
    ThinkingConfig,
    ToolAddition,
    ToolReference,
    ToolRemoval,
    ToolResult,
    ToolUse,
    Unknown,
    mark_unknown,
)
from lingma_cli.protocols.fields import convert, decode_object, extras, invalid
from lingma_cli.protocols.parts import by_speaker, tool_output

NAME: Final = "anthropic_messages"

_ROLES: Final = {
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
}
_CHOICES: Final = {"auto": ToolMode.AUTO, "any": ToolMode.REQUIRED, "none": ToolMode.NONE}
_BILLING: Final = "x-anthropic-billing-header:"


def parse(body: bytes) -> ChatRequest:
    """Return the request in `body`, of a message or of a count of its tokens.

    Raises:
        LingmaError: the body is no valid request; `param` holds the path.
    """
    value = decode_object(body)
    shape = convert(mark_unknown(value), Body)
    if shape.thread is not None:
        raise _no_threads()
    if not shape.messages:
        raise invalid("at least one message is needed", param="messages")
    if shape.max_tokens is not None and shape.max_tokens < 0:
        raise invalid("must not be negative", param="max_tokens")
    reader = _Reader()
    messages = tuple(reader.messages(shape))
    tools = tuple(reader.tools(shape.tools or ()))
    output = shape.output_config
    return ChatRequest(
        model=shape.model or "",
        messages=messages,
        tools=tools,
        tool_choice=reader.tool_choice(shape, tools),
        parallel_tool_calls=not (
            shape.tool_choice is not None and shape.tool_choice.disable_parallel_tool_use
        ),
        sampling=Sampling(
            temperature=shape.temperature,
            top_p=shape.top_p,
            max_tokens=shape.max_tokens,
            stop=tuple(shape.stop_sequences or ()),
        ),
        reasoning_effort=output.effort if output is not None else None,
        output_format=reader.output_format(shape),
        stream=bool(shape.stream),
        include_usage=True,
        show_reasoning=reader.show_reasoning(shape.thinking),
        user=shape.metadata.user_id if shape.metadata is not None else None,
        extras={NAME: extras(value, Body)},
        notes=tuple(dict.fromkeys(reader.notes)),
    )


def _no_threads() -> LingmaError:
    # A client that hears this sends the whole conversation again; one that does not sends only
    # its last turn, and the model would never see the others.
    return LingmaError(
        ErrorKind.INVALID_REQUEST,
        "conversations are not kept here, send all messages instead of `thread`",
        param="thread",
        details={"error_code": "thread_unsupported_request", "unsupported": ["thread"]},
    )


class _Reader:
    """Reads the parts of one body; gathers notes, and which tools the turns bring and take."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self._offered: dict[str, bool] = {}

    def messages(self, shape: Body) -> Iterator[Message]:
        """Yield all turns in their order; results of tools are turns of their own."""
        system = self._parts(shape.system, "system")
        if parts := tuple(part for part in system if not _is_billing(part)):
            yield Message(role=Role.SYSTEM, parts=parts)
        for index, item in enumerate(shape.messages):
            yield from self._turns(item, f"messages[{index}]")

    def _turns(self, item: BodyMessage, path: str) -> Iterator[Message]:
        role = _ROLES.get(item.role)
        if role is None:
            raise invalid(f"must be one of {', '.join(_ROLES)}", param=f"{path}.role")
        yield from by_speaker(role, self._parts(item.content, f"{path}.content"))

    def _parts(
        self, content: str | Iterable[Block | ToolReference] | None, path: str
    ) -> Iterator[Part]:
        if isinstance(content, str):
            content = [Text(text=content)]
        for index, block in enumerate(content or ()):
            yield from self._block(block, f"{path}[{index}]")

    def _block(self, block: Block | ToolReference, path: str) -> Iterator[Part]:
        match block:
            case Text() | Image() | Document() | SearchResult() | ToolReference():
                yield from self._content(block, path)
            case ToolUse():
                arguments = msgspec.json.encode(block.input or {}).decode()
                yield ToolUsePart(call_id=block.id, name=block.name, arguments=arguments)
            case ToolResult():
                inner = self._parts(block.content, f"{path}.content")
                yield tool_output(block.tool_use_id, inner, is_error=bool(block.is_error))
            case _:
                self._remark(block, path)

    def _content(
        self, block: Text | Image | Document | SearchResult | ToolReference, path: str
    ) -> Iterator[Part]:
        match block:
            case Text(text=text):
                if text:
                    yield TextPart(text=text)
            case Image(source=source):
                yield MediaPart(kind=MediaKind.IMAGE, reference=source.reference)
            case Document():
                yield from self._document(block, path)
            case SearchResult():
                lines = [block.title, block.source, *(piece.text for piece in block.content)]
                yield TextPart(text="\n".join(filter(None, lines)))
            case ToolReference(tool_name=name):
                self._offered[name] = True
                yield TextPart(text=name)
            case _:
                assert_never(block)

    def _remark(
        self, block: Thinking | RedactedThinking | ToolAddition | ToolRemoval | Unknown, path: str
    ) -> None:
        """Take in a block that says nothing to the model."""
        match block:
            case Thinking() | RedactedThinking():
                self.notes.append(Note.of(NoteCode.REASONING_DROPPED))
            case ToolAddition(tool=tool) | ToolRemoval(tool=tool):
                if tool.name is None:
                    self._drop("a change of tools that names none", path)
                else:
                    self._offered[tool.name] = isinstance(block, ToolAddition)
            case Unknown(kind=kind):
                self._drop(f"unknown content block {kind!r}", path)
            case _:
                assert_never(block)

    def _document(self, block: Document, path: str) -> Iterator[Part]:
        source = block.source
        if isinstance(block.citations, dict) and block.citations.get("enabled"):
            self._ignore(f"{path}.citations")
        for text in filter(None, (block.title, block.context)):
            yield TextPart(text=text)
        if source.type == "content":
            yield from self._parts(source.content, f"{path}.source.content")
        elif source.type == "text":
            yield TextPart(text=source.data or "")
        else:
            yield MediaPart(kind=MediaKind.FILE, reference=source.reference)

    def _drop(self, what: str, path: str) -> None:
        self.notes.append(Note(code=NoteCode.PART_DROPPED, text=f"{what} in {path}"))

    def _ignore(self, path: str) -> None:
        self.notes.append(Note(code=NoteCode.FIELDS_IGNORED, text=f"not forwarded: {path}"))

    def output_format(self, shape: Body) -> OutputFormat | None:
        """Return what the answer's text should be; what cannot be followed is noted."""
        output = shape.output_config
        if output is not None and output.task_budget is not None:
            self._ignore("output_config.task_budget")
        format_ = (output.format if output is not None else None) or shape.output_format
        if format_ is None:
            return None
        if format_.type != "json_schema":
            self._ignore(f"an output format of type {format_.type!r}")
            return None
        return OutputFormat(schema=format_.schema, param="output_config.format.schema")

    def tools(self, items: Iterable[BodyTool]) -> Iterator[Tool]:
        """Yield the client's own tools that are offered at the end of the conversation."""
        names: set[str] = set()
        for index, item in enumerate(items):
            if item.type not in (None, "custom"):
                self._leave_out(NoteCode.TOOL_DROPPED, f"a tool of type {item.type!r}")
            elif item.name is None:
                raise invalid("a tool needs a name", param=f"tools[{index}].name")
            elif item.name in names:
                self._leave_out(NoteCode.TOOL_DROPPED, f"tool {item.name!r}, offered twice")
            elif not self._offered.get(item.name, not item.defer_loading):
                self._leave_out(NoteCode.TOOL_DEFERRED, f"tool {item.name!r}")
            else:
                names.add(item.name)
                if item.input_examples:
                    self._ignore(f"tools[{index}].input_examples")
                yield Tool(
                    name=item.name,
                    description=item.description or "",
                    parameters=item.input_schema or {},
                    strict=item.strict,
                )

    def _leave_out(self, code: NoteCode, what: str) -> None:
        self.notes.append(Note(code=code, text=f"left out: {what}"))

    def tool_choice(self, shape: Body, tools: Iterable[Tool]) -> ToolChoice:
        """Return how the model may call `tools`; a choice that cannot be followed is noted."""
        choice = shape.tool_choice
        if choice is None:
            return ToolChoice()
        if choice.type in _CHOICES:
            return ToolChoice(mode=_CHOICES[choice.type])
        if choice.type == "tool":
            if choice.name is None:
                raise invalid("must name a tool", param="tool_choice.name")
            if choice.name in {tool.name for tool in tools}:
                return ToolChoice(mode=ToolMode.NAMED, name=choice.name)
            if choice.name not in {tool.name for tool in shape.tools or ()}:
                raise invalid("names a tool that is not offered", param="tool_choice.name")
        what = f"a choice of {choice.name or choice.type!r}"
        self.notes.append(Note(code=NoteCode.TOOL_CHOICE_IGNORED, text=what))
        return ToolChoice()

    def show_reasoning(self, thinking: ThinkingConfig | None) -> bool:
        """Tell whether reasoning is wanted in the answer; a budget for it cannot be kept."""
        if thinking is None:
            return False
        if thinking.budget_tokens is not None:
            self._ignore("thinking.budget_tokens")
        return thinking.type != "disabled" and thinking.display != "omitted"


def _is_billing(part: Part) -> bool:
    # quirk: Claude Code's first system block is a line for its vendor's accounts, with a version
    # in it: no word to the model, and the prompt would change with every release.
    return (
        isinstance(part, TextPart)
        and part.text.startswith(_BILLING)
        and "\n" not in part.text.strip()
    )
