"""The rest of an engine whose account has used up its quota. Pure.

It ends by itself: after the pause the service asked for, else after a minute that doubles each time
up to an hour. An answer that was asked for since ends it too, and forgets the doubling; so does a
person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lingma_cli.errors import LingmaError

# Beyond 2 ** 20 times the first pause nothing changes any more.
_MOST_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CooldownOptions:
    """Seconds of the first rest, and of the longest one, whatever a service asks for."""

    first: float = 60.0
    longest: float = 3600.0


class Cooldown:
    """Tells whether an engine rests, how long, and why.

    Args:
        options: see `CooldownOptions`.
        clock: seconds, never going back.

    Attributes:
        error: what it rests for, kept until it is thawed.
    """

    def __init__(self, options: CooldownOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._until = 0.0
        self._times = 0
        # Requests that are out: those from before the last rest began, and those since.
        self._before = 0
        self._since = 0
        self._begun = 0
        self.error: LingmaError | None = None

    @property
    def rest(self) -> float:
        """Seconds that are left, 0 when it does not rest."""
        return max(0.0, self._until - self._clock()) if self._times else 0.0

    @property
    def is_cold(self) -> bool:
        """Whether it rests."""
        return self.rest > 0

    def freeze(self, error: LingmaError) -> None:
        """Begin a rest; while it rests, one more such error makes it no longer."""
        if self.is_cold:
            return
        options = self._options
        doubled = options.first * 2 ** min(self._times, _MOST_DOUBLINGS)
        pause = max(doubled, error.retry_after or 0.0)
        self._times += 1
        self._until = self._clock() + min(pause, options.longest)
        # The one that was raised leads to all that its request has in its hands.
        self.error = error.copy()
        self._before, self._since = self._before + self._since, 0
        self._begun += 1

    def enter(self) -> int:
        """Note a request that is put; return what `leave` wants to know of it."""
        self._since += 1
        return self._begun

    def leave(self, begun: int) -> None:
        """Note that a request is over."""
        if begun == self._begun:
            self._since -= 1
        else:
            self._before -= 1

    def succeeded(self) -> None:
        """Note an answer, before its request leaves.

        It does not say which it answers. While a request is out that was put when there was quota,
        it may be that one, and ends no rest; the next one will.
        """
        if not self._before:
            self.thaw()

    def thaw(self) -> None:
        """End the rest, and forget that there was one."""
        self._until, self._times, self.error = 0.0, 0, None
