"""Prompts by their beginnings."""

from __future__ import annotations

import pytest

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import RoutingRequest
from lingma_cli.structures.hash_ring import HashRing
from tests.support.routing import answers, policy

TEXT = RoutingRequest(text="tell me a story")


def _order(prefix: str, names: str = "abc") -> list[str]:
    ring = HashRing()
    ring.update(names)
    return list(ring.walk(prefix))


HOME, NEXT, LAST = _order(TEXT.text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{home} {next} {last}", "{home} ring_hit"),
        # (4 + 1) / 3 * 1.25 = 2.08: two are within the bound, three are not.
        ("{home}:2 {next}:1 {last}:1", "{home} ring_hit"),
        ("{home}:3 {next}:1 {last}:0", "{last} load_balance_walk"),
        ("{home}:3 {next}:0 {last}:0", "{next} load_balance_walk"),
        ("{home}:5 {last}:0 {next}:0", "{last} load_balance_walk"),
        # Loads of engines that cannot serve do not count: (4 + 1) / 2 * 1.25 = 3.1.
        ("{home}:4 {next}:0 {last}:99!", "{next} load_balance_walk"),
        ("{home}:3 {next}:1 {last}:99!", "{home} ring_hit"),
        ("{home}! {next} {last}", "{next} ring_hit"),
        ("{home}! {next}! {last}:50", "{last} ring_hit"),
        ("{home}! {next}! {last}!", "- no_healthy_workers"),
    ],
)
def test_a_prefix_has_a_home_unless_it_is_overloaded(line: str, expected: str) -> None:
    """The bound is the average with the new request in, times 1.25."""
    names = {"home": HOME, "next": NEXT, "last": LAST}

    assert answers(policy("prefix_hash"), line.format(**names), [TEXT]) == [
        expected.format(**names)
    ]


def test_only_the_beginning_counts() -> None:
    """Four characters stand for a token; what comes after makes no difference."""
    one = policy("prefix_hash", options=PolicyOptions(prefix_token_count=2))
    beginnings = [f"{number:08}" for number in range(40)]
    chosen = answers(one, "a b c", [RoutingRequest(text=text + "tail") for text in beginnings])

    assert [f"{_order(text)[0]} ring_hit" for text in beginnings] == chosen
    assert len(set(chosen)) == 3


@pytest.mark.parametrize(("characters", "same"), [(1024, True), (1023, False)])
def test_a_thousand_characters_by_default(characters: int, *, same: bool) -> None:
    """256 tokens: two prompts that part later have one home, earlier ones part."""
    texts = [RoutingRequest(text="x" * characters + f"{number}") for number in range(40)]

    assert (len(set(answers(policy("prefix_hash"), "a b c", texts))) == 1) is same


def test_the_load_factor_is_obeyed() -> None:
    """A higher one keeps prefixes at home for longer."""
    one = policy("prefix_hash", options=PolicyOptions(load_factor=3.0))

    assert answers(one, f"{HOME}:4 {NEXT} {LAST}", [TEXT]) == [f"{HOME} ring_hit"]
    assert answers(one, f"{HOME}:6 {NEXT} {LAST}", [TEXT]) == [f"{HOME} ring_hit"]
    assert answers(policy("prefix_hash"), f"{HOME}:4 {NEXT} {LAST}", [TEXT]) == [
        f"{NEXT} load_balance_walk"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a:2 b:1 c:1", "b no_tokens"),
        ("a:2 b:1! c:3", "a no_tokens"),
        ("a! b!", "- no_healthy_workers"),
    ],
)
def test_without_text_the_least_loaded_serves(line: str, expected: str) -> None:
    """There is nothing to hash, as with embeddings, but they are to be answered all the same."""
    assert answers(policy("prefix_hash"), line, [RoutingRequest()]) == [expected]
