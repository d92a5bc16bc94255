"""The pauses of an answer, counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.gaps import GAP_BOUNDS, GapCounter, Gaps


def test_pauses_lie_between_marks() -> None:
    """One mark is no pause; a pause on a bound is in the bucket below it."""
    counter = GapCounter()
    assert counter.gaps() == Gaps()
    counter.mark(100.0)
    assert counter.gaps() == Gaps()

    for now in (100.0, 101.0, 101.75, 200.0):
        counter.mark(now)

    gaps = counter.gaps()
    assert gaps.seconds == 100.0
    counted = dict(zip((*GAP_BOUNDS, None), gaps.counts, strict=True))
    assert {bound: count for bound, count in counted.items() if count} == {
        GAP_BOUNDS[0]: 1,
        1.0: 2,
        None: 1,
    }


@given(st.lists(st.floats(0, 1e6), min_size=1).map(sorted))
def test_every_pause_is_counted_once(marks: list[float]) -> None:
    """Whenever chunks come."""
    counter = GapCounter()
    for mark in marks:
        counter.mark(mark)

    assert sum(counter.gaps().counts) == len(marks) - 1
    assert counter.gaps().seconds == marks[-1] - marks[0]
