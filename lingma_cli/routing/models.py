"""The policy object of each model."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import Clock, Draw, Policy
from lingma_cli.routing.registry import policy_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    name: str
    policy: Policy


class ModelPolicies:
    """Makes policies when they are first asked for, and keeps one a model.

    Args:
        options: given to every policy.
        clock: seconds, never going back.
        draw: the source of randomness.
    """

    def __init__(self, options: PolicyOptions, clock: Clock, draw: Draw) -> None:
        self._options = options
        self._clock = clock
        self._draw = draw
        self._made: dict[str, _Made] = {}

    def get(self, model: str, name: str) -> Policy:
        """Return the policy `name` of `model`; under another name, the model starts afresh.

        Args:
            model: a model that some engine serves, never a name that only a client knows.
            name: what the registry calls the policy.

        Raises:
            LingmaError: there is no such policy.
        """
        made = self._made.get(model)
        if made is None or made.name != name:
            policy = policy_kind(name).build(self._options, self._clock, self._draw)
            made = self._made[model] = _Made(name=name, policy=policy)
        return made.policy

    def retain(self, models: Collection[str]) -> None:
        """Drop the policies of all other models: no engine serves them any more."""
        self._made = {model: made for model, made in self._made.items() if model in models}
