"""Engines as programs see them: one record of the pool in the words of three control planes.

Sources: SAGE's gateway (EngineInfo, backends) and the SGLang model gateway (workers).
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final, Protocol, runtime_checkable

from lingma_cli.control.breaker import BreakerState
from lingma_cli.control.fleet import url_of
from lingma_cli.control.lifecycle import ENDED, LEAVING
from lingma_cli.control.persisted import ManagedEntry
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.address import Address

_PRIORITY: Final = 50
_COST: Final = 1.0

Json = dict[str, Any]


@runtime_checkable
class OfProcess(Protocol):
    """An engine with a process of ours."""

    @property
    def pid(self) -> int | None:
        """Its process, `None` while there is none."""
        ...


def moment(seconds: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")


def is_healthy(slot: Slot) -> bool:
    """Tell whether an engine is ready and its breaker lets requests through."""
    return slot.state is EngineState.READY and slot.breaker.state is not BreakerState.OPEN


def model_of(slot: Slot) -> str:
    """Return the model that an engine is for: the one it was added for, else its default."""
    if isinstance(slot.entry, ManagedEntry):
        named = slot.entry.label or slot.entry.model
        return slot.engine.models[0].key if slot.engine.models else named
    if slot.entry is not None and slot.entry.model:
        return slot.entry.model
    models = slot.engine.models
    return next(
        (model.key for model in models if model.is_default), models[0].key if models else ""
    )


def labels_of(slot: Slot) -> dict[str, str]:
    """Return what the user wants to know of an engine."""
    return dict(slot.entry.labels) if slot.entry is not None else {}


# SAGE


def engine_info(slot: Slot, now: float) -> Json:
    """Return an EngineInfo, and after it what only we know.

    Args:
        slot: of the engine.
        now: seconds since 1970.
    """
    host, port = _place(slot)
    is_up = slot.ready_at is not None and slot.state in {EngineState.READY, EngineState.DRAINING}
    return {
        "engine_id": slot.id,
        "model_id": model_of(slot),
        "host": host,
        "port": port,
        "state": slot.state.name,
        "engine_kind": slot.kind,
        "created_at": moment(slot.created),
        "last_heartbeat": moment(slot.last_heartbeat) if slot.last_heartbeat else None,
        "consecutive_failures": slot.breaker.failures,
        "active_requests": slot.in_flight,
        "metadata": labels_of(slot),
        # From here on ours.
        "name": slot.engine.name,
        "url": url_of(slot) or None,
        "uptime_seconds": round(now - slot.ready_at, 1) if is_up and slot.ready_at else 0.0,
        "max_concurrent_requests": slot.limit,
        "generation": slot.generation,
        "reason": slot.reason,
        "last_error": slot.last_error.message if slot.last_error else None,
        "account": slot.account or None,
        "login": slot.engine.login.value,
        "breaker": slot.breaker.state.value,
        "cooldown_seconds": round(slot.cooldown.rest, 1),
        "pid": slot.engine.pid if isinstance(slot.engine, OfProcess) else None,
        "is_owned": slot.is_owned,
        "is_removable": slot.entry is not None,
        "remembered": slot.is_remembered,
    }


def started(slot: Slot, now: float) -> Json:
    """Return the answer to the start of an engine: its EngineInfo, and the same laid flat."""
    info = engine_info(slot, now)
    return {
        "engine": info,
        "id": slot.id,
        "engine_id": slot.id,
        "instance_id": slot.id,
        "model_id": info["model_id"],
        "host": info["host"],
        "port": info["port"],
        "gpu_ids": [],
        "engine_label": slot.entry.label if isinstance(slot.entry, ManagedEntry) else None,
        "engine_kind": slot.kind,
        "status": slot.state.name,
        "pid": info["pid"],
        "uptime_seconds": info["uptime_seconds"],
    }


def backends(registry: Registry, own: tuple[str, int], now: float) -> Json:
    """Return all engines as addresses for clients.

    Args:
        registry: the pool.
        own: host and port of this server, through which engines without an address are reached.
        now: seconds since 1970.
    """
    # Whoever is about to leave, or has, is no address any more.
    there = [slot for slot in registry.slots if slot.state not in LEAVING]
    answer: Json = {}
    for kind in ("llm", "embedding"):
        slots = [slot for slot in there if slot.kind == kind]
        answer |= {
            f"{kind}_backends": [_backend(slot, own) for slot in slots],
            f"total_{kind}_backends": len(slots),
            f"healthy_{kind}_backends": sum(map(is_healthy, slots)),
        }
    return {**answer, "timestamp": moment(now)}


def _backend(slot: Slot, own: tuple[str, int]) -> Json:
    host, port = _place(slot)
    base = url_of(slot)
    if not base:
        host, port = own
        base = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return {
        "instance_id": slot.id,
        "host": host,
        "port": port,
        "model_name": model_of(slot),
        "base_url": f"{base}/v1",
        "is_healthy": is_healthy(slot),
        "is_available": slot.is_free,
        "active_requests": slot.in_flight,
        "max_concurrent_requests": slot.limit,
        "metadata": labels_of(slot),
    }


def _place(slot: Slot) -> tuple[str | None, int | None]:
    if not (url := url_of(slot)):
        return None, None
    address = Address.parse(url)
    return address.host, address.port


# SGLang


def worker_url(slot: Slot) -> str:
    """Return a URL that names an engine; not one to ask if it has no address of its own."""
    return url_of(slot) or f"lingma://{slot.id}"


def worker_id(slot: Slot) -> str:
    """Return the UUID by which workers are known; the same after a restart."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lingma://{slot.id}"))


def worker(slot: Slot, now: float) -> Json:
    """Return an engine as a worker, with its job while it is on its way in or out."""
    labels = labels_of(slot)
    shown: Json = {
        "id": worker_id(slot),
        "url": worker_url(slot),
        "model_id": model_of(slot),
        "priority": _number(labels.get("priority"), _PRIORITY, int),
        "cost": _number(labels.get("cost"), _COST, float),
        "worker_type": "regular",
        "is_healthy": is_healthy(slot),
        "load": slot.in_flight,
        "connection_mode": "HTTP" if url_of(slot) else "LOCAL",
        "metadata": {
            **labels,
            "engine_id": slot.id,
            "kind": slot.kind,
            "state": slot.state.value,
            "reason": slot.reason,
        },
        "disable_health_check": False,
    }
    job = _job(slot, now)
    return shown if job is None else {**shown, "job_status": job}


def workers(registry: Registry, now: float) -> Json:
    """Return all engines as workers."""
    listed = [worker(slot, now) for slot in registry.slots]
    stats = {"prefill_count": 0, "decode_count": 0, "regular_count": len(listed)}
    return {"workers": listed, "total": len(listed), "stats": stats}


def _job(slot: Slot, now: float) -> Json | None:
    is_new = slot.generation == 0
    if slot.state is EngineState.DRAINING:
        what, status = "RemoveWorker", "processing"
    elif slot.state is EngineState.STARTING and is_new:
        what, status = "AddWorker", "processing"
    elif slot.state in ENDED and is_new:
        what, status = "AddWorker", "failed"
    else:
        return None
    return {
        "job_type": what,
        "worker_url": worker_url(slot),
        "status": status,
        "message": slot.reason,
        "timestamp": moment(now),
    }


def _number(text: str | None, usual: float, kind: type[int | float]) -> float:
    try:
        return kind(text) if text is not None else usual
    except ValueError:
        # A label of that name that somebody else has set.
        return usual
