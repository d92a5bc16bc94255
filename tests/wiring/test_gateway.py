"""The gateway from settings; that each value arrives is shown by the tests of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lingma_cli.control.breaker import BreakerOptions
from lingma_cli.control.checker import CheckOptions
from lingma_cli.control.cooldown import CooldownOptions
from lingma_cli.control.persisted import HttpEntry
from lingma_cli.control.registry import Registry
from lingma_cli.engines.openai_http.pool import PoolOptions
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.failover import RetryOptions
from lingma_cli.paths import find_paths
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.settings import Settings
from lingma_cli.wiring.fleet import SlotMaker
from lingma_cli.wiring.gateway import (
    breaker_options,
    build_gateway,
    check_options,
    cooldown_options,
    model_rules,
    policy_options,
    policy_rules,
    retry_options,
)
from lingma_cli.wiring.surroundings import Surroundings


@pytest.mark.parametrize("key", ["model_aliases", "model_fallbacks", "model_policies"])
@pytest.mark.parametrize("entry", ["claude", "=kmodel", "claude=", " = "])
def test_a_rule_is_a_name_and_a_value(key: str, entry: str) -> None:
    """The error names the setting and shows the entry."""
    with pytest.raises(LingmaError) as caught:
        build_gateway(Settings(**{key: (entry,)}), Registry([]))  # type: ignore[arg-type]

    assert caught.value.kind is ErrorKind.USAGE
    assert f"`{key}`" in caught.value.message
    assert f"`{entry}`" in caught.value.message


def test_a_model_s_policy_must_be_there() -> None:
    """Before anything listens."""
    with pytest.raises(LingmaError, match="unknown policy: `fastest`"):
        policy_rules(Settings(model_policies=("a=fastest",)))


def test_rules_keep_their_order() -> None:
    """Blanks around them do not count, and a value may hold what it likes."""
    rules = model_rules(Settings(model_aliases=("claude-* = kmodel", "gpt=a=b")))

    assert rules.aliases == (("claude-*", "kmodel"), ("gpt", "a=b"))


def test_auto_leaves_the_choice_to_the_engines() -> None:
    """Any other name is for all models."""
    assert policy_rules(Settings()).policy == ""
    assert policy_rules(Settings(policy="random")).policy == "random"


def test_the_defaults_are_the_same_everywhere(tmp_path: Path) -> None:
    """Of a setting that nobody has set, and of the option that it becomes."""
    settings = Settings()
    around = Surroundings(
        settings=settings,
        paths=find_paths({"LINGMA_HOME": str(tmp_path)}),
        environ={},
        command=(),
        open_vault=lambda: pytest.fail("nobody needs it"),
        warn=pytest.fail,
    )
    engine: Any = SlotMaker(around)(HttpEntry(id="a", url="http://127.0.0.1:9")).engine

    assert retry_options(settings) == RetryOptions()
    assert breaker_options(settings) == BreakerOptions()
    assert cooldown_options(settings) == CooldownOptions()
    assert check_options(settings) == CheckOptions()
    assert policy_options(settings) == PolicyOptions()
    assert engine._options.pool == PoolOptions()


def test_without_retries_there_is_one_attempt() -> None:
    """Whatever else is set."""
    assert retry_options(Settings(disable_retries=True, retry_max_retries=9)).attempts == 1
