"""`lingma status`: whether a server runs, and how it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from lingma_cli.cli import output
from lingma_cli.cli.moments import duration
from lingma_cli.cli.options import ConfigFile, Json, Url
from lingma_cli.errors import ErrorKind, LingmaError

_TURNS_SHOWN: Final = 5

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lingma_cli.cli.target import Target
    from lingma_cli.client.server import Client, Health, Stats


def status(*, url: Url = None, config: ConfigFile = None, json: Json = False) -> None:
    """Show the running server: where it is, since when, its engines, and the latest turns."""
    from lingma_cli.cli.target import find_target  # noqa: PLC0415 - not for `--help`

    report = describe(find_target(url, config))
    if json:
        output.print_json(report)
    else:
        show(report)


def describe(target: Target) -> dict[str, Any]:
    """Return what is known of a server, for programs."""
    with target.connect() as client:
        return _report(target, client, now=time.time())


def _report(target: Target, client: Client, *, now: float) -> dict[str, Any]:
    health, stats = client.health(), _stats(client)
    server, load = target.server, stats.concurrency if stats else None
    return {
        "url": target.url,
        "pid": server.pid if server else None,
        "uptime": max(0, int(now - server.started)) if server else None,
        "in_flight": load.in_flight if load else None,
        "queued": load.queued if load else None,
        "instances": _instances(health, stats),
        "session_cache": _sessions(stats),
    }


def _instances(health: Health, stats: Stats | None) -> list[dict[str, Any]]:
    if stats is None:
        unknown = dict.fromkeys(("account", "login", "in_flight", "last_error"))
        return [{"name": entry.name, "state": entry.state} | unknown for entry in health.instances]
    return [
        {
            "name": entry.name,
            "state": entry.state,
            "account": entry.account,
            "login": entry.login,
            "in_flight": entry.in_flight,
            "last_error": entry.last_error,
        }
        for entry in stats.pool
    ]


def _sessions(stats: Stats | None) -> dict[str, Any] | None:
    from msgspec import to_builtins  # noqa: PLC0415 - not for `--help`

    return to_builtins(stats.session_cache) if stats is not None else None


def _stats(client: Client) -> Stats | None:
    try:
        return client.stats()
    except LingmaError as error:
        if error.kind not in (ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN):
            raise
    output.say("note: load and errors are shown to holders of the admin token only", dim=True)
    return None


def show(report: dict[str, Any], more: Sequence[tuple[str, str]] = ()) -> None:
    """Print what `describe` has returned, with `more` facts about the server."""
    facts = [("server", report["url"])]
    if report["pid"] is not None:
        facts += [("process", str(report["pid"])), ("uptime", duration(report["uptime"]))]
    if report["in_flight"] is not None:
        facts.append(("requests", f"{report['in_flight']} running, {report['queued']} waiting"))
    output.print_columns([*facts, *more])
    output.print_text("")
    names = ("name", "state", "account", "login", "in_flight", "last_error")
    rows = [tuple(_shown(entry[name]) for name in names) for entry in report["instances"]]
    head = ("INSTANCE", "STATE", "ACCOUNT", "LOGIN", "RUNNING", "LAST ERROR")
    output.print_columns([head, *rows])
    if report["session_cache"] is not None:
        _show_sessions(report["session_cache"])


def _show_sessions(cache: dict[str, Any]) -> None:
    """Print how conversations fared, and why the latest turns went on in a session or did not."""
    turns = cache["last_turns"]
    if not turns:
        return
    counts = sorted(cache["reasons"].items(), key=lambda entry: (-entry[1], entry[0]))
    told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in counts)
    output.print_text("")
    output.print_columns([("sessions", f"{cache['entries']} kept"), ("turns", told)])
    output.print_text("")
    names = ("request_id", "model", "engine", "told")
    rows = [tuple(turn[name] or "-" for name in names) for turn in turns[-_TURNS_SHOWN:]]
    output.print_columns([("REQUEST", "MODEL", "ENGINE", "SESSION"), *rows])


def _shown(value: object) -> str:
    return "-" if value is None else str(value)
