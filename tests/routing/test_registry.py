"""The registry of policies."""

from __future__ import annotations

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.routing.options import option_table
from lingma_cli.routing.registry import POLICIES, POLICY_NAMES, policy_kind


def test_all_are_there() -> None:
    """The nine policies, each under one name."""
    assert sorted(POLICY_NAMES) == [
        "affinity",
        "bucket",
        "cache_aware",
        "consistent_hashing",
        "manual",
        "power_of_two",
        "prefix_hash",
        "random",
        "round_robin",
    ]


def test_options_and_policies_know_each_other() -> None:
    """No policy names an option that is none, and each option belongs to a policy."""
    named = {name for kind in POLICIES for name in kind.options}

    assert named == {item.name for item, _ in option_table()}


def test_the_rules_name_every_option() -> None:
    """What can be set about a policy is explained in its rules."""
    for kind in POLICIES:
        assert [name for name in kind.options if f"`{name}`" not in kind.rules] == []
        assert all(line.startswith(("- ", "  ")) for line in kind.rules.splitlines())


def test_an_unknown_name_is_refused() -> None:
    """The error lists the names there are."""
    with pytest.raises(LingmaError) as caught:
        policy_kind("fastest")

    assert caught.value.kind is ErrorKind.USAGE
    assert "round_robin" in str(caught.value.hint)
