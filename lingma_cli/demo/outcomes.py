"""What came of tool calls, and what the model says about it. Pure."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from lingma_cli.demo import directives

_QUOTE_LIMIT = 300

Ending = Literal["result", "upstream", "refused", "failed", "overdue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a native call; `text` is the result, or why there is none."""

    name: str
    ending: Ending
    text: str = ""
    result: object = None

    @property
    def is_good(self) -> bool:
        """Whether the tool did its work."""
        return self.ending in {"result", "upstream"}

    @property
    def sentence(self) -> str:
        """What the model says about it."""
        match self.ending:
            case "result":
                return f"{self.name} said: {quote(self.text)}"
            case "upstream":
                return f"{self.name} ran upstream."
            case "refused":
                return f"{self.name} was refused: {quote(self.text)}"
            case "failed":
                return f"{self.name} failed: {quote(self.text)}"
            case "overdue":
                return f"{self.name} gave no result in time."


def quote(text: str) -> str:
    """Quote a result in one short line, without the directives it may hold."""
    clean = directives.strip(text)
    if len(clean) > _QUOTE_LIMIT:
        clean = f"{clean[:_QUOTE_LIMIT]} … ({len(clean)} characters in all)"
    return json.dumps(clean, ensure_ascii=False)


def summary(sentences: Iterable[str]) -> str:
    """Say the last word of an answer whose tools have run."""
    said = " ".join(sentences)
    return f"The tools are done. {said}" if said else "I go on without the tools."
