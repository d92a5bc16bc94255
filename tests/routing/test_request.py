"""What policies are told."""

from __future__ import annotations

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
from lingma_cli.routing.policy import RoutingRequest
from lingma_cli.routing.request import routing_request


def _turn(role: Role, *parts: Part | str) -> Message:
    return Message(
        role=role,
        parts=tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts),
    )


CHAT = ChatRequest(
    model="m",
    messages=(
        _turn(Role.SYSTEM, "be kind"),
        _turn(Role.USER, "look:", MediaPart(kind=MediaKind.IMAGE, reference="data:" + "x" * 99)),
        _turn(
            Role.ASSISTANT,
            ReasoningPart(text="hm"),
            ToolUsePart(call_id="1", name="see", arguments="{}"),
        ),
        _turn(Role.TOOL, ToolOutputPart(call_id="1", text="a cat")),
        _turn(Role.SYSTEM, "be brief"),
        _turn(Role.USER, "and now?"),
    ),
    tools=(Tool(name="see", description="looks"),),
    user="ann",
)


def test_everything_is_told() -> None:
    """Tools come first, roles stand before their turns, pictures are only named."""
    headers = {"x-smg-routing-key": "k", "x-smg-target-worker": "1", "authorization": "Bearer s"}

    assert routing_request(CHAT, headers, session="conv", with_text=True) == RoutingRequest(
        text="tool: see looks\nsystem:\nbe kind\nuser:\nlook:\n[image]\nassistant:\nhm\nsee {}\n"
        "tool:\na cat\nsystem:\nbe brief\nuser:\nand now?",
        user="ann",
        system="be kind\nbe brief",
        first_turn="look:\n[image]",
        session="conv",
        routing_key="k",
        target="1",
    )


def test_text_is_made_on_demand() -> None:
    """A policy that needs none does not pay for it."""
    assert routing_request(CHAT, {}, session="", with_text=False).text == ""


def test_what_is_not_there_is_empty() -> None:
    """A bare request has no key of any kind, and a header that is empty is still a target."""
    bare = ChatRequest(model="m", messages=())

    assert routing_request(bare, {}, session="", with_text=True) == RoutingRequest()
    target = routing_request(bare, {"x-smg-target-worker": ""}, session="", with_text=True).target
    assert target == ""


def test_a_turn_more_only_adds_text() -> None:
    """The prompt of a conversation begins with the prompt of its turn before."""
    longer = ChatRequest(
        model="m",
        messages=(*CHAT.messages, _turn(Role.ASSISTANT, "a dog"), _turn(Role.USER, "ah")),
        tools=CHAT.tools,
    )
    before = routing_request(CHAT, {}, session="", with_text=True).text

    assert routing_request(longer, {}, session="", with_text=True).text.startswith(before)
