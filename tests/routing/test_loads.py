"""Loads."""

from __future__ import annotations

import pytest

from lingma_cli.routing.loads import Balance, eligible, least_loaded
from lingma_cli.routing.options import PolicyOptions
from tests.support.routing import engines


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        ((64, 0), False),
        ((65, 0), True),
        ((0, 65), True),
        # Far apart, but not by half.
        ((200, 135), False),
        ((300, 199), True),
        ((198, 132), False),
        ((7,), False),
        ((9, 9, 9), False),
    ],
)
def test_both_thresholds_must_be_exceeded(loads: tuple[int, ...], *, expected: bool) -> None:
    """A difference of more than 64, and a ratio of more than 1.5."""
    assert Balance.of(PolicyOptions()).is_lost(loads) is expected


def test_the_thresholds_are_obeyed() -> None:
    """Other values draw the line elsewhere."""
    options = PolicyOptions(balance_abs_threshold=1, balance_rel_threshold=3.0)

    assert Balance.of(options).is_lost((2, 0))
    assert not Balance.of(options).is_lost((1, 0))
    assert not Balance.of(options).is_lost((9, 3))
    assert Balance.of(options).is_lost((10, 3))


def test_the_least_loaded_is_the_first_of_equals() -> None:
    """Places settle ties."""
    assert least_loaded(engines("a:2 b:1 c:1")).id == "b"


def test_eligible_keeps_the_order() -> None:
    """Only those that may be chosen remain."""
    assert [one.id for one in eligible(engines("c a! b"))] == ["c", "b"]
