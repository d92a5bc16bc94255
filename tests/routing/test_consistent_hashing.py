"""Keys on a ring."""

from __future__ import annotations

from typing import Any

import pytest

from lingma_cli.routing.policy import RoutingRequest
from lingma_cli.structures.hash_ring import HashRing
from tests.support.routing import answers, drawing, engines, policy, told


def _order(key: str, names: str = "abc") -> list[str]:
    ring = HashRing()
    ring.update(names)
    return list(ring.walk(key))


@pytest.mark.parametrize(
    ("line", "target", "expected"),
    [
        ("a b c", "0", "a target_worker_hit"),
        ("a b c", "2", "c target_worker_hit"),
        ("a b c", "3", "- target_worker_miss"),
        ("a b! c", "1", "- target_worker_miss"),
        # Places count all engines, so a sick one does not shift them.
        ("a! b c", "1", "b target_worker_hit"),
        *(
            ("a b c", target, "- target_worker_miss")
            for target in ("", "-1", "+1", "1.0", " 1", "x", "٣", "9" * 5000)
        ),
        ("a!", "0", "- no_healthy_workers"),
        ("", "0", "- no_healthy_workers"),
    ],
)
def test_a_named_target_is_that_or_nothing(line: str, target: str, expected: str) -> None:
    """There is no way round a target that cannot be had, not even a routing key."""
    request = RoutingRequest(target=target, routing_key="key")

    assert expected == told(policy("consistent_hashing").choose(engines(line), request))


@pytest.mark.parametrize(
    ("facts", "key"),
    [
        ({"routing_key": "k", "session": "s", "user": "u", "first_turn": "f"}, "k"),
        ({"session": "s", "user": "u", "first_turn": "f"}, "s"),
        ({"user": "u", "first_turn": "f"}, "u"),
        ({"first_turn": "f", "system": "not a key"}, "f"),
    ],
)
def test_the_key(facts: dict[str, Any], key: str) -> None:
    """The header comes first, then session, user and first turn."""
    (chosen,) = answers(policy("consistent_hashing"), "a:7 b:7 c", [RoutingRequest(**facts)])

    assert f"{_order(key)[0]} routing_key_hit" == chosen


@pytest.mark.parametrize("key", ["one", "two", "three", "four", "five"])
def test_sick_engines_are_passed_by(key: str) -> None:
    """The walk goes on clockwise, and a healed engine has its keys again."""
    one, request = policy("consistent_hashing"), RoutingRequest(routing_key=key)
    first, second, third = _order(key)
    lines = [
        "a b c",
        "a b c".replace(first, f"{first}!"),
        "a b c".replace(first, f"{first}!").replace(second, f"{second}!"),
        "a b c",
    ]

    chosen = [one.choose(engines(line), request).engine for line in lines]

    assert [first, second, third, first] == chosen


def test_about_one_key_in_n_moves_with_a_new_engine() -> None:
    """All keys that move go to the new one."""
    one = policy("consistent_hashing")
    keys = [RoutingRequest(session=f"session {number}") for number in range(400)]
    before, after = answers(one, "a b c", keys), answers(one, "a b c d", keys)
    moved = [new for old, new in zip(before, after, strict=True) if old != new]

    assert set(moved) == {"d routing_key_hit"}
    assert 50 < len(moved) < 170


def test_servers_agree_in_any_order() -> None:
    """Another object that was told the engines in another order chooses the same."""
    keys = [RoutingRequest(user=f"user {number}") for number in range(50)]
    one, other = policy("consistent_hashing"), policy("consistent_hashing")

    assert answers(one, "a b c", keys) == answers(other, "c a b", keys)


def test_without_a_key_any_serves() -> None:
    """The draw is among the eligible."""
    one = policy("consistent_hashing", draw=drawing(1))

    assert answers(one, "a b! c", [RoutingRequest()]) == ["c random_fallback"]
