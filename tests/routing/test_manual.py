"""Keys that stay."""

from __future__ import annotations

import pytest

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import RoutingRequest
from tests.support.routing import Watch, answers, drawing, engines, policy, seeded, told


def _keys(line: str) -> list[RoutingRequest]:
    return [RoutingRequest(routing_key=key) for key in line.split()]


KEY = RoutingRequest(routing_key="k")


@pytest.mark.parametrize(
    ("lines", "draws", "expected"),
    [
        (["a b c", "a:9 b c"], (0,), ["a vacant", "a occupied_hit"]),
        # Engines that come later move no key.
        (["a", "a b c d"], (0,), ["a vacant", "a occupied_hit"]),
        # A sick engine's key gets a second one, and goes home when it heals.
        (
            ["a b c", "a! b c", "a! b c", "a b c"],
            (0, 1),
            ["a vacant", "c occupied_miss", "c occupied_hit", "a occupied_hit"],
        ),
        # Of more than two, the oldest is forgotten.
        (
            ["a b c", "a! b c", "a! b! c", "a b! c!", "a b c"],
            (0, 0, 0, 0),
            [
                "a vacant",
                "b occupied_miss",
                "c occupied_miss",
                "a occupied_miss",
                "c occupied_hit",
            ],
        ),
        # One that has left is as good as sick.
        (["a b", "b", "a b"], (0, 0), ["a vacant", "b occupied_miss", "a occupied_hit"]),
        (["a!", "", "a"], (0,), ["- no_healthy_workers"] * 2 + ["a vacant"]),
        # A restart moves nothing.
        (["a@1 b", "a@2 b"], (0,), ["a vacant", "a occupied_hit"]),
    ],
)
def test_a_key_stays(lines: list[str], draws: tuple[int, ...], expected: list[str]) -> None:
    """The transcript of one key, line by line."""
    one = policy("manual", draw=drawing(*draws))

    assert expected == [told(one.choose(engines(line), KEY)) for line in lines]


def test_without_a_key_any_serves() -> None:
    """Nothing is remembered of such a request."""
    one = policy("manual", draw=drawing(1, 0))

    assert answers(one, "a b! c", [RoutingRequest(user="u", session="s")] * 2) == [
        "c no_routing_id",
        "a no_routing_id",
    ]


def test_min_load_takes_the_least_loaded() -> None:
    """Equals are drawn."""
    options = PolicyOptions(assignment_mode="min_load")
    one = policy("manual", options=options, draw=drawing(0, 1))

    assert answers(one, "a:2 b:1 c:3", _keys("k")) == ["b vacant"]
    assert answers(one, "a:1 b:2 c:1", _keys("l")) == ["c vacant"]


def test_min_group_takes_the_one_with_the_fewest_keys() -> None:
    """Repeated requests of one key count once; loads do not matter."""
    options = PolicyOptions(assignment_mode="min_group")
    one = policy("manual", options=options, draw=drawing(0, 0, 0, 0))

    assert answers(one, "a:9 b c", _keys("k k k l m n")) == [
        "a vacant",
        "a occupied_hit",
        "a occupied_hit",
        "b vacant",
        "c vacant",
        "a vacant",
    ]


def test_min_group_counts_a_key_where_it_is_served() -> None:
    """A key that had to move is counted at its second engine."""
    options = PolicyOptions(assignment_mode="min_group")
    one = policy("manual", options=options, draw=drawing(0, 0, 0))

    assert answers(one, "a b", _keys("k")) == ["a vacant"]
    assert answers(one, "a! b", _keys("k")) == ["b occupied_miss"]
    assert answers(one, "a b", _keys("l")) == ["a vacant"]


def test_an_idle_key_is_forgotten() -> None:
    """After four hours without a request it counts as new, and its place in the group is free."""
    watch = Watch()
    options = PolicyOptions(assignment_mode="min_group")
    one = policy("manual", options=options, clock=watch, draw=drawing(0, 0, 0))
    first = answers(one, "a b", _keys("k"))
    watch.now += 14_399
    used = answers(one, "a b", _keys("k"))
    watch.now += 14_400
    other = answers(one, "a b", _keys("l"))
    again = answers(one, "a b", _keys("k"))

    assert first + used + other + again == ["a vacant", "a occupied_hit", "a vacant", "b vacant"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (PolicyOptions(max_idle_secs=10), "b vacant"),
        (PolicyOptions(max_idle_secs=10.5), "a occupied_hit"),
        (PolicyOptions(max_idle_secs=10, eviction_interval_secs=0), "a occupied_hit"),
    ],
)
def test_idle_time_and_interval_are_obeyed(options: PolicyOptions, expected: str) -> None:
    """An interval of 0 keeps idle keys for ever."""
    watch = Watch()
    one = policy("manual", options=options, clock=watch, draw=drawing(0, 1))
    one.choose(engines("a b"), KEY)
    watch.now += 10

    assert expected == told(one.choose(engines("a b"), KEY))


@pytest.mark.parametrize(("interval", "expected"), [(10, "a vacant"), (30, "b vacant")])
def test_the_interval_frees_places(interval: float, expected: str) -> None:
    """Until the next clean-up an idle key still counts where it was."""
    watch = Watch()
    options = PolicyOptions(
        assignment_mode="min_group", max_idle_secs=10, eviction_interval_secs=interval
    )
    one = policy("manual", options=options, clock=watch, draw=drawing(0, 0))
    one.choose(engines("a b"), KEY)
    watch.now += 20

    assert answers(one, "a b", _keys("l")) == [expected]


def test_of_too_many_keys_the_stalest_go() -> None:
    """The first of 16,385 keys is new again, the second is not."""
    one = policy("manual", draw=seeded())
    for number in range(16_385):
        one.choose(engines("a b"), RoutingRequest(routing_key=str(number)))

    second, first = answers(one, "a b", _keys("1 0"))

    assert (second[2:], first[2:]) == ("occupied_hit", "vacant")
