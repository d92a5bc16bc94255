"""What the binary pushes during a chat, typed, and what its requests must be answered with.

Source: Lingma local protocol, "Pushes during a chat", "Tools" and "Server to client requests".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
Json = bytes | msgspec.Raw

# Steps, titles and notices may look as they like; only these make an answer, and silence in any
# other does not end one.
ANSWER_PUSHES: Final = frozenset({"chat/answer", "chat/think", "chat/finish", "chat/filterTimeout"})
REFUSAL: Final = "this client runs no tools"


class ChatPush(msgspec.Struct):
    """The union of the fields of `chat/*` pushes that matter here."""

    requestId: str | None = None  # noqa: N815 - the protocol's spelling, here and below
    sessionId: str | None = None  # noqa: N815
    text: str | None = None
    # quirk: some builds put the piece in `content`.
    content: str | None = None
    overwrite: bool | None = None
    isFiltered: bool | None = None  # noqa: N815
    step: str | None = None
    statusCode: int | None = None  # noqa: N815
    reason: str | None = None
    fullAnswer: str | None = None  # noqa: N815
    message: str | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")

    # Not of the wire: fields that were there and could not be read.
    unreadable: frozenset[str] = frozenset()

    @property
    def is_damaged(self) -> bool:
        """Whether a piece of the answer came and is lost."""
        return not self.unreadable.isdisjoint({"text", "content"})

    @property
    def piece(self) -> str:
        """The text of this push, wherever it stands."""
        return self.text or self.content or ""


class ToolPush(msgspec.Struct):
    """`tool/call/sync` and `tool/invoke`."""

    requestId: str | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815
    toolCallId: str | None = None  # noqa: N815
    toolCallStatus: str | None = None  # noqa: N815
    name: str | None = None
    # `async` is a Python keyword.
    asynchronous: bool = msgspec.field(default=False, name="async")


class _ConfigurationItems(msgspec.Struct):
    items: list[Any] | None = None


def _lenient(shape: type[T]) -> Callable[[Json], T]:
    """Return a decoder of `shape` that passes over fields of a wrong type.

    A typed decoder does nearly all the work; only what it refuses is read field by field, so one
    odd field of one push costs that field and nothing else.
    """
    decode = msgspec.json.Decoder(shape, strict=False).decode
    fields = msgspec.structs.fields(shape)

    def read(params: Json) -> T:
        try:
            return decode(params)
        except msgspec.ValidationError:
            loose = msgspec.json.decode(params)
        kept: dict[str, Any] = {}
        unreadable: set[str] = set()
        for field in fields if isinstance(loose, dict) else ():
            if field.encode_name in loose:
                try:
                    value = loose[field.encode_name]
                    kept[field.name] = msgspec.convert(value, field.type, strict=False)
                except msgspec.ValidationError:
                    unreadable.add(field.name)
        if shape is ChatPush:
            kept["unreadable"] = frozenset(unreadable)
        return shape(**kept)

    return read


chat_push: Final = _lenient(ChatPush)
tool_push: Final = _lenient(ToolPush)
_configuration_items: Final = _lenient(_ConfigurationItems)


def refused_tool(push: ToolPush) -> dict[str, Any]:
    """Return the five fields that say a tool did not run."""
    return {
        "toolCallId": push.toolCallId,
        "name": push.name,
        "success": False,
        "errorMessage": REFUSAL,
        "result": {},
    }


def reply_to(method: str, params: Json) -> Any:
    """Return the result that the binary expects for its request; `null` for most."""
    match method:
        case "workspace/configuration":
            return [None] * len(_configuration_items(params).items or ())
        case "workspace/applyEdit":
            return {"applied": False}
        case "tool/invoke":
            push = tool_push(params)
            return None if push.asynchronous else refused_tool(push)
        case _:
            return None
