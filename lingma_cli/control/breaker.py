"""The circuit breaker of one engine: who fails again and again is left alone for a while. Pure.

    CLOSED ── so many failures in a row, within a window ──▶ OPEN ── after a pause ──▶ HALF_OPEN
      ▲                                                       ▲                          │ │
      │                                                       └──────── a failure ───────┘ │
      └───────────────────────── so many successes, one probe at a time ───────────────────┘

A success is an answer that has come to its end, a failure one that the engine owes, be it that it
broke off in the middle; what a client or an account did wrong is neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class BreakerState(Enum):
    """Whether requests get through: all, none, or one at a time."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOptions:
    """When it opens and closes.

    Attributes:
        failures: in a row, until it opens; 0 for never.
        window: seconds within which these must lie.
        pause: seconds that it stays open.
        successes: in a row, until it closes.
    """

    failures: int = 10
    window: float = 120.0
    pause: float = 60.0
    successes: int = 3


class Breaker:
    """Counts what becomes of an engine's requests.

    Args:
        options: see `BreakerOptions`.
        clock: seconds, never going back.
    """

    def __init__(self, options: BreakerOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._failed: deque[float] = deque(maxlen=max(options.failures, 1))
        self._opened: float | None = None
        self._successes = 0
        self._probes = 0
        self._probe: int | None = None

    @property
    def state(self) -> BreakerState:
        """What it does now."""
        if self._opened is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.rest > 0 else BreakerState.HALF_OPEN

    @property
    def rest(self) -> float:
        """Seconds until a probe may pass, 0 when it need not wait."""
        if self._opened is None:
            return 0.0
        return max(0.0, self._opened + self._options.pause - self._clock())

    @property
    def failures(self) -> int:
        """Failures in a row, as far as they count."""
        return len(self._failed)

    def admits(self) -> bool:
        """Tell whether a request may pass now."""
        match self.state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return False
            case BreakerState.HALF_OPEN:
                return self._probe is None

    def relent(self, after: float) -> None:
        """End the pause early: nobody else could serve, and a refusal helps nobody.

        Args:
            after: seconds that it must have lasted at least.
        """
        if self._opened is not None and self._clock() >= self._opened + after:
            self._opened = min(self._opened, self._clock() - self._options.pause)

    def enter(self) -> int | None:
        """Let a request pass that was admitted; return the probe that it is, if it is one."""
        if self.state is BreakerState.CLOSED:
            return None
        self._probes += 1
        self._probe = self._probes
        return self._probe

    def leave(self, probe: int | None) -> None:
        """Let the next probe pass, whatever has become of this one."""
        if probe is not None and probe == self._probe:
            self._probe = None

    def begun(self) -> None:
        """Let the next probe pass: an answer has begun, and it may be a long one."""
        if self.state is BreakerState.HALF_OPEN:
            self._probe = None

    def succeeded(self) -> None:
        """Count an answer that has come to its end."""
        match self.state:
            case BreakerState.CLOSED:
                self._failed.clear()
            case BreakerState.OPEN:
                # An answer from before; the pause is kept.
                pass
            case BreakerState.HALF_OPEN:
                self._successes += 1
                # Its lease may last: an ask can wait for its client's tools.
                self._probe = None
                if self._successes >= self._options.successes:
                    self.reset()

    def failed(self) -> None:
        """Count a failure of the engine."""
        now, options = self._clock(), self._options
        if not options.failures or self.state is BreakerState.OPEN:
            return
        self._failed.append(now)
        while self._failed[0] < now - options.window:
            self._failed.popleft()
        is_probing = self._opened is not None
        if is_probing or len(self._failed) >= options.failures:
            self._opened, self._successes, self._probe = now, 0, None

    def reset(self) -> None:
        """Begin anew, as after a restart of the engine."""
        self._failed.clear()
        self._opened, self._successes, self._probe = None, 0, None
