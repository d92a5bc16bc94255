"""Prompts with directives for the simulator, and what its journal says of the asks they made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.support.serving import Serving

Call = tuple[str, dict[str, Any]]
NATIVE = {"LINGMA_DEMO_SIDES": "tools=native"}


def say(text: str, words: str = "") -> str:
    """Return a prompt that is answered with `text`."""
    return f"[[demo: say={json.dumps(text, ensure_ascii=False)} {words}]]"


def calls(*steps: Sequence[Call], words: str = "") -> str:
    """Return a prompt that makes `steps` of calls, each step at once."""
    listed = [[{"name": name, "arguments": given} for name, given in step] for step in steps]
    quoted = json.dumps(listed).replace("'", "\\'")
    return f"[[demo: calls='{quoted}' {words}]]"


def entries(server: Serving, event: str) -> list[dict[str, Any]]:
    """Return the journal's entries of one kind."""
    return [entry for entry in server.journal_entries() if entry["event"] == event]


def asks(server: Serving) -> int:
    """Return how many asks have reached the simulator."""
    return len(entries(server, "ask-start"))
