"""Conversations written as lines: `u:hi` is a user's turn, `a:…` an answer, `s:…` instructions."""

from __future__ import annotations

from typing import Final

from lingma_cli.core.chat import Message, Role, TextPart

_ROLES: Final = {"s": Role.SYSTEM, "u": Role.USER, "a": Role.ASSISTANT}


def turns(*lines: str) -> tuple[Message, ...]:
    """Return the messages of a conversation."""
    return tuple(Message(role=_ROLES[line[0]], parts=(TextPart(text=line[2:]),)) for line in lines)
