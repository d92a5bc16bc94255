"""One engine's place in the pool."""

from __future__ import annotations

import pytest

from lingma_cli.control.breaker import BreakerState
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.scripted_engine import ScriptedEngine

QUOTA = LingmaError(ErrorKind.QUOTA_EXCEEDED, "used up")


def _slot(login: LoginState = LoginState.IN) -> Slot:
    engine = ScriptedEngine(name="a")
    engine.login = login
    return Slot(engine=engine, state=EngineState.READY)


def test_it_is_called_like_its_engine() -> None:
    """Unless it has an id of its own."""
    assert _slot().id == "a"
    assert Slot(engine=ScriptedEngine(name="a"), id="b").id == "b"


def test_a_quota_ranks_below_a_login() -> None:
    """The best first: in, in doubt, out; whoever has no quota comes after all of them."""
    cold = _slot()
    cold.cooldown.freeze(QUOTA)
    slots = [cold, *map(_slot, (LoginState.OUT, LoginState.UNKNOWN, LoginState.IN))]

    ranked = sorted(slots, key=lambda slot: slot.rank)
    assert [slots.index(slot) for slot in ranked] == [3, 2, 1, 0]
    assert [slot.is_out for slot in slots] == [True, True, False, False]


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        (ErrorKind.ENGINE_FAILED, True),
        (ErrorKind.ENGINE_TIMEOUT, True),
        (ErrorKind.ENGINE_UNAVAILABLE, True),
        (ErrorKind.INVALID_REQUEST, False),
        (ErrorKind.LOGIN_REQUIRED, False),
        (ErrorKind.QUOTA_EXCEEDED, False),
    ],
)
def test_only_its_own_faults_open_the_breaker(kind: ErrorKind, counts: bool) -> None:
    """A quota makes it rest instead."""
    slot = _slot()
    for _ in range(10):
        slot.heard(LingmaError(kind, "it failed"))

    assert (slot.breaker.state is BreakerState.OPEN) == counts
    assert slot.cooldown.is_cold == (kind is ErrorKind.QUOTA_EXCEEDED)


def test_an_answer_is_a_sign_of_life() -> None:
    """So is getting ready; a failure is none."""
    clock = iter([10.0, 20.0, 30.0])
    slot = Slot(engine=ScriptedEngine(), wall_clock=clock.__next__)
    Registry([slot]).move(slot, EngineState.READY)
    seen = [slot.created, slot.last_heartbeat]
    slot.heard(LingmaError(ErrorKind.ENGINE_FAILED, "it failed"))
    seen.append(slot.last_heartbeat)
    slot.heard(None)

    assert [*seen, slot.last_heartbeat] == [10.0, 20.0, 20.0, 30.0]
