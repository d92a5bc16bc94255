"""What a storm consists of: how many requests and kills, and what each client does."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from tests.support.demo_words import calls

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
MESSAGES: Final = "/v1/messages"
PROTOCOLS: Final = (CHAT, RESPONSES, MESSAGES)
TOOL: Final = "note"
_PLAIN_MODEL: Final = "org_auto"
# How tools reach a model is learnt for each model, so the two routes have one each.
_TEXT_MODEL: Final = "dashscope_qwen3_coder"
# The name that asks for agent mode.
_AGENT_MODEL: Final = "agent"
MODELS: Final = (_PLAIN_MODEL, _TEXT_MODEL)


class Kind(Enum):
    """What a client does."""

    PLAIN = "asks once"
    TALK = "asks twice in one conversation"
    TEXT_TOOLS = "runs tools that the model calls in its text"
    NATIVE_TOOLS = "runs tools that the model calls natively, and waits for"
    AGENT_TOOLS = "the same in agent mode"
    FORGETS = "takes native calls and never comes back with results"
    LEAVES = "hangs up before the end"


_WEIGHTS: Final = {
    Kind.PLAIN: 10,
    Kind.TALK: 2,
    Kind.TEXT_TOOLS: 2,
    Kind.NATIVE_TOOLS: 3,
    Kind.AGENT_TOOLS: 2,
    Kind.FORGETS: 1,
    Kind.LEAVES: 3,
}
_TOOL_WORDS: Final = {
    Kind.TEXT_TOOLS: "via=text",
    Kind.NATIVE_TOOLS: "via=native",
    Kind.AGENT_TOOLS: "via=native",
    Kind.FORGETS: "via=native",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """How much happens.

    Attributes:
        requests: HTTP requests that are begun, at least.
        kills: of engines, spread evenly over the requests.
        seed: of everything that is drawn.
        clients: requests under way at a time.
        lingma: simulated Lingma engines.
        servers: OpenAI-compatible servers.
    """

    requests: int = 1_000
    kills: int = 100
    seed: int = 1
    clients: int = 16
    lingma: int = 3
    servers: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What one client wants; times are seconds.

    Attributes:
        mark: stands in all it says and hears.
        chunks: pieces of the last answer.
        delay: before each of them.
        first: before the first.
        steps: turns of calls before that.
        pause: what the client takes for a tool.
        leaves: when it hangs up, `None` for never.
    """

    mark: str
    kind: Kind
    path: str
    stream: bool
    chunks: int
    delay: float
    first: float
    steps: int = 0
    pause: float = 0.0
    leaves: float | None = None

    @property
    def model(self) -> str:
        """The model it asks for."""
        names = {Kind.AGENT_TOOLS: _AGENT_MODEL, Kind.TEXT_TOOLS: _TEXT_MODEL}
        return names.get(self.kind, _PLAIN_MODEL)

    @property
    def has_tools(self) -> bool:
        """Whether it offers one."""
        return self.kind in _TOOL_WORDS

    def answer(self, turn: int = 0) -> str:
        """Return the text that ends a conversation, or the given turn of a talk."""
        return f"{self.mark}.{turn}: " + "and so on, " * 8 + "done"

    def call_mark(self, step: int) -> str:
        """Return what tells the call of one step."""
        return f"{self.mark}-call-{step}"

    def prompt(self, turn: int = 0) -> str:
        """Return the question, with what the engine is to do."""
        pace = f"chunks={self.chunks} delay={self.delay} first={self.first}"
        words = f"say={json.dumps(self.answer(turn))} {pace}"
        if not self.has_tools:
            return f"{self.mark} [[demo: {words}]]"
        wanted: list[list[tuple[str, dict[str, Any]]]] = [
            [(TOOL, {"mark": self.call_mark(step)})] for step in range(self.steps)
        ]
        return f"{self.mark} " + calls(*wanted, words=f"{words} {_TOOL_WORDS[self.kind]}")


def errands(storm: Storm) -> Iterator[Errand]:
    """Yield clients without end: the protocols in turn, every other one streaming."""
    rng = random.Random(storm.seed)
    kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    for number in itertools.count():
        kind = rng.choices(kinds, weights)[0]
        yield Errand(
            mark=f"m{number:06d}",
            kind=kind,
            path=PROTOCOLS[number % len(PROTOCOLS)],
            stream=number // len(PROTOCOLS) % 2 == 0,
            chunks=rng.randint(5, 25),
            delay=round(rng.uniform(0.002, 0.02), 4),
            first=rng.choice((0.0, 0.05, 0.2)),
            steps=rng.randint(1, 2) if kind in _TOOL_WORDS else 0,
            pause=round(rng.uniform(0.0, 0.1), 4),
            leaves=round(rng.uniform(0.01, 0.3), 4) if kind is Kind.LEAVES else None,
        )
