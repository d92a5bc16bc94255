"""Engines that die before they have answered anything, in a pool whose other one serves.

What an hour of this looks like is shown in `tests/control/test_storm.py`; here, over the running
program, how it begins.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.support import odd_lingma
from tests.support.serving import Serving, serving, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the binaries are shell scripts")
# The second engine dies at once, the third does not know its flags; both note when and how.
BINARY = """\
#!/bin/sh
echo "$(date +%s.%N) $1" >> "{notes}/$(basename "$PWD")"
case "$PWD" in
*.1) exit 3 ;;
*.2) echo "Usage: odd [flags]"; exit 2 ;;
esac
exec "{python}" "{odd}" "$@"
"""
# A server of a template that dies at once, too.
DEAD = """
[[engine_templates]]
name = "dead"
command = ["/bin/false", "{model}", "{port}"]
[[engines]]
template = "dead"
model = "model"
"""
STARTS = 5
HALF_OF_FIRST_PAUSE = 0.25


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the settings and the binary in it."""
    notes = tmp_path / "notes"
    notes.mkdir()
    binary = tmp_path / "lingma"
    binary.write_text(
        BINARY.format(notes=notes, python=sys.executable, odd=odd_lingma.__file__),
        encoding="utf-8",
    )
    binary.chmod(stat.S_IRWXU)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(DEAD)
    return tmp_path


def _starts(server: Serving, engine: str) -> list[tuple[float, str]]:
    """Return when an engine was started, and the first word it was given."""
    notes = server.home / "notes" / engine
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [(float(when), word) for when, word in map(str.split, lines)]


def _deaths_of_template(server: Serving) -> int:
    return sum('"engine llm-model: ' in line for line in server.log.splitlines())


def _fit(starts: list[float]) -> bool:
    """Tell whether each pause is at least half of twice the one before: the rest is jitter."""
    return all(
        after - before >= HALF_OF_FIRST_PAUSE * 2**number
        for number, (before, after) in enumerate(pairwise(starts))
    )


def test_dead_engines_keep_nobody_from_serving(home: Path) -> None:
    """Every request is answered, and starts are ever further apart."""
    ours = ("--bin", str(home / "lingma"), "--no-auth", "--work-dir", str(home / "work"))
    with serving(home, *ours, "--engines", "3") as server:
        texts: list[tuple[int, bool]] = []
        while min(len(_starts(server, f"work.{number}")) for number in (1, 2)) < STARTS:
            # Each has a home of its own among all engines.
            answer = server.ask(f"question {len(texts)}", stream=len(texts) % 2 == 1)
            texts.append((answer.status_code, "fine" in answer.text))
        wait_until(lambda: _deaths_of_template(server) >= STARTS - 1, what="the dead server")

        assert set(texts) == {(200, True)}
        assert len(_starts(server, "work")) == 1
        assert _fit([when for when, _ in _starts(server, "work.1")])
        # What it wants is asked once; from then on it is started once a try.
        (_, first), *tries = _starts(server, "work.2")
        assert [first, *(word for _, word in tries)][:5] == [
            *("start", "--workDir"),
            *("start", "--workDir", "start"),
        ]
        assert _fit([when for when, _ in tries])
        engines = {
            engine["engine_id"]: engine
            for engine in server.get("/v1/management/engines").json()["engines"]
        }
        assert engines["inst-0"]["state"] == "READY"
        assert "status 3" in json.dumps(engines["inst-1"]) + server.log
        assert {one["generation"] for name, one in engines.items() if name != "inst-0"} == {0}
        refusal = server.post({"model": "model", "messages": [{"role": "user", "content": "?"}]})
        assert refusal.status_code in (502, 503)
        wait_until(lambda: server.in_flight() == 0, within=5, what="leases and tickets")


def test_an_engine_alone_says_why_it_is_not_there(home: Path) -> None:
    """A request is refused with the reason as soon as the first start has failed."""
    ours = ("--bin", str(home / "lingma"), "--no-auth", "--work-dir", str(home / "work.1"))
    with serving(home, *ours, ready=False) as server:
        answer = server.ask("anybody?")

        assert answer.status_code == 503
        assert "status 3" in answer.json()["error"]["message"]


def test_an_engine_that_freezes_is_replaced(tmp_path: Path) -> None:
    """The checks notice it though nobody asks it anything; the other one serves meanwhile."""
    checks = {
        "LINGMA_HEALTH_CHECK_INTERVAL_SECS": "0.2",
        "LINGMA_HEALTH_CHECK_TIMEOUT_SECS": "1",
    }
    with serving(tmp_path, "--demo", "--engines", "2", environ=checks) as server:
        wait_until(lambda: server.get("/healthz").json()["pool_ready"] == 2, what="both engines")
        frozen = psutil.Process(_listening(server)[-1])
        frozen.send_signal(signal.SIGSTOP)
        wait_until(lambda: server.get("/healthz").json()["pool_ready"] == 1, what="three strikes")
        assert {server.ask(f"question {number}").status_code for number in range(6)} == {200}
        wait_until(lambda: server.get("/healthz").json()["pool_ready"] == 2, what="a new one")

        assert not frozen.is_running()
        assert len(_listening(server)) == 2
        assert {server.ask(f"question {number}").status_code for number in range(6)} == {200}


def _listening(server: Serving) -> list[int]:
    """Return the processes that were the first engine, in their order."""
    notes = [note for note in server.journal_entries() if note["event"] == "listening"]
    return [int(str(note["pid"])) for note in notes]
