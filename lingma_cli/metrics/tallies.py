"""Sums over exchanges that have ended: histograms, ends, models, choices.

Labels are bounded, whatever clients send: protocols, ends and branches are closed lists, and of
models at most fifty are told apart. Nothing here is asked for in mid-stream.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from lingma_cli.core.events import FinishReason
from lingma_cli.core.gaps import GAP_BOUNDS
from lingma_cli.core.record import Record
from lingma_cli.errors import ErrorKind

FIRST_TOKEN_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
TOTAL_BOUNDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
MAX_MODELS: Final = 50
OTHER: Final = "other"

_GOOD_ENDS: Final = frozenset(reason.value for reason in FinishReason)


class Histogram:
    """Counts by buckets; the bounds are seconds, and the last bucket has none.

    Attributes:
        seconds: all values added up.
    """

    __slots__ = ("_bounds", "_counts", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.seconds = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.seconds += value

    def add_counts(self, counts: Sequence[int], seconds: float) -> None:
        """Take in what was counted elsewhere by the same bounds."""
        for place, count in enumerate(counts):
            self._counts[place] += count
        self.seconds += seconds

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Yield each bound as text, `+Inf` the last, with the number of values up to it."""
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            so_far += count
            yield bound, so_far

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self._counts)


@dataclass(slots=True, kw_only=True)
class Totals:
    """Plain counters of all exchanges since the start."""

    requests: int = 0
    success: int = 0
    error: int = 0
    cancelled: int = 0
    tokens_estimated: int = 0


class Tallies:
    """What is known of all exchanges since the start.

    Attributes:
        totals: all of them together.
        first_token: seconds from the request to its first event, by protocol.
        chunk_gap: seconds between chunks, by protocol.
        total: seconds of exchanges that reached an engine, by protocol.
        ends: exchanges, by protocol and last word.
        failures: attempts that failed, by error kind.
        models: exchanges that reached an engine, by model.
        tokens: by model and direction (`input`, `output`).
        choices: by policy and branch.
    """

    def __init__(self) -> None:
        self.totals = Totals()
        self.first_token = defaultdict[str, Histogram](partial(Histogram, FIRST_TOKEN_BOUNDS))
        self.chunk_gap = defaultdict[str, Histogram](partial(Histogram, GAP_BOUNDS))
        self.total = defaultdict[str, Histogram](partial(Histogram, TOTAL_BOUNDS))
        self.ends: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.tokens: Counter[tuple[str, str]] = Counter()
        self.choices: Counter[tuple[str, str]] = Counter()

    def observe(self, record: Record) -> None:
        """Take in an exchange that has ended."""
        protocol, timings = record.protocol, record.timings
        self._count(record)
        self.ends[protocol, record.end] += 1
        for attempt in record.attempts:
            if attempt.error:
                self.failures[attempt.error] += 1
        if timings.first_event is not None:
            self.first_token[protocol].add(timings.first_event)
            self.chunk_gap[protocol].add_counts(timings.gaps.counts, timings.gaps.seconds)
        if not record.attempts:
            # Its model is what the client called it, and nobody has looked at that.
            return
        self.total[protocol].add(timings.total)
        model = self._label(record.model)
        self.models[model] += 1
        if record.usage is not None:
            self.tokens[model, "input"] += record.usage.input_tokens
            self.tokens[model, "output"] += record.usage.output_tokens

    def chosen(self, policy: str, branch: str) -> None:
        """Count a policy's choice; both words come from closed lists."""
        self.choices[policy, branch] += 1

    def _count(self, record: Record) -> None:
        totals = self.totals
        totals.requests += 1
        if record.end in _GOOD_ENDS:
            totals.success += 1
        elif record.end == ErrorKind.CANCELLED.value:
            totals.cancelled += 1
        else:
            totals.error += 1
        if record.usage is not None:
            totals.tokens_estimated += record.usage.input_tokens + record.usage.output_tokens

    def _label(self, model: str) -> str:
        return model if model in self.models or len(self.models) < MAX_MODELS else OTHER
