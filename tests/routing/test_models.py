"""One policy object a model."""

from __future__ import annotations

import pytest

from lingma_cli.errors import LingmaError
from lingma_cli.routing.models import ModelPolicies
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import Policy, RoutingRequest
from tests.support.routing import Watch, drawing, engines, never


def _next(policy: Policy) -> str | None:
    return policy.choose(engines("a b c"), RoutingRequest()).engine


def test_each_model_has_its_own() -> None:
    """The turns of one model do not move those of another."""
    policies = ModelPolicies(PolicyOptions(), Watch(), never)
    chosen = [_next(policies.get(model, "round_robin")) for model in ("m", "m", "n", "m")]

    assert chosen == ["a", "b", "a", "c"]


def test_another_name_starts_afresh() -> None:
    """A model's policy can be changed at run time."""
    policies = ModelPolicies(PolicyOptions(), Watch(), drawing(2))
    names = ("round_robin", "random", "round_robin")

    assert [_next(policies.get("m", name)) for name in names] == ["a", "c", "a"]


def test_models_that_nobody_serves_are_dropped() -> None:
    """The others keep their state."""
    policies = ModelPolicies(PolicyOptions(), Watch(), never)
    for model in ("m", "n"):
        _next(policies.get(model, "round_robin"))
    policies.retain({"m"})

    assert [_next(policies.get(model, "round_robin")) for model in ("m", "n")] == ["b", "a"]


def test_the_options_reach_the_policy() -> None:
    """A threshold of 0 keeps the slightest prefix at home."""
    request = RoutingRequest(text="0123456789")
    lines = engines("a:1 b")
    homes = []
    for threshold in (0.0, 0.3):
        options = PolicyOptions(cache_threshold=threshold)
        policy = ModelPolicies(options, Watch(), never).get("m", "cache_aware")
        policy.choose(engines("a b"), RoutingRequest(text="0"))
        homes.append(policy.choose(lines, request).engine)

    assert homes == ["a", "b"]


def test_an_unknown_policy_is_refused() -> None:
    """As by the registry."""
    with pytest.raises(LingmaError, match="unknown policy"):
        ModelPolicies(PolicyOptions(), Watch(), never).get("m", "fastest")
