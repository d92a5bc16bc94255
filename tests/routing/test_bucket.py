"""Bands of lengths."""

from __future__ import annotations

import pytest

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import RoutingRequest
from tests.support.routing import Watch, answers, drawing, engines, policy, told

# Bands alone: nothing counts as uneven.
STRICT = PolicyOptions(balance_abs_threshold=10**9)


def _lengths(*lengths: int) -> list[RoutingRequest]:
    return [RoutingRequest(text="x" * length) for length in lengths]


@pytest.mark.parametrize(
    ("line", "lengths", "expected"),
    [
        ("a b c", (0, 1364, 1365, 2729, 2730, 10**6), "aabbcc"),
        ("a b", (2047, 2048, 5000), "abb"),
        ("a b c d", (1023, 1024, 2047, 2048, 3071, 3072), "abbccd"),
        ("a", (0, 10**6), "aa"),
    ],
)
def test_the_first_bands(line: str, lengths: tuple[int, ...], expected: str) -> None:
    """4,096 characters are split evenly, and the last band is open."""
    chosen = answers(policy("bucket", options=STRICT), line, _lengths(*lengths))

    assert [f"{name} band_hit" for name in expected] == chosen


@pytest.mark.parametrize(
    ("line", "length", "draws", "expected"),
    [
        ("a! b c", 5, (1,), "c band_miss"),
        ("a b c!", 5000, (0,), "a band_miss"),
        ("a! b c!", 5, (0,), "b band_miss"),
        ("a!", 5, (), "- no_healthy_workers"),
        ("", 5, (), "- no_healthy_workers"),
    ],
)
def test_a_sick_band_goes_to_anybody(
    line: str, length: int, draws: tuple[int, ...], expected: str
) -> None:
    """A band is no reason to choose an engine that cannot serve."""
    one = policy("bucket", options=STRICT, draw=drawing(*draws))

    assert answers(one, line, _lengths(length)) == [expected]


def test_uneven_characters_go_to_the_idle_one() -> None:
    """More than 64 characters apart, by default: the fewest of late serves, of equals the first."""
    chosen = answers(policy("bucket"), "a b c", _lengths(64, 1, 10, 10, 5000))

    assert chosen == ["a band_hit", "a band_hit", "b imbalanced", "c imbalanced", "c band_hit"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (PolicyOptions(balance_abs_threshold=99), "b imbalanced"),
        (PolicyOptions(balance_abs_threshold=100), "a band_hit"),
        (PolicyOptions(balance_abs_threshold=99, balance_rel_threshold=2), "a band_hit"),
    ],
)
def test_thresholds_are_obeyed(options: PolicyOptions, expected: str) -> None:
    """200 characters here and 100 there."""
    one = policy("bucket", options=options, draw=drawing(0))
    answers(one, "a! b", _lengths(100))
    answers(one, "a b!", _lengths(200))

    assert answers(one, "a b", _lengths(5)) == [expected]


@pytest.mark.parametrize(
    ("interval", "waited", "expected"),
    [(5, 4.9, "b imbalanced"), (5, 5, "a band_hit"), (60, 59, "b imbalanced")],
)
def test_the_window_slides(interval: float, waited: float, expected: str) -> None:
    """What was sent before the interval does not weigh any more."""
    watch = Watch()
    options = PolicyOptions(bucket_adjust_interval_secs=interval)
    one = policy("bucket", options=options, clock=watch)
    answers(one, "a b", _lengths(100))
    watch.now += waited

    assert answers(one, "a b", _lengths(100)) == [expected]


def _adjusted(*, first: tuple[int, ...], then: tuple[int, ...] = ()) -> list[str]:
    """Fill the window, let the bands be cut once or twice, and probe them up to 30 characters."""
    watch = Watch()
    one = policy("bucket", options=STRICT, clock=watch)
    for lengths in filter(None, (first, then)):
        watch.now += 4.9
        answers(one, "a b c", _lengths(*lengths))
        watch.now += 0.1
        one.choose(engines("a b c"), RoutingRequest())
    found = answers(one, "a b c", _lengths(*range(31)))
    return [found_.split()[0] for found_ in found]


def test_bands_are_cut_by_the_characters_of_late() -> None:
    """The worked case: 5, 10, 15, 20, 24, 26 on three engines give 0…20, 21…26 and the rest."""
    assert _adjusted(first=(26, 5, 24, 10, 20, 15)) == ["a"] * 21 + ["b"] * 6 + ["c"] * 4


@pytest.mark.parametrize(
    ("then", "is_cut"),
    [((6, 6, 6, 14, 14, 14), False), ((1, 2, 3, 4), True), ((29,) * 3 + (28,) * 5, True)],
)
def test_small_changes_move_no_band(then: tuple[int, ...], *, is_cut: bool) -> None:
    """Bands are cut anew when the share is more than twice, or less than half, the last one."""
    before = _adjusted(first=(26, 5, 24, 10, 20, 15))

    assert (_adjusted(first=(26, 5, 24, 10, 20, 15), then=then) != before) is is_cut


def test_silence_moves_no_band() -> None:
    """With nothing in the window there is nothing to cut by."""
    watch = Watch()
    one = policy("bucket", options=STRICT, clock=watch)
    answers(one, "a b", _lengths(2000))
    watch.now += 3600

    assert answers(one, "a b", _lengths(2047, 2048)) == ["a band_hit", "b band_hit"]


def test_coming_and_going_splits_anew() -> None:
    """At once, and over all engines: no engine is left without a band until the next cut."""
    one = policy("bucket", options=STRICT)
    lines = ["a b c", "a c", "a c d e"]

    chosen = [answers(one, line, _lengths(0, 1500, 5000)) for line in lines]

    assert [[told_[0] for told_ in each] for each in chosen] == [
        ["a", "b", "c"],
        ["a", "a", "c"],
        ["a", "c", "e"],
    ]


def test_a_new_split_is_adjusted_soon() -> None:
    """After a change the bands are cut by the next window, though its share is as before."""
    watch = Watch()
    one = policy("bucket", options=STRICT, clock=watch)
    for line in ("a b", "a c"):
        answers(one, line, _lengths(10, 10, 20, 20))
        watch.now += 4.9
        answers(one, line, _lengths(10, 10, 20, 20))
        watch.now += 0.1

        assert answers(one, line, _lengths(20, 21)) == ["a band_hit", f"{line[2]} band_hit"]


def test_a_lone_engine_needs_no_band() -> None:
    """Whatever is sent, it serves."""
    one = policy("bucket")

    assert told(one.choose(engines("a:99"), RoutingRequest(text="x" * 9999))) == "a band_hit"
