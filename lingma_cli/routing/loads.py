"""What several policies ask of loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import Candidate


def eligible(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return those that may be chosen, in their order."""
    return [candidate for candidate in candidates if candidate.eligible]


def least_loaded(candidates: Sequence[Candidate]) -> Candidate:
    """Return the one with the fewest requests in flight, of equals the first."""
    return min(candidates, key=lambda candidate: candidate.load)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """When loads count as uneven: both thresholds are exceeded."""

    absolute: float
    relative: float

    @classmethod
    def of(cls, options: PolicyOptions) -> Balance:
        """Take the thresholds from the options."""
        return cls(absolute=options.balance_abs_threshold, relative=options.balance_rel_threshold)

    def is_lost(self, loads: Sequence[int]) -> bool:
        """Tell whether the highest load is too far above the lowest."""
        low, high = min(loads), max(loads)
        return high - low > self.absolute and high > low * self.relative
