"""How long an answer paused between its chunks, counted while it streams.

One exchange counts for itself, in plain numbers: what it costs a chunk is a subtraction and a look
into a short table. Whoever wants sums over exchanges adds them up when an exchange has ended.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

GAP_BOUNDS: Final = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
)
"""Seconds; the last bucket, above them all, has no bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """The pauses of one answer: how many in each bucket, and their seconds added up."""

    counts: tuple[int, ...] = (0,) * (len(GAP_BOUNDS) + 1)
    seconds: float = 0.0


class GapCounter:
    """Counts the pauses between marks."""

    __slots__ = ("_counts", "_first", "_last")

    def __init__(self) -> None:
        self._counts = [0] * (len(GAP_BOUNDS) + 1)
        self._first: float | None = None
        self._last = 0.0

    def mark(self, now: float) -> None:
        """Note a chunk; `now` is seconds, never going back."""
        if self._first is None:
            self._first = now
        else:
            self._counts[bisect_left(GAP_BOUNDS, now - self._last)] += 1
        self._last = now

    def gaps(self) -> Gaps:
        """Return the pauses so far."""
        seconds = 0.0 if self._first is None else self._last - self._first
        return Gaps(counts=tuple(self._counts), seconds=seconds)
