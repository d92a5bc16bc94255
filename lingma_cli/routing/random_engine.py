"""`random`: any engine, each as likely as the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lingma_cli.routing.loads import eligible
from lingma_cli.routing.policy import (
    NOBODY,
    Branch,
    Candidate,
    Choice,
    Draw,
    PolicyKind,
    RoutingRequest,
)


class Random:
    """Draws."""

    needs_text = False

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:  # noqa: ARG002
        """Choose any."""
        able = eligible(candidates)
        if not able:
            return NOBODY
        return Choice(engine=able[self._draw(len(able))].id, branch=Branch.DRAWN)


KIND: Final = PolicyKind(
    name="random",
    help="any engine",
    rules="""\
- Every eligible engine is equally likely.
""",
    build=lambda _options, _clock, draw: Random(draw),
)
