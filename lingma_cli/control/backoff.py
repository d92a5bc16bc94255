"""When an engine that has died is started again: ever more slowly, and never in a storm. Pure.

Pauses double from half a second to a minute, with jitter. That makes at most nine starts in the
first minute; later ones begin at least a minute apart, however short the jitter makes a pause and
however long a life was. What somebody else runs costs nothing to try, so its pauses are shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
LONGEST_PAUSE_OF_OTHERS: Final = 10.0
_MINUTE: Final = 60.0


class Backoff:
    """The starts of one engine since it has answered a request.

    Args:
        clock: seconds, never going back.
        jitter: returns a factor between 0 and 1; a pause keeps at least its half.
        longest: seconds that a pause grows to.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        longest: float = LONGEST_PAUSE,
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._longest = longest
        self._first: float | None = None
        self._last = 0.0
        self._failures = 0

    def started(self) -> None:
        """Note a start that takes place now."""
        self._last = self._clock()
        if self._first is None:
            self._first = self._last

    def reset(self) -> None:
        """Forget what was: it has answered, or a person wants it."""
        self._first, self._failures = None, 0

    def pause(self) -> float:
        """Return the seconds until the next start, after one more that was good for nothing."""
        now = self._clock()
        pause: float = min(self._longest, _FIRST_PAUSE * 2**self._failures)
        # Beyond the longest pause more doublings change nothing.
        self._failures += pause < self._longest
        due = now + pause * (0.5 + 0.5 * self._jitter())
        if self._first is not None and self._last >= self._first + _MINUTE:
            due = max(due, self._last + self._longest)
        return due - now
