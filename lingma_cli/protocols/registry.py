"""The protocols that are served: one file and one line each."""

from __future__ import annotations

from typing import Final

from lingma_cli.protocols import openai_chat
from lingma_cli.protocols.wire import WireProtocol

PROTOCOLS: Final[tuple[WireProtocol, ...]] = (openai_chat.PROTOCOL,)
