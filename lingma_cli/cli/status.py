"""`lingma status`: whether a server runs, and how it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, Json, Url
from lingma_cli.errors import ErrorKind, LingmaError

if TYPE_CHECKING:
    from lingma_cli.cli.target import Target
    from lingma_cli.client import Client, Health, Stats


def status(*, url: Url = None, config: ConfigFile = None, json: Json = False) -> None:
    """Show the running server: where it is, since when, and each engine's state."""
    from lingma_cli.cli.target import find_target  # noqa: PLC0415 - not for `--help`

    target = find_target(url, config)
    with target.connect() as client:
        report = _report(target, client, now=time.time())
    if json:
        output.print_json(report)
    else:
        _render(report)


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


def _stats(client: Client) -> Stats | None:
    try:
        return client.stats()
    except LingmaError as error:
        if error.kind not in (ErrorKind.UNAUTHENTICATED, ErrorKind.FORBIDDEN):
            raise
    output.say("note: load and errors are shown to holders of the admin token only", dim=True)
    return None


def _render(report: dict[str, Any]) -> None:
    facts = [("server", report["url"])]
    if report["pid"] is not None:
        facts += [("process", str(report["pid"])), ("uptime", _duration(report["uptime"]))]
    if report["in_flight"] is not None:
        facts.append(("requests", f"{report['in_flight']} running, {report['queued']} waiting"))
    output.print_columns(facts)
    output.print_text("")
    names = ("name", "state", "account", "login", "in_flight", "last_error")
    rows = [tuple(_shown(entry[name]) for name in names) for entry in report["instances"]]
    head = ("INSTANCE", "STATE", "ACCOUNT", "LOGIN", "RUNNING", "LAST ERROR")
    output.print_columns([head, *rows])


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _duration(seconds: int) -> str:
    minutes, hours = seconds // 60, seconds // 3600
    if not minutes:
        return f"{seconds}s"
    return f"{hours}h {minutes % 60}m" if hours else f"{minutes}m {seconds % 60}s"
