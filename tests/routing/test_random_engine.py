"""Any engine."""

from __future__ import annotations

from collections import Counter

import pytest

from lingma_cli.routing.policy import RoutingRequest
from tests.support.routing import drawing, engines, policy, seeded, told

R = RoutingRequest()


@pytest.mark.parametrize(
    ("line", "draws", "expected"),
    [
        ("a b c", (2,), "c drawn"),
        ("a! b c", (0,), "b drawn"),
        ("a b! c", (1,), "c drawn"),
        ("a", (0,), "a drawn"),
        ("a!", (), "- no_healthy_workers"),
        ("", (), "- no_healthy_workers"),
    ],
)
def test_draws(line: str, draws: tuple[int, ...], expected: str) -> None:
    """The number drawn counts the eligible engines."""
    assert expected == told(policy("random", draw=drawing(*draws)).choose(engines(line), R))


def test_everybody_is_equally_likely() -> None:
    """Of a thousand requests each of four engines gets about a quarter."""
    one = policy("random", draw=seeded())
    counts = Counter(one.choose(engines("a:9 b c d"), R).engine for _ in range(1000))

    assert sorted(map(str, counts)) == ["a", "b", "c", "d"]
    assert all(180 < count < 320 for count in counts.values())
