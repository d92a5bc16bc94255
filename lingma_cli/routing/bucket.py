"""`bucket`: each engine serves prompts of a band of lengths."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from lingma_cli.routing.loads import Balance, eligible
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import (
    NOBODY,
    Branch,
    Candidate,
    Choice,
    Clock,
    Draw,
    PolicyKind,
    RoutingRequest,
)

_FIRST_SPLIT: Final = 4096
_MAX_WINDOW: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    at: float
    length: int
    engine: str


class Bucket:
    """Bands by place in the list of candidates; a window over the last seconds moves them."""

    needs_text = True

    def __init__(self, options: PolicyOptions, clock: Clock, draw: Draw) -> None:
        self._balance = Balance.of(options)
        self._interval = options.bucket_adjust_interval_secs
        self._clock = clock
        self._draw = draw
        self._next_adjustment = clock() + self._interval
        self._engines: tuple[str, ...] = ()
        self._bounds: list[int] = []
        self._target = 0.0
        self._window: deque[_Sent] = deque()
        self._characters: Counter[str] = Counter()

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:
        """Choose the band's engine, or the one with the fewest characters of late."""
        now = self._clock()
        self._follow(tuple(candidate.id for candidate in candidates))
        self._slide(now)
        self._adjust(now)
        able = eligible(candidates)
        if not able:
            return NOBODY
        length = len(request.text)
        choice = self._choice(candidates, able, length)
        if choice.engine is not None:
            self._window.append(_Sent(at=now, length=length, engine=choice.engine))
            self._characters[choice.engine] += length
        return choice

    def _choice(
        self, candidates: Sequence[Candidate], able: Sequence[Candidate], length: int
    ) -> Choice:
        sent = [self._characters[candidate.id] for candidate in able]
        if self._balance.is_lost(sent):
            return Choice(engine=able[sent.index(min(sent))].id, branch=Branch.IMBALANCED)
        home = candidates[bisect_left(self._bounds, length)]
        if home.eligible:
            return Choice(engine=home.id, branch=Branch.BAND_HIT)
        return Choice(engine=able[self._draw(len(able))].id, branch=Branch.BAND_MISS)

    def _follow(self, engines: tuple[str, ...]) -> None:
        """Split anew when engines have come or gone."""
        if engines == self._engines:
            return
        self._engines = engines
        count = len(engines)
        self._bounds = [place * _FIRST_SPLIT // count - 1 for place in range(1, count)]
        self._target = 0.0

    def _slide(self, now: float) -> None:
        while self._window and (
            now - self._window[0].at >= self._interval or len(self._window) >= _MAX_WINDOW
        ):
            gone = self._window.popleft()
            self._characters[gone.engine] -= gone.length
            if not self._characters[gone.engine]:
                del self._characters[gone.engine]

    def _adjust(self, now: float) -> None:
        if now < self._next_adjustment:
            return
        self._next_adjustment = now + self._interval
        total = sum(sent.length for sent in self._window)
        if not total or not self._engines:
            return
        target = total / len(self._engines)
        if self._target / 2 <= target <= self._target * 2:
            return
        self._target = target
        lengths = (sent.length for sent in self._window)
        self._bounds = _cut(lengths, target)[: len(self._engines) - 1]


def _cut(lengths: Iterable[int], target: float) -> list[int]:
    """Return the upper bounds of bands that hold about `target` characters each."""
    bounds: list[int] = []
    held = 0
    for length in sorted(lengths):
        held += length
        if held >= target:
            bounds.append(length)
            held = 0
    return bounds


KIND: Final = PolicyKind(
    name="bucket",
    help="each engine serves prompts of a band of lengths, short ones the first",
    rules=f"""\
- At first, 0 to {_FIRST_SPLIT} characters are split evenly; the last band has no end.
- If the band's engine is not eligible, any eligible engine serves.
- When the characters sent to the engines within the last `bucket_adjust_interval_secs` are
  uneven, by `balance_abs_threshold` and `balance_rel_threshold`, the engine with the fewest
  serves, of equals the first. High thresholds keep the bands strict.
- At the same interval the bands are cut so that each holds an equal share of those characters,
  unless that share is within a factor of two of the one before.
""",
    options=("bucket_adjust_interval_secs", "balance_abs_threshold", "balance_rel_threshold"),
    build=Bucket,
)
