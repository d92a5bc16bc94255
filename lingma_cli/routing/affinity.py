"""`affinity`: the same user, system prompt or conversation stays on one engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lingma_cli.routing.loads import eligible, least_loaded
from lingma_cli.routing.policy import NOBODY, Branch, Candidate, Choice, PolicyKind, RoutingRequest
from lingma_cli.structures.hash_ring import position


class Affinity:
    """Hashes the request's key over all engines, so that one that heals has its keys again."""

    needs_text = False

    def __init__(self) -> None:
        self._count = 0

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:
        """Choose the key's engine, else the least loaded.

        When none is eligible, the choice is one that is not: the caller may try it or give up.
        """
        if not candidates:
            return NOBODY
        able = eligible(candidates)
        if not able:
            chosen = candidates[self._count % len(candidates)]
            self._count += 1
            return Choice(engine=chosen.id, branch=Branch.UNREADY_TURN)
        key = request.user or request.system or request.first_turn
        if key:
            home = candidates[position(key) % len(candidates)]
            if home.eligible:
                return Choice(engine=home.id, branch=Branch.STICKY_HIT)
        return Choice(engine=least_loaded(able).id, branch=Branch.LEAST_LOAD)


KIND: Final = PolicyKind(
    name="affinity",
    help="the same user or system prompt stays on one engine",
    rules="""\
- The key is the `user` field (Anthropic: `metadata.user_id`), else the system prompt, else the
  first user turn; its hash names one of all engines.
- If that one is not eligible, or there is no key, the engine with the fewest requests in flight
  serves, of equals the first.
- If none is eligible, all are tried in turn.
""",
    build=lambda _options, _clock, _draw: Affinity(),
)
