"""The items of a Responses conversation: into messages, into storage, and continued from it.

Source: OpenAI API reference, "Create a model response" (`input`) and "List input items". An item
of a type that is not known is left out with a note and never refused. Calls, texts and reasoning
that follow each other are one turn of the assistant, outputs that follow each other one of tools.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import msgspec

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.protocols import custom_tools
from lingma_cli.protocols.fields import convert, invalid
from lingma_cli.protocols.openai_responses_body import (
    BodyPart,
    CustomCallItem,
    FunctionCallItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
    ResponsesThread,
)
from lingma_cli.protocols.parts import tool_output

Item = Mapping[str, Any]

_ROLES: Final[Mapping[str, Role]] = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
}
_MEDIA: Final[Mapping[str, MediaKind]] = {
    "input_image": MediaKind.IMAGE,
    "computer_screenshot": MediaKind.IMAGE,
    "input_file": MediaKind.FILE,
    "input_audio": MediaKind.AUDIO,
}
_TEXTS: Final = ("input_text", "output_text", "text", "summary_text", "refusal")
# Calls of tools that OpenAI built in but the client ran: the key holds what was to be done.
_BUILT_IN: Final[Mapping[str, tuple[str, str]]] = {
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
}
_ID_PREFIXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "message": "msg_",
        "function_call": "fc_",
        "function_call_output": "fco_",
        "custom_tool_call": "ctc_",
        "custom_tool_call_output": "ctco_",
        "reasoning": "rs_",
    }
)
_WITH_STATUS: Final = ("message", "function_call", "function_call_output")


# storage


def normalised(items: str | Item | Sequence[Item] | None) -> tuple[dict[str, Any], ...]:
    """Return the body's `input` as a list of items, each with a `type`; contents become lists."""
    if items is None:
        return ()
    if isinstance(items, str):
        items = {"role": "user", "content": items}
    return tuple(map(_normal, [items] if isinstance(items, Mapping) else items))


def _normal(item: Item) -> dict[str, Any]:
    kind = item.get("type")
    if kind is None:
        # A bare id is a reference, whose type OpenAI lets clients leave out.
        bare = "id" in item and "role" not in item and "content" not in item
        kind = "item_reference" if bare else "message"
    content = item.get("content")
    if kind != "message" or not isinstance(content, str):
        return {**item, "type": kind}
    part = {"type": "input_text", "text": content}
    if item.get("role") == "assistant":
        part["type"] = "output_text"
    return {**item, "type": kind, "content": [part]}


def stored_items(items: Iterable[Item], new_id: Callable[[], str]) -> tuple[dict[str, Any], ...]:
    """Return items as they are stored: each with an `id`, and a `status` where its type has one.

    Args:
        items: of a `Thread`.
        new_id: makes the part of an id that follows its prefix.
    """
    return tuple(_stored(item, new_id) for item in items)


def _stored(item: Item, new_id: Callable[[], str]) -> dict[str, Any]:
    kind = str(item.get("type"))
    own_id = item.get("id")
    if not isinstance(own_id, str) or not own_id:
        own_id = f"{_ID_PREFIXES.get(kind, 'item_')}{new_id()}"
    stored = {**item, "id": own_id}
    if kind in _WITH_STATUS and not stored.get("status"):
        stored["status"] = "completed"
    for name in ("content", "output"):
        if isinstance(parts := stored.get(name), list):
            stored[name] = [_stored_part(part) for part in parts]
    return stored


def _stored_part(part: Any) -> Any:
    """Return a part with the fields that clients may leave out and readers count on."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "input_image":
        return {"detail": "auto", **part}
    if kind == "output_text":
        return {"annotations": [], "logprobs": [], **part}
    return part


# continuation


def references(request: ChatRequest) -> tuple[str, ...]:
    """Return the ids of the stored items that this turn's input refers to."""
    items = request.thread.items if request.thread is not None else ()
    ids = (item.get("id") for item in items if item.get("type") == "item_reference")
    return tuple(dict.fromkeys(one for one in ids if isinstance(one, str)))


def continued(
    request: ChatRequest,
    history: Sequence[Item],
    referenced: Mapping[str, Item] = MappingProxyType({}),
) -> ChatRequest:
    """Return `request` with a stored conversation between its instructions and its input.

    A reference to an item of the history is where that item already stands; one to another item
    becomes that item, here and in the thread. Instructions of earlier requests do not carry over.

    Args:
        request: as it was parsed.
        history: earlier input and output items, oldest first.
        referenced: items of `references` that are not in the history, by id.
    """
    thread = request.thread
    if not isinstance(thread, ResponsesThread):
        return request
    known = {item.get("id") for item in history}
    own = [
        dict(referenced.get(item.get("id", ""), item)) if _refers(item) else item
        for item in thread.items
        if not (_refers(item) and item.get("id") in known)
    ]
    before = read_items(thread.items, request.tools)
    now = Reading(request.tools)
    now.add(history, "history")
    now.add(own, "input")
    kept = [note for note in request.notes if note not in before.notes]
    return replace(
        request,
        messages=(*instructed(thread.echo.get("instructions")), *now.messages),
        thread=replace(thread, items=tuple(own)),
        notes=(*kept, *now.notes),
    )


def _refers(item: Item) -> bool:
    return item.get("type") == "item_reference" and isinstance(item.get("id"), str)


def instructed(instructions: str | None) -> tuple[Message, ...]:
    """Return the system turn that `instructions` stand for, if any."""
    if not instructions:
        return ()
    return (Message(role=Role.SYSTEM, parts=(TextPart(text=instructions),)),)


# messages


def read_items(items: Sequence[Item], tools: Sequence[Tool]) -> Reading:
    """Return what this turn's input says.

    Raises:
        LingmaError: an item of a known type is malformed.
    """
    reading = Reading(tools)
    reading.add(items, "input")
    return reading


class Reading:
    """Items on their way into messages.

    Args:
        tools: what this request offers; calls in items carry the clients' names of tools.
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._names = {(tool.namespace, tool.client_name or tool.name): tool.name for tool in tools}
        self._turns: list[tuple[Role, list[Part]]] = []
        self.notes: list[Note] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        """The turns so far."""
        return tuple(Message(role=role, parts=tuple(parts)) for role, parts in self._turns)

    def add(self, items: Sequence[Item], where: str) -> None:
        """Add items in their order; `where` begins the paths in errors and notes."""
        for index, item in enumerate(items):
            self._add(item, f"{where}[{index}]")

    def _add(self, item: Item, path: str) -> None:
        match item.get("type"):
            case "message":
                self._message(item, path)
            case "reasoning":
                self._reasoning(item, path)
            case "function_call":
                call = convert(item, FunctionCallItem, path)
                self._call(call, call.arguments)
            case "custom_tool_call":
                custom = convert(item, CustomCallItem, path)
                self._call(custom, custom_tools.to_arguments(custom.input))
            case "function_call_output" | "custom_tool_call_output":
                self._output(convert(item, OutputItem, path), path)
            case "additional_tools":
                # They are offered with the others; see `openai_responses_tools`.
                pass
            case "item_reference":
                self._drop(f"{path} refers to an item that is not known")
            case kind:
                self._built_in(str(kind), item, path)

    def _message(self, item: Item, path: str) -> None:
        message = convert(item, MessageItem, path)
        role = _ROLES.get(message.role)
        if role is None:
            raise invalid(f"must be one of {', '.join(_ROLES)}", param=f"{path}.role")
        content = message.content or ()
        if isinstance(content, str):
            content = [BodyPart(type="text", text=content)]
        self._say(role, *self._parts(content, f"{path}.content"))

    def _say(self, role: Role, *parts: Part) -> None:
        """Add a turn; the assistant's and the tools' go on when nobody else spoke."""
        goes_on = role in (Role.ASSISTANT, Role.TOOL)
        if goes_on and self._turns and self._turns[-1][0] is role:
            self._turns[-1][1].extend(parts)
        else:
            self._turns.append((role, list(parts)))

    def _parts(self, content: Iterable[BodyPart], path: str) -> Iterator[Part]:
        for index, part in enumerate(content):
            text = part.text if part.text is not None else part.refusal
            if part.type in _MEDIA:
                yield MediaPart(kind=_MEDIA[part.type], reference=_reference(part))
            elif part.type == "reasoning_text":
                yield ReasoningPart(text=text or "")
            elif part.type not in _TEXTS:
                self._drop(f"unknown content part {part.type!r} in {path}[{index}]")
            elif text is None:
                raise invalid("a text part needs a text", param=f"{path}[{index}].text")
            else:
                yield TextPart(text=text)

    def _reasoning(self, item: Item, path: str) -> None:
        reasoning = convert(item, ReasoningItem, path)
        pieces = reasoning.content or reasoning.summary or ()
        if text := "\n\n".join(piece.text for piece in pieces if piece.text):
            self._say(Role.ASSISTANT, ReasoningPart(text=text))
        elif item.get("encrypted_content"):
            sentence = f"{path}: reasoning that only its maker can read"
            self.notes.append(Note(code=NoteCode.REASONING_DROPPED, text=sentence))

    def _call(self, call: FunctionCallItem | CustomCallItem, arguments: str) -> None:
        name = self._names.get((call.namespace, call.name), call.name)
        part = ToolUsePart(call_id=call.call_id, name=name, arguments=arguments)
        self._say(Role.ASSISTANT, part)

    def _output(self, output: OutputItem, path: str) -> None:
        content = output.output or ()
        if isinstance(content, str):
            content = [BodyPart(type="text", text=content)]
        parts = self._parts(content, f"{path}.output")
        self._say(Role.TOOL, tool_output(output.call_id or "", parts))

    def _built_in(self, kind: str, item: Item, path: str) -> None:
        """Add a call of a built-in tool as one of a function; leave out what is none."""
        call_id = item.get("call_id")
        if not isinstance(call_id, str):
            self._drop(f"{path} of type {kind!r} has no meaning here")
        elif kind in _BUILT_IN:
            name, key = _BUILT_IN[kind]
            call = ToolUsePart(call_id=call_id, name=name, arguments=_json(item.get(key, {})))
            self._say(Role.ASSISTANT, call)
        elif kind.removesuffix("_output") in _BUILT_IN:
            said = item.get("output")
            text = said if isinstance(said, str) else _json(said)
            self._say(Role.TOOL, ToolOutputPart(call_id=call_id, text=text))
        else:
            self._drop(f"{path} of type {kind!r} has no meaning here")

    def _drop(self, text: str) -> None:
        self.notes.append(Note(code=NoteCode.PART_DROPPED, text=text))


def _reference(part: BodyPart) -> str:
    url = part.image_url
    if isinstance(url, dict):
        url = url.get("url")
    candidates = (url, part.file_url, part.file_data, part.file_id)
    return next((one for one in candidates if isinstance(one, str)), "")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
