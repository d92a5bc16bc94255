"""Times as a person reads them: a date, and how far away it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0))


def when(moment: float, now: float) -> str:
    """Return the local time of `moment` and how far away it is, `-` for 0; seconds since 1970."""
    if not moment:
        return "-"
    gap = _gap(abs(moment - now))
    return f"{date(moment)} ({f'in {gap}' if moment > now else f'{gap} ago'})"


def date(moment: float) -> str:
    """Return the local time of `moment`, to the minute."""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def duration(seconds: int) -> str:
    """Return a length of time, `2h 5m`; `seconds` is at least 0."""
    minutes, hours = seconds // 60, seconds // 3600
    if not minutes:
        return f"{seconds}s"
    return f"{hours}h {minutes % 60}m" if hours else f"{minutes}m {seconds % 60}s"


def _gap(seconds: float) -> str:
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
