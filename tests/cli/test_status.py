"""`lingma status`."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lingma_cli.paths import find_paths
from lingma_cli.server.presence import ServerFile, announce, only_server
from tests.support.cli import run_lingma
from tests.support.openai_server import error_reply, json_reply, openai_server

STATS = json_reply(
    {
        "concurrency": {"in_flight": 2, "queued": 1, "rejected_total": 0, "limit": 4},
        "pool": [
            {
                "name": "inst-0",
                "state": "ready",
                "account": "work",
                "login": "out",
                "in_flight": 2,
                "last_error": None,
            },
            {"name": "inst-1", "state": "starting", "in_flight": 0, "last_error": "it\x1b[1m died"},
        ],
        "stats": {"requests_total": 7},
    }
)
TURNS = [
    {
        "request_id": f"req-{number}",
        "model": "org_auto" if number else "",
        "engine": "inst-0",
        "reused": number > 1,
        "reason": "continued" if number > 1 else "differs",
        "message": None if number > 1 else 4,
        "role": None if number > 1 else "user",
        "told": "reused: it is known" if number > 1 else "new session: odd: messages[4] (user)",
    }
    for number in range(6)
]
REUSE = {"entries": 3, "hits": 4, "misses": 2, "reasons": {"differs": 2, "first_turn": 2, "off": 9}}
REMEMBERING = json_reply(
    {"concurrency": {}, "pool": [], "session_cache": {**REUSE, "last_turns": TURNS}}
)


@contextmanager
def found_by_file(home: Path, url: str) -> Iterator[None]:
    """Let `url` count as the running server of `home`."""
    paths = find_paths({"LINGMA_HOME": str(home)})
    with only_server(paths):
        announce(paths, ServerFile(url=url, pid=os.getpid(), started=time.time() - 3725))
        yield


def test_a_running_server_is_described(tmp_path: Path) -> None:
    """Where it is, since when, how busy, and how each engine is."""
    with openai_server(stats=STATS) as server, found_by_file(tmp_path, server.url):
        result = run_lingma("status", home=tmp_path)

    assert result.code == 0
    assert [
        f"server    {server.url}",
        f"process   {os.getpid()}",
        "uptime    1h 2m",
        "requests  2 running, 1 waiting",
        "",
        "INSTANCE  STATE     ACCOUNT  LOGIN  RUNNING  LAST ERROR",
        "inst-0    ready     work     out    2        -",
        "inst-1    starting  -        -      0        it died",
    ] == result.out.splitlines()


def test_status_as_json(tmp_path: Path) -> None:
    """The same for programs; uptime in seconds."""
    with openai_server(stats=STATS) as server, found_by_file(tmp_path, server.url):
        report = json.loads(run_lingma("status", "--json", home=tmp_path).out)

    assert (server.url, os.getpid(), 2, 1) == (
        report["url"],
        report["pid"],
        report["in_flight"],
        report["queued"],
    )
    assert 3725 <= report["uptime"] < 3825
    assert [entry["state"] for entry in report["instances"]] == ["ready", "starting"]
    assert (report["instances"][0]["account"], report["instances"][0]["login"]) == ("work", "out")
    assert report["instances"][1]["last_error"] == "it\x1b[1m died"
    assert report["session_cache"]["last_turns"] == []


def test_turns_are_shown_with_their_reasons(tmp_path: Path) -> None:
    """How many for which, most first, and why each of the latest five used a session or not."""
    with openai_server(stats=REMEMBERING) as server, found_by_file(tmp_path, server.url):
        shown = run_lingma("status", home=tmp_path)
        report = json.loads(run_lingma("status", "--json", home=tmp_path).out)

    assert [
        "sessions  3 kept",
        "turns     9 off, 2 differs, 2 first turn",
        "",
        "REQUEST  MODEL     ENGINE  SESSION",
        "req-1    org_auto  inst-0  new session: odd: messages[4] (user)",
        *[f"req-{number}    org_auto  inst-0  reused: it is known" for number in range(2, 6)],
    ] == shown.out.splitlines()[-9:]
    assert report["session_cache"] == {**REUSE, "last_turns": TURNS}


def test_without_the_admin_token_the_state_is_still_shown(tmp_path: Path) -> None:
    """A server elsewhere says who is ready; the rest is said to need the token."""
    refusal = error_reply(401, "the admin token is missing", "invalid_api_key")
    with openai_server(stats=refusal) as server:
        result = run_lingma("status", "--url", server.url, home=tmp_path)

    assert result.code == 0
    assert [
        f"server  {server.url}",
        "",
        "INSTANCE  STATE  ACCOUNT  LOGIN  RUNNING  LAST ERROR",
        "demo-0    ready  -        -      -        -",
    ] == result.out.splitlines()
    assert "admin token" in result.err
