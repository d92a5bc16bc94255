"""Users and system prompts that stay on one engine."""

from __future__ import annotations

import pytest

from lingma_cli.routing.policy import RoutingRequest
from lingma_cli.structures.hash_ring import position
from tests.support.routing import engines, policy, told

ANN = RoutingRequest(user="ann")


def _home(key: str, count: int = 3) -> str:
    return "abc"[position(key) % count]


@pytest.mark.parametrize(
    ("request_", "key"),
    [
        (RoutingRequest(user="ann", system="be kind", first_turn="hi"), "ann"),
        (RoutingRequest(system="be kind", first_turn="hi"), "be kind"),
        (RoutingRequest(first_turn="hi"), "hi"),
        (RoutingRequest(user="zoe", routing_key="other", session="s"), "zoe"),
    ],
)
@pytest.mark.parametrize("line", ["a b c", "a:9 b:9 c:9", "a:1 b:2 c:3"])
def test_a_key_sticks_whatever_the_loads(request_: RoutingRequest, key: str, line: str) -> None:
    """The user comes first, then the system prompt, then the first turn."""
    assert f"{_home(key)} sticky_hit" == told(policy("affinity").choose(engines(line), request_))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a:2 b:1 c:1", "b least_load"),
        ("a b c", "a least_load"),
        ("a! b:3 c:2", "c least_load"),
        ("a:4", "a least_load"),
        ("", "- no_healthy_workers"),
    ],
)
def test_no_key_goes_to_the_least_loaded(line: str, expected: str) -> None:
    """Of equals the lowest place wins."""
    assert expected == told(policy("affinity").choose(engines(line), RoutingRequest()))


def test_a_sick_home_is_left_and_found_again() -> None:
    """The least loaded stands in, and the key returns when its engine heals."""
    one, home = policy("affinity"), _home("ann")
    sick = "a b c".replace(home, f"{home}!")
    stand_in = next(name for name in "abc" if name != home)

    chosen = [told(one.choose(engines(line), ANN)) for line in ("a b c", sick, "a b c")]

    assert chosen == [f"{home} sticky_hit", f"{stand_in} least_load", f"{home} sticky_hit"]


def test_nobody_eligible_means_all_in_turn() -> None:
    """With every engine out, all of them are named one after the other."""
    one = policy("affinity")

    chosen = [told(one.choose(engines("a! b! c!"), ANN)) for _ in range(4)]

    assert chosen == [f"{name} unready_turn" for name in "abca"]


def test_many_users_spread() -> None:
    """Each engine gets about its share of a few hundred users."""
    one = policy("affinity")
    homes = [
        one.choose(engines("a b c"), RoutingRequest(user=f"user {number}")).engine
        for number in range(300)
    ]

    assert all(60 < homes.count(name) < 140 for name in "abc")
