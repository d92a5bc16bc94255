"""One after the other."""

from __future__ import annotations

import pytest

from lingma_cli.routing.policy import RoutingRequest
from tests.support.routing import engines, policy, told

R = RoutingRequest()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["a b c"] * 4, ["a turn", "b turn", "c turn", "a turn"]),
        (["a b! c"] * 3, ["a turn", "c turn", "a turn"]),
        # The count goes on over another list of eligible engines, so the turns shift.
        (["a b c", "a b! c", "a b c"], ["a turn", "c turn", "c turn"]),
        (["a"] * 2, ["a turn", "a turn"]),
        (["a! b!", ""], ["- no_healthy_workers"] * 2),
        # Who finds nobody takes no turn.
        (["a! b!", "a b"], ["- no_healthy_workers", "a turn"]),
    ],
)
def test_turns(lines: list[str], expected: list[str]) -> None:
    """The counter picks among the engines that are eligible at the moment."""
    one = policy("round_robin")

    assert expected == [told(one.choose(engines(line), R)) for line in lines]
