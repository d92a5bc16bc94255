"""`round_robin`: one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lingma_cli.routing.loads import eligible
from lingma_cli.routing.policy import NOBODY, Branch, Candidate, Choice, PolicyKind, RoutingRequest


class RoundRobin:
    """Counts requests; the count picks among those that are eligible at the moment."""

    needs_text = False

    def __init__(self) -> None:
        self._count = 0

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:  # noqa: ARG002
        """Choose the next."""
        able = eligible(candidates)
        if not able:
            return NOBODY
        chosen = able[self._count % len(able)]
        self._count += 1
        return Choice(engine=chosen.id, branch=Branch.TURN)


KIND: Final = PolicyKind(
    name="round_robin",
    help="one engine after the other",
    rules="""\
- A counter picks among the eligible engines, so turns shift when one comes or goes.
""",
    build=lambda _options, _clock, _draw: RoundRobin(),
)
