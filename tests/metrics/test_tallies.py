"""Sums over exchanges that have ended."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.events import FinishReason, Usage
from lingma_cli.errors import ErrorKind
from lingma_cli.metrics.tallies import MAX_MODELS, Histogram, Tallies, Totals
from tests.metrics.support import record

USAGE = Usage(input_tokens=5, output_tokens=2)


def test_an_exchange_that_ended_well() -> None:
    """It is counted by all that it is."""
    tallies = Tallies()

    tallies.observe(record(0.3, 0.4, 0.9, total=1.5, usage=USAGE))

    assert tallies.totals == Totals(requests=1, success=1, tokens_estimated=7)
    assert tallies.ends == {("openai_chat", "stop"): 1}
    assert tallies.models == {"m": 1}
    assert tallies.tokens == {("m", "input"): 5, ("m", "output"): 2}
    assert tallies.failures == {}
    seconds = (tallies.first_token, tallies.chunk_gap, tallies.total)
    found = [(each["openai_chat"].count, each["openai_chat"].seconds) for each in seconds]
    assert found == [(1, 0.3), (2, pytest.approx(0.6)), (1, 1.5)]


def test_an_exchange_that_never_got_in() -> None:
    """What its client called a model is no label, and no time was spent on an engine."""
    tallies = Tallies()

    tallies.observe(record(end="overloaded", model="prompt or key", errors=()))

    assert tallies.totals == Totals(requests=1, error=1)
    assert (tallies.models, tallies.first_token, tallies.total) == ({}, {}, {})


def test_attempts_that_failed() -> None:
    """Each is counted by its error, the last one too."""
    tallies = Tallies()

    tallies.observe(record(end="engine_failed", errors=("engine_timeout", "engine_failed")))
    tallies.observe(record(1.0, errors=("engine_timeout", "")))

    assert tallies.failures == {"engine_timeout": 2, "engine_failed": 1}


@pytest.mark.parametrize("end", [*FinishReason, *ErrorKind], ids=lambda end: str(end.value))
def test_every_end_is_one_of_three(end: FinishReason | ErrorKind) -> None:
    """Well, left, or failed."""
    tallies = Tallies()

    tallies.observe(record(end=end.value))

    expected = Totals(requests=1, error=1)
    if isinstance(end, FinishReason):
        expected = Totals(requests=1, success=1)
    elif end is ErrorKind.CANCELLED:
        expected = Totals(requests=1, cancelled=1)
    assert tallies.totals == expected


def test_models_are_bounded() -> None:
    """After fifty, a new one is `other`; a known one stays itself."""
    tallies = Tallies()
    for place in range(MAX_MODELS + 20):
        tallies.observe(record(model=f"m{place}", usage=USAGE))
    tallies.observe(record(model="m0"))

    assert len(tallies.models) == MAX_MODELS + 1
    assert (tallies.models["m0"], tallies.models["other"]) == (2, 20)
    assert len(tallies.tokens) == 2 * (MAX_MODELS + 1)


def test_choices_of_policies() -> None:
    """By policy and branch."""
    tallies = Tallies()
    for branch in ("vacant", "occupied_hit", "occupied_hit"):
        tallies.chosen("manual", branch)

    assert tallies.choices == Counter({("manual", "occupied_hit"): 2, ("manual", "vacant"): 1})


@given(st.lists(st.floats(0, 20), max_size=40), st.lists(st.floats(0, 20), max_size=40))
def test_a_histogram_counts_up(one: list[float], other: list[float]) -> None:
    """Each bucket holds all values up to its bound; counts from elsewhere are as good as values."""
    bounds = (0.5, 1.0, 10.0)
    histogram, elsewhere = Histogram(bounds), Histogram(bounds)
    for value in one:
        histogram.add(value)
    for value in other:
        elsewhere.add(value)
    up_to = [0, *(count for _, count in elsewhere.buckets())]
    counts = [after - before for before, after in pairwise(up_to)]
    histogram.add_counts(counts, elsewhere.seconds)

    values = [*one, *other]
    expected = [(str(bound), sum(value <= bound for value in values)) for bound in bounds]
    assert list(histogram.buckets()) == [*expected, ("+Inf", len(values))]
    assert histogram.count == len(values)
    assert histogram.seconds == pytest.approx(sum(values))
