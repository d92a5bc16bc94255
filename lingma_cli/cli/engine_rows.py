"""An engine as `lingma engine` shows it: one record, for programs and as a row of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lingma_cli.cli import output
from lingma_cli.cli.moments import duration

if TYPE_CHECKING:
    from lingma_cli.client.engines import EngineInfo
    from lingma_cli.control.persisted import Entry

LEFT_OUT: Final = "left out"
_HEADS: Final = (
    *("ENGINE", "MODEL", "KIND", "STATE", "WHERE", "RUNNING"),
    *("LIFE", "PROCESS", "UPTIME", "LAST ERROR"),
)


def of_running(engine: EngineInfo) -> dict[str, Any]:
    """Return what a server says of an engine, for programs; unknown things are `None`."""
    return {
        "id": engine.engine_id,
        "model": engine.model_id or None,
        "kind": engine.engine_kind,
        "state": engine.state.lower(),
        "url": engine.url,
        "port": engine.port,
        "in_flight": engine.active_requests,
        "generation": engine.generation,
        "pid": engine.pid,
        "uptime": int(engine.uptime_seconds),
        "account": engine.account,
        "cooldown": engine.cooldown_seconds,
        "breaker": engine.breaker,
        "last_error": engine.last_error,
    }


def of_entry(entry: Entry, *, is_left_out: bool = False) -> dict[str, Any]:
    """Return the same of an engine that is remembered and not served.

    Args:
        entry: what is remembered.
        is_left_out: whether a server runs, and has not taken it up.
    """
    state = "stopped" if entry.stopped else None
    unknown = ("in_flight", "generation", "pid", "uptime", "account", "cooldown", "breaker")
    return {
        "id": entry.id,
        "model": getattr(entry, "label", "") or entry.model or None,
        "kind": entry.kind,
        "state": LEFT_OUT if is_left_out else state,
        "url": getattr(entry, "url", None),
        "port": getattr(entry, "port", None) or None,
        **dict.fromkeys(unknown),
        "last_error": None,
    }


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what `of_running` and `of_entry` return."""
    output.print_columns([_HEADS, *map(_cells, rows)])


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    port = f"port {row['port']}" if row["port"] else None
    uptime = duration(row["uptime"]) if row["uptime"] else None
    shown = (
        *(row["id"], row["model"], row["kind"], row["state"], row["url"] or port),
        *(row["in_flight"], row["generation"], row["pid"], uptime, _trouble(row)),
    )
    return tuple("-" if cell is None else str(cell) for cell in shown)


def _trouble(row: Mapping[str, Any]) -> str | None:
    if row["cooldown"]:
        return f"its quota is used up; it rests for {duration(max(1, int(row['cooldown'])))}"
    if row["state"] == "ready" and row["breaker"] == "open":
        return "it has failed too often and is left alone for a while"
    error: str | None = row["last_error"]
    return error
