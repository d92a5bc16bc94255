"""The pool against a model of it: 10,000 steps in any order."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from lingma_cli.control.breaker import Breaker, BreakerOptions
from lingma_cli.control.lifecycle import TRANSITIONS, EngineState
from lingma_cli.control.registry import Registry, Slot
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.scripted_engine import ScriptedEngine

STARTING, READY, STOPPED = EngineState.STARTING, EngineState.READY, EngineState.STOPPED


@dataclass
class Held:
    """A lease, as the model knows it."""

    stack: ExitStack
    slot: Slot


class Pool(RuleBasedStateMachine):
    """Engines come, go and change; leases are taken and given back, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self.registry = Registry([])
        self.held: list[Held] = []
        self.states: dict[str, EngineState] = {}
        self.born = 0

    @initialize(limits=st.lists(st.integers(0, 2), min_size=1, max_size=3))
    def begin(self, limits: list[int]) -> None:
        """Begin with some engines that are ready."""
        for limit in limits:
            self.add(limit)
            self.registry.move(self.registry.slots[-1], READY)
            self.states[self.registry.slots[-1].id] = READY

    @precondition(lambda self: len(self.registry.slots) < 5)
    @rule(limit=st.integers(0, 2))
    def add(self, limit: int) -> None:
        """Take in one more engine."""
        self.born += 1
        slot = Slot(
            engine=ScriptedEngine(name=f"e{self.born}"),
            limit=limit,
            breaker=Breaker(BreakerOptions(failures=2, pause=5, successes=1), lambda: self.clock),
        )
        self.registry.add(slot)
        self.states[slot.id] = STARTING

    @precondition(lambda self: self.registry.slots)
    @rule(data=st.data(), state=st.sampled_from(EngineState))
    def move(self, data: st.DataObject, state: EngineState) -> None:
        """Move one engine, if its life goes that way."""
        slot = data.draw(st.sampled_from(self.registry.slots))
        before, generation = slot.state, slot.generation
        moved = self.registry.try_move(slot, state)
        assert moved is (before is state or (before, state) in TRANSITIONS)
        assert slot.generation - generation == (moved and state is READY and before is not READY)
        if moved:
            self.states[slot.id] = state

    @precondition(lambda self: self.registry.slots)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Forget one engine, if it has stopped."""
        slot = data.draw(st.sampled_from(self.registry.slots))
        if slot.state is STOPPED:
            self.registry.remove(slot)
            del self.states[slot.id]
        else:
            with pytest.raises(LingmaError):
                self.registry.remove(slot)

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 6.0]))
    def pass_time(self, seconds: float) -> None:
        """Let breakers rest."""
        self.clock += seconds

    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        """Take a lease: there is one if any engine is free."""
        slots = self.registry.slots
        avoid = data.draw(st.sets(st.sampled_from([slot.id for slot in slots]))) if slots else set()
        able = [
            slot
            for slot in slots
            if self.states[slot.id] is READY
            and slot.id not in avoid
            and (not slot.limit or slot.in_flight < slot.limit)
        ]
        # Those that are not trusted come last, after two of their five seconds.
        resting = (slot for slot in able if 0 < slot.breaker.rest <= 3)
        free = [slot for slot in able if slot.breaker.admits()] or list(resting)
        stack = ExitStack()
        if not free:
            with pytest.raises(LingmaError), self.registry.lease(avoid=avoid):
                pass
            return
        slot = stack.enter_context(self.registry.lease(avoid=avoid))
        assert slot in free
        self.held.append(Held(stack, slot))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), is_bad=st.sampled_from([True, False, None]))
    def give_back(self, data: st.DataObject, is_bad: bool | None) -> None:
        """End any lease: well, badly, or without a word."""
        held = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        if is_bad is not None:
            error = LingmaError(ErrorKind.ENGINE_FAILED, "x") if is_bad else None
            self.registry.heard(held.slot, error)
        held.stack.close()

    @invariant()
    def counts_are_true(self) -> None:
        """Each slot counts exactly its own leases, and never more than it may have."""
        for slot in self.registry.slots:
            assert slot.in_flight == sum(one.slot is slot for one in self.held)
            assert 0 <= slot.in_flight <= (slot.limit or slot.in_flight)
            assert slot.state is self.states[slot.id]

    def teardown(self) -> None:
        """In the end everything is back."""
        for one in self.held:
            one.stack.close()
        assert all(slot.in_flight == 0 for slot in self.registry.slots)


# 10,000 steps.
Pool.TestCase.settings = settings(max_examples=100, stateful_step_count=100, deadline=None)
TestPool = Pool.TestCase
