"""The states of an engine and the ways between them."""

from __future__ import annotations

from itertools import product

import pytest

from lingma_cli.control.lifecycle import (
    ENDED,
    LEAVING,
    TRANSITIONS,
    EngineState,
    may_move,
    reason_of,
)

STARTING, READY, DRAINING, ERROR, STOPPED = EngineState
LEGAL = {
    STARTING: {READY, DRAINING, ERROR, STOPPED},
    READY: {STARTING, DRAINING, ERROR, STOPPED},
    DRAINING: {STOPPED},
    ERROR: {STARTING, READY, DRAINING, STOPPED},
    STOPPED: {STARTING},
}


@pytest.mark.parametrize(("state", "to"), [*product(EngineState, EngineState)])
def test_each_pair_of_states(state: EngineState, to: EngineState) -> None:
    """What is legal has a reason; what is not is refused; staying changes nothing."""
    expected = to in LEGAL[state]

    assert may_move(state, to) is (expected or state is to)
    if expected:
        assert reason_of(state, to)
    else:
        with pytest.raises(ValueError, match=f"from {state.value} to {to.value}"):
            reason_of(state, to)


def test_a_drain_has_one_end() -> None:
    """A check that fails meanwhile does not make an error of it."""
    assert [to for (state, to) in TRANSITIONS if state is DRAINING] == [STOPPED]


def test_everything_can_stop() -> None:
    """And what has stopped can be started."""
    assert all(may_move(state, STOPPED) for state in EngineState)
    assert may_move(STOPPED, STARTING)


def test_what_leaves_does_not_come_back_by_itself() -> None:
    """All others may be ready next; what has ended neither serves nor is on its way."""
    assert {state for state in EngineState if not may_move(state, READY)} == LEAVING
    assert set(EngineState) - {STARTING, READY, DRAINING} == ENDED
