"""`cache_aware`: a prompt goes where most of its beginning has been already."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from lingma_cli.routing.loads import Balance, eligible, least_loaded
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import (
    NOBODY,
    Branch,
    Candidate,
    Choice,
    Clock,
    PolicyKind,
    RoutingRequest,
)
from lingma_cli.structures.radix import RadixTree

# About what a node takes in memory besides its text; without it short prompts would cost nothing.
_NODE_COST: Final = 512


class CacheAware:
    """Keeps a tree of the prompts that each engine was sent: a guess at what it has cached."""

    needs_text = True

    def __init__(self, options: PolicyOptions, clock: Clock) -> None:
        self._threshold = options.cache_threshold
        self._balance = Balance.of(options)
        self._limit = options.max_tree_size
        self._interval = options.eviction_interval_secs or math.inf
        self._clock = clock
        self._next_eviction = clock() + self._interval
        self._tree = RadixTree(_NODE_COST)
        self._known: dict[str, int] = {}

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:
        """Choose the owner of the longest known beginning, else the least loaded."""
        self._follow(candidates)
        self._evict()
        able = eligible(candidates)
        if not able:
            return NOBODY
        choice = self._choice(candidates, able, request.text)
        if choice.engine is not None and choice.branch is not Branch.OWNER_AWAY:
            self._tree.insert(request.text, choice.engine)
            # Between two evictions an engine's part may grow, but not without a bound.
            if self._tree.size(choice.engine) > 2 * self._limit:
                self._tree.evict(2 * self._limit)
        return choice

    def _choice(
        self, candidates: Sequence[Candidate], able: Sequence[Candidate], text: str
    ) -> Choice:
        if self._balance.is_lost([candidate.load for candidate in candidates]):
            return Choice(engine=least_loaded(able).id, branch=Branch.IMBALANCED)
        match = self._tree.match(text)
        if not text or match.length / len(text) <= self._threshold:
            return Choice(engine=least_loaded(able).id, branch=Branch.LEAST_LOAD)
        if any(candidate.id == match.owner for candidate in able):
            return Choice(engine=match.owner, branch=Branch.PREFIX_HIT)
        return Choice(engine=able[0].id, branch=Branch.OWNER_AWAY)

    def _follow(self, candidates: Sequence[Candidate]) -> None:
        """Forget the prompts of engines that have left or started anew."""
        now = {candidate.id: candidate.generation for candidate in candidates}
        if now != self._known:
            for engine, generation in self._known.items():
                if now.get(engine) != generation:
                    self._tree.remove(engine)
            self._known = now

    def _evict(self) -> None:
        now = self._clock()
        if now >= self._next_eviction:
            self._next_eviction = now + self._interval
            self._tree.evict(self._limit)


KIND: Final = PolicyKind(
    name="cache_aware",
    help="a prompt goes to the engine that has seen most of its beginning",
    rules=f"""\
- Loads are uneven when the highest exceeds the lowest by more than `balance_abs_threshold` and
  is more than `balance_rel_threshold` times as high. Then, the engine with the fewest requests
  in flight serves, of equals the first.
- Else, if more than `cache_threshold` of the prompt is a known beginning, the engine that had
  it last serves; if it is not eligible, the first that is does, once.
- Else the engine with the fewest requests in flight serves, of equals the first.
- An engine's prompts are forgotten when it leaves or restarts, and the oldest ones, every
  `eviction_interval_secs`, when they exceed `max_tree_size` characters, or twice that at any
  moment. A piece of text counts {_NODE_COST} characters more than it has.
""",
    options=(
        "cache_threshold",
        "balance_abs_threshold",
        "balance_rel_threshold",
        "max_tree_size",
        "eviction_interval_secs",
    ),
    build=lambda options, clock, _draw: CacheAware(options, clock),
)
