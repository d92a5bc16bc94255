"""Times for people."""

from __future__ import annotations

import pytest

from lingma_cli.cli.moments import date, when

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("moment", "gap"),
    [
        (NOW + 60 * 86_400, "in 60 days"),
        (NOW - 86_400 * 2, "2 days ago"),
        (NOW - 86_400, "24 hours ago"),
        (NOW + 3600, "in 60 minutes"),
        (NOW - 119, "119 seconds ago"),
        (NOW, "0 seconds ago"),
    ],
)
def test_how_far_away(moment: float, gap: str) -> None:
    """In the largest unit of which there are two."""
    assert when(moment, NOW) == f"{date(moment)} ({gap})"


def test_an_unknown_moment() -> None:
    """It is a dash."""
    assert when(0, NOW) == "-"
