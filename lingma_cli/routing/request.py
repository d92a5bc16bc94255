"""What policies are told of a chat request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from lingma_cli.core.chat import (
    ChatRequest,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.routing.policy import RoutingRequest

ROUTING_KEY_HEADER: Final = "x-smg-routing-key"
TARGET_HEADER: Final = "x-smg-target-worker"


def routing_request(
    request: ChatRequest, headers: Mapping[str, str], *, session: str, with_text: bool
) -> RoutingRequest:
    """Return the routing facts of `request`.

    Args:
        request: as the client sent it, with its whole history.
        headers: names in lower case; only the two routing headers are read.
        session: the conversation's own key, empty when it has none.
        with_text: whether the policy needs the prompt's text.
    """
    first = next((one for one in request.messages if one.role is Role.USER), None)
    return RoutingRequest(
        text=_prompt(request) if with_text else "",
        user=request.user or "",
        system=_joined(one for one in request.messages if one.role is Role.SYSTEM),
        first_turn=_joined([first] if first is not None else []),
        session=session,
        routing_key=headers.get(ROUTING_KEY_HEADER, ""),
        target=headers.get(TARGET_HEADER),
    )


def _prompt(request: ChatRequest) -> str:
    # Tools stand before the turns in the templates of most models.
    lines = [f"tool: {tool.name} {tool.description}" for tool in request.tools]
    for message in request.messages:
        lines.append(f"{message.role.value}:")
        lines += _texts(message.parts)
    return "\n".join(lines)


def _joined(messages: Iterable[Message]) -> str:
    return "\n".join(text for message in messages for text in _texts(message.parts))


def _texts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        match part:
            case TextPart(text=text) | ReasoningPart(text=text):
                yield text
            case ToolUsePart(name=name, arguments=arguments):
                yield f"{name} {arguments}"
            case ToolOutputPart(text=text):
                yield text
            case MediaPart(kind=kind):
                # Inline pictures are long, and no model reads them as text.
                yield f"[{kind.value}]"
