"""`/metrics` and `/internal/stats`: the values of the gateway at this moment.

The first is for scrapers, as text or as JSON; the second for whoever looks after the server.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.control.registry import EngineState, Slot
from lingma_cli.core.record import Reuse, ReuseReason
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.gateway.reuse import SessionReuse
from lingma_cli.metrics.page import (
    CONTENT_TYPE,
    MetricsPage,
    door_as_json,
    sessions_as_json,
    totals_as_json,
)
from lingma_cli.metrics.values import EngineValues, SessionCacheValues, Snapshot
from lingma_cli.server.replies import body_app, json_app

# Turns that a session was looked for, in vain.
_MISSES: Final = frozenset(
    {
        ReuseReason.UNKNOWN,
        ReuseReason.DIFFERS,
        ReuseReason.AMBIGUOUS,
        ReuseReason.MOVED_ON,
        ReuseReason.OTHER_SETTINGS,
        ReuseReason.ENGINE_CHANGED,
        ReuseReason.SESSION_LOST,
    }
)
_TEXTS: Final = ("text/plain", "application/openmetrics-text")


class MetricRoutes:
    """The handlers.

    Args:
        gateway: whose values they are.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._page = MetricsPage(lambda: snapshot(gateway), gateway.tallies)

    async def metrics(self, request: Request) -> ASGIApp:
        """Answer with text, or with JSON if that is what is asked for."""
        if _wants_json(request):
            return json_app(self._page.as_json())
        return body_app(self._page.text(), CONTENT_TYPE.encode())

    async def stats(self, _: Request) -> ASGIApp:
        """Tell sums, engines with their accounts, and why the last turns found their sessions."""
        gateway = self._gateway
        now = snapshot(gateway)
        return json_app(
            {
                "stats": totals_as_json(gateway.tallies.totals),
                "concurrency": door_as_json(now),
                "pool": [_row(slot) for slot in gateway.registry.slots],
                "session_cache": {
                    **sessions_as_json(now.sessions),
                    "last_turns": last_turns(gateway.reuse),
                },
            }
        )


def snapshot(gateway: Gateway) -> Snapshot:
    """Return what there is to see of `gateway` now."""
    admission = gateway.admission
    return Snapshot(
        in_flight=admission.in_flight,
        queued=admission.queued,
        rejected=admission.rejected_total,
        limit=max(admission.limits.max_in_flight, 0),
        parked=len(gateway.lot),
        engines=tuple(map(_engine, gateway.registry.slots)),
        sessions=session_values(gateway.reuse),
    )


def session_values(reuse: SessionReuse) -> SessionCacheValues:
    """Return what is known of session reuse."""
    counts, sessions = reuse.counts, reuse.sessions
    return SessionCacheValues(
        hits=sum(count for reason, count in counts.items() if Reuse(reason=reason).is_hit),
        misses=sum(count for reason, count in counts.items() if reason in _MISSES),
        entries=len(sessions) if sessions is not None else 0,
        bytes=sessions.bytes if sessions is not None else 0,
        reasons={reason.name.lower(): count for reason, count in counts.items()},
    )


def last_turns(reuse: SessionReuse) -> list[dict[str, Any]]:
    """Return the latest turns, the oldest first, each with why it went on in a session or not.

    `message` is the index of the first message unlike what is known, in the request's messages.
    """
    return [
        {
            "request_id": turn.id,
            "model": turn.model,
            "engine": turn.engine,
            "reused": turn.reuse.is_hit,
            "reason": turn.reuse.reason.name.lower(),
            "message": turn.reuse.message,
            "role": turn.reuse.role or None,
            "told": str(turn.reuse),
        }
        for turn in reuse.last
    ]


def _engine(slot: Slot) -> EngineValues:
    return EngineValues(
        name=slot.engine.name,
        state=slot.state.value,
        is_ready=slot.state is EngineState.READY,
        in_flight=slot.in_flight,
        generation=slot.generation,
        answered=slot.answered,
        breaker=slot.breaker.state.value,
        cooldown=slot.cooldown.rest,
    )


def _row(slot: Slot) -> dict[str, Any]:
    return {
        "name": slot.engine.name,
        "state": slot.state.value,
        "generation": slot.generation,
        "in_flight": slot.in_flight,
        "last_error": slot.last_error.message if slot.last_error else None,
        "account": slot.account or None,
        "login": slot.engine.login.value,
    }


def _wants_json(request: Request) -> bool:
    """Tell whether JSON is asked for by name; scrapers name a text, and most others nothing."""
    if request.query_params.get("format") == "json":
        return True
    accepted = request.headers.get("accept", "").lower()
    return "application/json" in accepted and not any(text in accepted for text in _TEXTS)
