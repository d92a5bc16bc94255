"""The protocols that are served: one file and one line each."""

from __future__ import annotations

from typing import Final

from lingma_cli.protocols import anthropic_messages, openai_chat, openai_responses
from lingma_cli.protocols.wire import WireProtocol

PROTOCOLS: Final[tuple[WireProtocol, ...]] = (
    openai_chat.PROTOCOL,
    openai_responses.PROTOCOL,
    anthropic_messages.PROTOCOL,
)
