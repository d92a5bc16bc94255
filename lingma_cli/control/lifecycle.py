"""The life of an engine: its states, and the only ways from one to another. Pure.

    STARTING ◀──▶ READY ──▶ DRAINING ──▶ STOPPED ──▶ STARTING
        ▲           ▲
        └─▶ ERROR ◀─┘

Besides, `STARTING` and `ERROR` may drain as well, and all may stop at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final


class EngineState(Enum):
    """Where an engine is in its life.

    Requests wait for one that is `STARTING`, are leased to one that is `READY`, and stay with one
    that is `DRAINING`; `ERROR` is away until something is done about it, `STOPPED` until it is
    started.
    """

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    ERROR = "error"
    STOPPED = "stopped"


_STARTING, _READY, _DRAINING, _ERROR, _STOPPED = EngineState

# The one table: from, to, and what has happened when nothing more exact is known.
TRANSITIONS: Final[Mapping[tuple[EngineState, EngineState], str]] = MappingProxyType(
    {
        (_STARTING, _READY): "it answers",
        (_STARTING, _ERROR): "it could not start",
        (_STARTING, _DRAINING): "it is to stop",
        (_STARTING, _STOPPED): "it has ended",
        (_READY, _STARTING): "it is being started again",
        (_READY, _ERROR): "it failed its checks",
        (_READY, _DRAINING): "it is to stop",
        (_READY, _STOPPED): "it has ended",
        # Nothing leads back: a check that fails, or a connection that breaks and comes back
        # while the last answers are given, changes nothing about the end.
        (_DRAINING, _STOPPED): "its last answer is out",
        (_ERROR, _STARTING): "it is being started again",
        (_ERROR, _READY): "it passes its checks again",
        (_ERROR, _DRAINING): "it is to stop",
        (_ERROR, _STOPPED): "it has ended",
        (_STOPPED, _STARTING): "it is being started again",
    }
)

# About to stop, or stopped: no request counts on it.
LEAVING: Final = frozenset({_DRAINING, _STOPPED})
# Neither serving nor on its way.
ENDED: Final = frozenset({_STOPPED, _ERROR})


def may_move(state: EngineState, to: EngineState) -> bool:
    """Tell whether `to` may follow `state`; staying is always allowed."""
    return state is to or (state, to) in TRANSITIONS


def reason_of(state: EngineState, to: EngineState) -> str:
    """Return what such a move means.

    Raises:
        ValueError: there is no such move.
    """
    try:
        return TRANSITIONS[state, to]
    except KeyError:
        raise ValueError(f"an engine cannot go from {state.value} to {to.value}") from None
