"""What every registered policy promises."""

from __future__ import annotations

import gc
import tracemalloc
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import Branch, Candidate, Policy, PolicyKind, RoutingRequest
from lingma_cli.routing.registry import POLICIES
from tests.support.routing import Watch, engines, seeded

every_policy = pytest.mark.parametrize("kind", POLICIES, ids=lambda kind: kind.name)

TEXTS = st.text(max_size=8) | st.sampled_from(["", "x" * 3000, "x" * 5000, "\ud800"])
KEYS = st.sampled_from(["", "", "k", "l", "\ud800"])
REQUESTS = st.builds(
    RoutingRequest,
    text=TEXTS,
    user=KEYS,
    system=KEYS,
    first_turn=KEYS,
    session=KEYS,
    routing_key=KEYS,
    target=st.sampled_from([None, None, None, "0", "3", "", "x"]),
)
LOADS = st.integers(0, 3) | st.sampled_from([0, 64, 65, 10**6])


@st.composite
def pools(draw: st.DrawFn) -> list[Candidate]:
    """Draw engines that come, go, fill up, fall ill and start anew, in a fixed order."""
    return [
        Candidate(
            id=name,
            load=draw(LOADS),
            eligible=draw(st.booleans()),
            generation=draw(st.integers(0, 1)),
        )
        for name in draw(st.sets(st.sampled_from("abcde")).map(sorted))
    ]


LIVES = st.lists(st.tuples(pools(), REQUESTS, st.sampled_from([0, 1, 6, 70])), max_size=20)
TIGHT = PolicyOptions(
    max_tree_size=1500,
    balance_abs_threshold=2,
    max_idle_secs=5,
    assignment_mode="min_group",
    prefix_token_count=1,
)
OPTIONS = st.sampled_from([PolicyOptions(), TIGHT])


def _policy(kind: PolicyKind, options: PolicyOptions, watch: Watch) -> Policy:
    return kind.build(options, watch, seeded())


@every_policy
@given(life=LIVES, options=OPTIONS)
def test_a_policy_is_total(
    kind: PolicyKind,
    options: PolicyOptions,
    life: list[tuple[list[Candidate], RoutingRequest, int]],
) -> None:
    """It always answers, with a candidate that is eligible as long as there is one.

    Only `affinity` names one that is not when none is; a request may name what does not exist.
    """
    watch = Watch()
    policy = _policy(kind, options, watch)
    for candidates, request, pause in life:
        watch.now += pause
        choice = policy.choose(candidates, request)
        able = {one.id for one in candidates if one.eligible}
        if able:
            is_miss = choice.engine is None and choice.branch is Branch.TARGET_MISS
            assert choice.engine in able or is_miss
        elif kind.name == "affinity" and candidates:
            assert choice.engine in {one.id for one in candidates}
        else:
            assert (choice.engine, choice.branch) == (None, Branch.NO_ENGINE)


@every_policy
@given(life=LIVES, options=OPTIONS)
def test_the_same_seed_chooses_the_same(
    kind: PolicyKind,
    options: PolicyOptions,
    life: list[tuple[list[Candidate], RoutingRequest, int]],
) -> None:
    """Time and randomness come from outside; nothing else is left to chance."""
    watch = Watch()
    one, other = _policy(kind, options, watch), _policy(kind, options, watch)
    for candidates, request, pause in life:
        watch.now += pause
        assert one.choose(candidates, request) == other.choose(candidates, request)


@every_policy
@pytest.mark.parametrize("line", ["b", "a! b", "a! b:900 c!"])
def test_a_lone_eligible_engine_serves(kind: PolicyKind, line: str) -> None:
    """Whatever the loads and keys are."""
    policy = _policy(kind, PolicyOptions(), Watch())
    request = RoutingRequest(text="t", user="u", routing_key="k")

    assert [policy.choose(engines(line), request).engine for _ in range(5)] == ["b"] * 5


@every_policy
def test_engines_come_and_go(kind: PolicyKind) -> None:
    """One that leaves is not chosen any more, and a new one is put to use."""
    watch, numbers = Watch(), count()
    policy = _policy(kind, PolicyOptions(), watch)

    def chosen(line: str) -> set[str]:
        # Each request is one more for its engine, and all of them end long before the next line.
        watch.now += 60
        loads = {one.id: 0 for one in engines(line)}
        for _ in range(60):
            text = f"{next(numbers)} " * 40
            request = RoutingRequest(text=text, user=text, routing_key=text)
            now = [Candidate(id=name, load=load) for name, load in loads.items()]
            loads[str(policy.choose(now, request).engine)] += 1
        return {name for name, load in loads.items() if load}

    assert chosen("a b") == {"a", "b"}
    assert chosen("a") == {"a"}
    assert chosen("a c") == {"a", "c"}


@every_policy
def test_text_is_asked_for_when_it_matters(kind: PolicyKind) -> None:
    """A policy that needs no text chooses the same without it."""
    one, other = (_policy(kind, PolicyOptions(), Watch()) for _ in range(2))
    texts = [f"{number}" * 50 for number in range(40)]
    line = engines("a b:1 c:2")
    with_text = [one.choose(line, RoutingRequest(text=text)) for text in texts]
    without = [other.choose(line, RoutingRequest()) for _ in texts]

    assert (with_text != without) == one.needs_text


@every_policy
def test_memory_is_bounded(kind: PolicyKind) -> None:
    """Requests that have nothing in common fill no memory for ever, though the clock stands."""
    policy = _policy(kind, PolicyOptions(max_tree_size=200_000), Watch())
    line, numbers = engines("a b c"), count()

    def serve(requests: int) -> int:
        for _ in range(requests):
            text = f"{next(numbers):x}-" * 20
            policy.choose(line, RoutingRequest(text=text, user=text, routing_key=text))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        # More than there is room for, until the tables have grown to what they need for it.
        full = serve(25_000)
        more = serve(17_000) - full
    finally:
        tracemalloc.stop()

    assert full < 8_000_000
    assert more < 200_000
