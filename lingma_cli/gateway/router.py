"""Which engines may serve a request, and which of them does: by model, then by policy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TypeVar

from lingma_cli.control.registry import Choose, EngineState, Registry, Serves, Slot
from lingma_cli.core.chat import ChatRequest
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.model_names import Goal, ModelRules, Rule, goals, key_of
from lingma_cli.metrics.tallies import Tallies
from lingma_cli.routing.models import ModelPolicies
from lingma_cli.routing.policy import Candidate
from lingma_cli.routing.request import routing_request

T = TypeVar("T")

Fits = Callable[[Slot], bool]
"""Tells whether an engine can do what is wanted, whatever its models."""

Plan = tuple[Sequence[Goal], Fits]
"""The models that may serve, the best first, and what tells the engines that count."""


def chats(slot: Slot) -> bool:
    """Tell whether an engine is there to answer people."""
    return slot.kind == "llm"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRules:
    """Which policy chooses.

    Attributes:
        policy: for all models; empty for what suits the first engine that serves the model.
        models: patterns of models' keys, each with its policy; the first that fits counts.
    """

    policy: str = ""
    models: Sequence[Rule] = ()


class Router:
    """Chooses among the engines of a registry.

    Args:
        registry: the pool.
        names: what is configured about models' names.
        rules: which policy chooses.
        policies: keeps the policies' objects.
        tallies: told of each choice.
    """

    def __init__(
        self,
        registry: Registry,
        names: ModelRules,
        rules: PolicyRules,
        policies: ModelPolicies,
        tallies: Tallies,
    ) -> None:
        self.registry = registry
        self._names = names
        self._rules = rules
        self._policies = policies
        self.tallies = tallies
        self._members: Sequence[Slot] = ()
        self._purposes = {""}

    def goals(self, name: str, *, fits: Fits = chats, default: str | None = None) -> Sequence[Goal]:
        """Return the models that may serve `name`, the best first; see `model_names.goals`.

        Args:
            name: as the client sent it.
            fits: tells the engines that count.
            default: serves names that nobody knows; `None` for the one that is configured.
        """
        names = self._names if default is None else replace(self._names, default=default)
        return goals(name, names, partial(self._key_for, fits))

    def offering(self, model: str, *, fits: Fits = chats) -> Sequence[Slot]:
        """Return the slots whose engines have a model, of those that fit."""
        return _offering(model, fits, self.registry.slots)

    def serving(self, goal: Goal, *, fits: Fits = chats) -> Serves:
        """Return what tells the slots of the pool that can serve a goal, of those that fit."""
        return partial(_offering if goal.is_known else _standing_in, goal.model, fits)

    def chooser(
        self, request: ChatRequest, goal: Goal, headers: Mapping[str, str], *, purpose: str = ""
    ) -> Choose:
        """Return what chooses a slot for a request.

        Args:
            request: as the client sent it, with its whole history.
            goal: the model that is to serve it.
            headers: names in lower case; only the routing headers are read.
            purpose: what is wanted, one of a few words. Each has policies of its own, as they
                would forget the engines of a model that cannot do it.
        """
        self._purposes.add(purpose)
        return partial(self._choose, request, goal, headers, purpose)

    async def reachable(
        self, plan: Callable[[], Plan], within: float, avoid: Collection[str]
    ) -> tuple[Goal, Serves]:
        """Return the first goal that an engine can serve, waiting for one if need be.

        Args:
            plan: returns what may serve, as far as is known now: engines that come bring their
                lists of models with them.
            within: seconds to wait while an engine is coming.
            avoid: ids of slots that must not be chosen.

        Returns:
            That goal, and what tells the slots that can serve it.

        Raises:
            LingmaError: no engine can be had.
        """

        def able(slots: Sequence[Slot]) -> Sequence[Slot]:
            goals, fits = plan()
            ids = {slot.id for goal in goals for slot in self.serving(goal, fits=fits)(slots)}
            return [slot for slot in slots if slot.id in ids]

        await self.registry.wait_ready(within, serves=able, avoid=avoid)
        goals, fits = plan()
        ways = [(goal, self.serving(goal, fits=fits)) for goal in goals]
        for way in ways:
            if self.registry.has_good(serves=way[1], avoid=avoid):
                return way
        # All would refuse, as far as is known; only an answer tells.
        return next((way for way in ways if self._has_free(way[1], avoid)), ways[0])

    async def elsewhere(
        self,
        lease: Callable[[Collection[str]], Awaitable[T]],
        tried: Collection[str],
        away: Collection[str],
    ) -> T:
        """Lease an engine that was not asked yet.

        Args:
            lease: takes one; told the ids of those that must not be chosen.
            tried: names of the engines that were asked.
            away: names of those of them that will do, if they come back.

        Raises:
            LingmaError: nobody else can be had.
        """
        slots = self.registry.slots
        # Those would only hide the reason of the failure behind one of their own.
        out = {slot.id for slot in slots if slot.is_out}
        asked = {slot.id for slot in slots if slot.engine.name in tried}
        back = {slot.id for slot in slots if slot.engine.name in away}
        try:
            return await lease(out | asked)
        except LingmaError:
            if not away:
                raise
        return await lease(out | (asked - back))

    def _choose(
        self,
        request: ChatRequest,
        goal: Goal,
        headers: Mapping[str, str],
        purpose: str,
        slots: Sequence[Slot],
        eligible: AbstractSet[str],
    ) -> Slot | None:
        self._forget_models()
        name = self._policy_of(goal.key, slots)
        policy = self._policies.get(_filed(goal.key, purpose), name)
        thread = request.thread
        choice = policy.choose(
            [_candidate(slot, eligible) for slot in slots],
            routing_request(
                request,
                headers,
                session=(thread.conversation_id if thread is not None else None) or "",
                with_text=policy.needs_text,
            ),
        )
        self.tallies.chosen(name, choice.branch.value)
        return next((slot for slot in slots if slot.id == choice.engine), None)

    def _policy_of(self, model: str, slots: Sequence[Slot]) -> str:
        for pattern, policy in self._rules.models:
            if fnmatchcase(model, pattern):
                return policy
        return self._rules.policy or slots[0].policy

    def _forget_models(self) -> None:
        """Drop the policies of models that have left with their engines."""
        slots = self.registry.slots
        if slots is not self._members:
            self._members = slots
            keys = {model.key for slot in slots for model in slot.engine.models}
            kept = keys | {self._names.default}
            self._policies.retain(
                {_filed(key, purpose) for key in kept for purpose in self._purposes}
            )

    def _has_free(self, serves: Serves, avoid: Collection[str]) -> bool:
        slots = serves(self.registry.slots)
        return any(slot.is_free for slot in slots if slot.id not in avoid)

    def _key_for(self, fits: Fits, name: str) -> str | None:
        """Return the key of the model that is called so by some engine."""
        slots = _offering(name, fits, self.registry.slots)
        keys = [key_of(name, slot.engine.models) for slot in slots]
        return name if name in keys else next(iter(keys), None)


def _filed(model: str, purpose: str) -> str:
    return f"{purpose} {model}" if purpose else model


def _offering(model: str, fits: Fits, slots: Sequence[Slot]) -> Sequence[Slot]:
    """Return the slots whose engines have a model."""
    return [slot for slot in slots if fits(slot) and _has(slot, model)]


def _standing_in(model: str, fits: Fits, slots: Sequence[Slot]) -> Sequence[Slot]:
    """Return the slots that can serve the default model, which nobody is known to have.

    Whoever has it, or may have it, since its list is not known yet; else those with a default of
    their own; else all.
    """
    able = [slot for slot in slots if fits(slot)]
    having = [slot for slot in able if _has(slot, model) or _is_unknown(slot)]
    with_default = (slot for slot in able if any(model.is_default for model in slot.engine.models))
    return having or list(with_default) or able


def _has(slot: Slot, model: str) -> bool:
    return key_of(model, slot.engine.models) is not None


def _is_unknown(slot: Slot) -> bool:
    """Tell whether an engine may have any model: it gave no list, or is only about to."""
    is_coming = slot.state is EngineState.STARTING and slot.last_error is None
    return not slot.engine.models and (is_coming or slot.state is EngineState.READY)


def _candidate(slot: Slot, eligible: AbstractSet[str]) -> Candidate:
    return Candidate(
        id=slot.id,
        load=slot.in_flight,
        eligible=slot.id in eligible,
        generation=slot.generation,
    )
