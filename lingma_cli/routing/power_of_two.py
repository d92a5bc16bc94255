"""`power_of_two`: the less loaded of two drawn engines.

Source: M. Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS 12
(2001).
"""

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


class PowerOfTwo:
    """Draws two and compares them."""

    needs_text = False

    def __init__(self, draw: Draw) -> None:
        self._draw = draw

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:  # noqa: ARG002
        """Choose the less loaded of two, of equals the first drawn."""
        able = eligible(candidates)
        if not able:
            return NOBODY
        if len(able) == 1:
            return Choice(engine=able[0].id, branch=Branch.LOWER_LOAD)
        at = self._draw(len(able))
        first = able[at]
        second = able[(at + 1 + self._draw(len(able) - 1)) % len(able)]
        chosen = first if first.load <= second.load else second
        return Choice(engine=chosen.id, branch=Branch.LOWER_LOAD)


KIND: Final = PolicyKind(
    name="power_of_two",
    help="the less loaded of two drawn engines",
    rules="""\
- Two different eligible engines are drawn; the one with fewer requests in flight serves, of
  equals the first drawn.
""",
    build=lambda _options, _clock, draw: PowerOfTwo(draw),
)
