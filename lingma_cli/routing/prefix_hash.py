"""`prefix_hash`: prompts with the same beginning go to one engine, unless it is overloaded.

Source: V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent hashing with bounded loads", SODA
2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lingma_cli.routing.loads import eligible, least_loaded
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import NOBODY, Branch, Candidate, Choice, PolicyKind, RoutingRequest
from lingma_cli.structures.hash_ring import HashRing

_CHARACTERS_PER_TOKEN: Final = 4


class PrefixHash:
    """Looks the beginning of the prompt up in a hash ring."""

    needs_text = True

    def __init__(self, options: PolicyOptions) -> None:
        self._length = options.prefix_token_count * _CHARACTERS_PER_TOKEN
        self._factor = options.load_factor
        self._ring = HashRing()

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:
        """Choose the prefix's engine, else the least loaded."""
        self._ring.update(candidate.id for candidate in candidates)
        able = {candidate.id: candidate for candidate in eligible(candidates)}
        if not able:
            return NOBODY
        if not request.text:
            # Embeddings have none; to refuse them would leave them without any engine.
            return Choice(engine=least_loaded(list(able.values())).id, branch=Branch.NO_TEXT)
        prefix = request.text[: self._length]
        home = next(able[member] for member in self._ring.walk(prefix) if member in able)
        total = sum(candidate.load for candidate in able.values())
        # The least loaded is never above the average, so it is always within the bound.
        if home.load <= (total + 1) / len(able) * self._factor:
            return Choice(engine=home.id, branch=Branch.RING_HIT)
        return Choice(engine=least_loaded(list(able.values())).id, branch=Branch.LOAD_WALK)


KIND: Final = PolicyKind(
    name="prefix_hash",
    help="prompts with the same beginning go to one engine, unless it is overloaded",
    rules="""\
- The first `prefix_token_count` tokens of the prompt, at four characters each, are the key; the
  first eligible engine clockwise on the hash ring is its home. A request without text, such as
  one for embeddings, goes to the engine with the fewest requests in flight.
- The home serves while its load is at most `load_factor` times the average, counting the new
  request; else the engine with the fewest requests in flight does, of equals the first.
""",
    options=("prefix_token_count", "load_factor"),
    build=lambda options, _clock, _draw: PrefixHash(options),
)
