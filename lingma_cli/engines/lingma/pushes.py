"""What the binary pushes during a chat, typed, and what its requests must be answered with.

Source: Lingma local protocol, "Pushes during a chat", "Tools" and "Server to client requests".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

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

    @property
    def piece(self) -> str:
        """The text of this push, wherever it stands."""
        return self.text if self.text is not None else self.content or ""


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
    items: list[Any] = []


chat_push: Final = msgspec.json.Decoder(ChatPush, strict=False).decode
tool_push: Final = msgspec.json.Decoder(ToolPush, strict=False).decode
_configuration_items: Final = msgspec.json.Decoder(_ConfigurationItems, strict=False).decode


def refused_tool(push: ToolPush) -> dict[str, Any]:
    """Return the five fields that say a tool did not run."""
    return {
        "toolCallId": push.toolCallId,
        "name": push.name,
        "success": False,
        "errorMessage": REFUSAL,
        "result": {},
    }


def reply_to(method: str, params: msgspec.Raw) -> Any:
    """Return the result that the binary expects for its request; `null` for most."""
    match method:
        case "workspace/configuration":
            return [None] * len(_configuration_items(params).items)
        case "workspace/applyEdit":
            return {"applied": False}
        case "tool/invoke":
            push = tool_push(params)
            return None if push.asynchronous else refused_tool(push)
        case _:
            return None
