"""Prompts that go where their beginnings were."""

from __future__ import annotations

import pytest

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import RoutingRequest
from tests.support.routing import Watch, answers, engines, policy, told


def _texts(*texts: str) -> list[RoutingRequest]:
    return [RoutingRequest(text=text) for text in texts]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        # Unknown: least load, of equals the first. Known: its owner, though it is busier.
        (
            [("a b", "0123456789"), ("a:3 b", "0123456789"), ("a:3 b", "x")],
            ["a least_load", "a prefix_hit", "b least_load"],
        ),
        # The rate must exceed 0.3: three of ten do not, four of ten do.
        ([("a b", "012"), ("a:1 b", "012xxxxxxx")], ["a least_load", "b least_load"]),
        ([("a b", "0123"), ("a:1 b", "0123xxxxxx")], ["a least_load", "a prefix_hit"]),
        # A match inside a known text counts as well.
        ([("a b", "0123yyyyyyyyy"), ("a:1 b", "0123xxxxxx")], ["a least_load", "a prefix_hit"]),
        # Uneven: more than 64 apart, and more than half as many again. All engines count.
        ([("a b", "0123"), ("a:65 b", "0123")], ["a least_load", "b imbalanced"]),
        ([("a b", "0123"), ("a:64 b", "0123")], ["a least_load", "a prefix_hit"]),
        ([("a b", "0123"), ("a:200 b:135", "0123")], ["a least_load", "a prefix_hit"]),
        ([("a:2 b:1 c:1 d:99!", "0123")], ["b imbalanced"]),
        # What is sent away by load is remembered there.
        (
            [("a b", "0123"), ("a:65 b", "0123"), ("a b", "0123")],
            ["a least_load", "b imbalanced", "b prefix_hit"],
        ),
        # The owner is away: the first that is not, for once.
        (
            [("a b c", "0123"), ("a! b:9 c", "0123"), ("a b c", "0123")],
            ["a least_load", "b owner_away", "a prefix_hit"],
        ),
        # The owner has left, or has started anew: its prompts are forgotten.
        (
            [("a b c", "0123"), ("b:1 c", "0123"), ("a b:1 c", "0123")],
            ["a least_load", "c least_load", "c prefix_hit"],
        ),
        ([("a@1 b", "0123"), ("a:1@2 b", "0123")], ["a least_load", "b least_load"]),
        ([("a b", ""), ("a:1 b", "")], ["a least_load", "b least_load"]),
        ([("a!", "0123"), ("", "0123")], ["- no_healthy_workers"] * 2),
    ],
)
def test_transcripts(steps: list[tuple[str, str]], expected: list[str]) -> None:
    """Engines and prompt of each request, and what became of it."""
    one = policy("cache_aware")

    chosen = [answers(one, line, _texts(text))[0] for line, text in steps]

    assert expected == chosen


def test_a_conversation_stays_and_the_next_one_goes_elsewhere() -> None:
    """Turns grow on their engine; another system prompt finds the less loaded one."""
    one = policy("cache_aware")
    turns = ["system: be kind\nuser: hi"]
    for number in range(5):
        turns.append(turns[-1] + f"\nassistant: yes\nuser: and {number}?")

    chosen = answers(one, "a:1 b", _texts(*turns))
    other = answers(one, "a b:1", _texts("translate this"))

    assert chosen == ["b least_load"] + ["b prefix_hit"] * 5
    assert other == ["a least_load"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (PolicyOptions(cache_threshold=0.5), "b least_load"),
        (PolicyOptions(cache_threshold=0.49), "a prefix_hit"),
        (PolicyOptions(cache_threshold=0.0, balance_abs_threshold=2), "b imbalanced"),
        (PolicyOptions(balance_abs_threshold=2, balance_rel_threshold=4.0), "a prefix_hit"),
    ],
)
def test_thresholds_are_obeyed(options: PolicyOptions, expected: str) -> None:
    """Half of the prompt is known, and the loads are four and one."""
    one = policy("cache_aware", options=options)
    one.choose(engines("a b"), RoutingRequest(text="01234"))

    assert answers(one, "a:4 b:1", _texts("01234xxxxx")) == [expected]


def test_the_oldest_prompts_are_forgotten_at_the_interval() -> None:
    """Above its size an engine loses what has not come for longest, but not before it is time."""
    watch = Watch()
    options = PolicyOptions(max_tree_size=2000, eviction_interval_secs=60)
    one = policy("cache_aware", options=options, clock=watch)
    answers(one, "a", _texts("x" * 900, "y" * 900))
    watch.now += 59.9
    before = answers(one, "a:1 b", _texts("x" * 900))
    watch.now += 0.1
    after = answers(one, "a:1 b", _texts("x" * 900, "y" * 900))

    assert before == ["a prefix_hit"]
    assert after == ["a prefix_hit", "b least_load"]


@pytest.mark.parametrize(("size", "expected"), [(700, "b least_load"), (706, "a prefix_hit")])
def test_twice_the_size_is_never_exceeded(size: int, expected: str) -> None:
    """The clock stands, yet the oldest of two prompts makes room: 512 and 194 characters each."""
    one = policy("cache_aware", options=PolicyOptions(max_tree_size=size))
    answers(one, "a", _texts("x" * 194, "y" * 194))

    assert answers(one, "a:1 b", _texts("x" * 194)) == [expected]


def test_an_interval_of_nought_never_evicts() -> None:
    """Only the hard bound is left."""
    watch = Watch()
    options = PolicyOptions(max_tree_size=1000, eviction_interval_secs=0)
    one = policy("cache_aware", options=options, clock=watch)
    answers(one, "a", _texts("x" * 400, "y" * 400))
    watch.now += 1e9

    assert answers(one, "a:1 b", _texts("x" * 400)) == ["a prefix_hit"]


def test_two_models_share_nothing() -> None:
    """Each policy object has a tree of its own."""
    one, other = policy("cache_aware"), policy("cache_aware")
    one.choose(engines("a b"), RoutingRequest(text="0123"))

    assert told(other.choose(engines("a:1 b"), RoutingRequest(text="0123"))) == "b least_load"
