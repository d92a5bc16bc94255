"""What a stream of each protocol has to look like, told apart from the code that writes it.

`chat`, `messages` and `responses` take every byte of one stream and return what is wrong with it.
They keep the client's view: no name and no order in here comes from our encoders.

Sources: the WHATWG HTML standard, "server-sent events"; OpenAI API reference, "Chat Completions:
streaming" and "Responses: streaming events"; Anthropic API reference, "Streaming Messages"; and
what clients were seen to break on.
"""

from __future__ import annotations

from tests.support.wire_grammar.chat import chat
from tests.support.wire_grammar.messages import messages
from tests.support.wire_grammar.responses import responses
from tests.support.wire_grammar.rules import Rule, Violation

__all__ = ["Rule", "Violation", "chat", "messages", "responses"]
