"""`consistent_hashing`: a key's engine on a hash ring, without any memory."""

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
from lingma_cli.structures.hash_ring import HashRing

_MISS: Final = Choice(engine=None, branch=Branch.TARGET_MISS)


class ConsistentHashing:
    """Walks the ring from the request's key to the first engine that is eligible."""

    needs_text = False

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._ring = HashRing()

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:
        """Choose the target that the client names, else the key's engine, else any."""
        self._ring.update(candidate.id for candidate in candidates)
        able = eligible(candidates)
        if not able:
            return NOBODY
        if request.target is not None:
            return _target(candidates, request.target)
        # The client's credentials are no key: one person has one, and all would go to one engine.
        key = request.routing_key or request.session or request.user or request.first_turn
        if not key:
            chosen = able[self._draw(len(able))]
            return Choice(engine=chosen.id, branch=Branch.RANDOM_FALLBACK)
        ids = {candidate.id for candidate in able}
        engine = next(member for member in self._ring.walk(key) if member in ids)
        return Choice(engine=engine, branch=Branch.KEY_HIT)


def _target(candidates: Sequence[Candidate], target: str) -> Choice:
    # Nine digits are more engines than anybody has; longer ones cost time to read.
    if not (target.isascii() and target.isdigit() and len(target) < 10):
        return _MISS
    index = int(target)
    if index >= len(candidates) or not candidates[index].eligible:
        return _MISS
    return Choice(engine=candidates[index].id, branch=Branch.TARGET_HIT)


KIND: Final = PolicyKind(
    name="consistent_hashing",
    help="a key's engine on a hash ring; several servers agree without talking",
    rules="""\
- The header `x-smg-target-worker` names an engine by its place, from 0 on; one that does not
  exist or is not eligible fails the request.
- The key is the header `x-smg-routing-key`, else the session key, else the `user` field, else
  the first user turn; without any of them, any eligible engine serves.
- Each engine stands at 150 points of the ring; the first eligible one clockwise from the key
  serves. When one of N engines changes, about one key in N moves.
""",
    build=lambda _options, _clock, draw: ConsistentHashing(draw),
)
