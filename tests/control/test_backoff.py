"""How often an engine that is good for nothing is started."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.control.backoff import Backoff


def _starts(lives: list[float], jitters: list[float], until: float = 3600.0) -> list[float]:
    """Return when an engine with such lives is started; the last life and jitter go on."""
    now, starts = 0.0, list[float]()
    draws = iter([*jitters])
    backoff = Backoff(lambda: now, lambda: next(draws, jitters[-1]))
    while now < until:
        backoff.started()
        starts.append(now)
        now += lives[min(len(starts), len(lives)) - 1]
        now += backoff.pause()
    return starts


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_pauses_double(jitter: float) -> None:
    """From half a second, shortened by half at most."""
    factor = 0.5 + 0.5 * jitter
    pauses = [later - earlier for earlier, later in pairwise(_starts([0.0], [jitter]))]

    assert pauses[:7] == pytest.approx([factor * 0.5 * 2**n for n in range(7)])
    assert all(pause == pytest.approx(60.0) for pause in pauses[8:])


@given(
    st.lists(st.floats(0, 90), min_size=1, max_size=12),
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
)
def test_there_is_no_storm(lives: list[float], jitters: list[float]) -> None:
    """At most twelve starts in the first minute, and at most one in each minute after it."""
    starts = _starts(lives, jitters)
    later = [start for start in starts if start >= 60.0]

    assert sum(start < 60.0 for start in starts) <= 12
    assert all(after - before >= 60.0 - 1e-6 for before, after in pairwise(later))


def test_a_reset_begins_anew() -> None:
    """An answer, or a person, makes the next pause a first one."""
    now = 0.0
    backoff = Backoff(lambda: now, lambda: 1.0)
    for _ in range(5):
        backoff.started()
        now += backoff.pause()

    backoff.reset()
    backoff.started()

    assert backoff.pause() == 0.5
