"""The less loaded of two."""

from __future__ import annotations

import pytest

from lingma_cli.routing.policy import RoutingRequest
from tests.support.routing import drawing, engines, never, policy, seeded, told

R = RoutingRequest()


@pytest.mark.parametrize(
    ("line", "draws", "expected"),
    [
        # First a place, then how many further on the second one stands, less one.
        ("a:5 b:1 c:0", (0, 0), "b"),
        ("a:5 b:1 c:0", (0, 1), "c"),
        ("a:0 b:1 c:2", (2, 0), "a"),
        ("a:1 b:1 c:1", (1, 1), "b"),
        ("a:9 b:1! c:8", (0, 0), "c"),
    ],
)
def test_the_lower_load_wins(line: str, draws: tuple[int, int], expected: str) -> None:
    """Of equals it is the first drawn."""
    choice = policy("power_of_two", draw=drawing(*draws)).choose(engines(line), R)

    assert f"{expected} lower_load" == told(choice)


@pytest.mark.parametrize(
    ("line", "expected"),
    [("a", "a lower_load"), ("a! b:7", "b lower_load"), ("a!", "- no_healthy_workers")],
)
def test_one_needs_no_draw(line: str, expected: str) -> None:
    """Without two there is nothing to compare."""
    assert expected == told(policy("power_of_two", draw=never).choose(engines(line), R))


def test_two_different_ones_are_drawn() -> None:
    """The most loaded engine never wins: it would have to be drawn twice."""
    one = policy("power_of_two", draw=seeded())

    chosen = {one.choose(engines("a:9 b:1 c:2 d:3"), R).engine for _ in range(300)}

    assert chosen == {"b", "c", "d"}
