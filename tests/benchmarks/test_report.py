"""The arithmetic of the report."""

from benchmarks.report import Row, Spread, as_json, table

ROW = Row(
    name="paced", unit="µs/chunk", product=(60.0, 90.0, 50.0), base_name="rod", base=(40, 30, 50)
)


def test_spread_is_median_and_extremes() -> None:
    """Order does not matter, and the middle of two is their mean."""
    expected = Spread(median=2.5, low=1, high=9)

    assert expected == Spread.of([9, 3, 2, 1])


def test_ratios_are_taken_within_rounds() -> None:
    """The median of the ratios counts, not the ratio of the medians."""
    expected = Spread(median=1.5, low=1, high=3)

    assert expected == ROW.ratio


def test_a_row_without_base_has_no_ratio() -> None:
    """Absolute rows stay absolute in both forms."""
    row = Row(name="start", unit="s", product=(0.5,))

    assert row.ratio is None
    assert as_json([row])[0]["ratio"] is None
    assert table([row]).splitlines()[1].split() == ["start", "s", "0.50", "(0.50–0.50)"]


def test_table_shows_both_sides_and_the_ratio() -> None:
    """One line per row under a heading."""
    expected = "60.0 (50.0–90.0) 40.0 (30.0–50.0) 1.50 (1.00–3.00) × rod"

    assert expected in " ".join(table([ROW]).splitlines()[1].split())


def test_json_keeps_every_sample() -> None:
    """Nothing is rounded or left out."""
    shown = as_json([ROW])[0]

    assert shown["product"] == (60.0, 90.0, 50.0)
    assert shown["base"] == (40, 30, 50)
    assert shown["ratio"] == {"median": 1.5, "low": 1.0, "high": 3.0}
