"""The installed program as a child process: `lingma serve`, found, asked and ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.cli import no_keyring

WAIT_SECONDS = 20.0
# For servers of tests that change the pool with the user's own rights.
ADMIN = {"LINGMA_ADMIN_TOKEN": "an-admin-token-of-the-tests-0123"}


def program_environment(home: Path, **more: str) -> dict[str, str]:
    """Return a clean environment in which `home` is the program's home."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    own = {"LINGMA_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    return kept | own | no_keyring(more) | more


@dataclass
class Serving:
    """A running `lingma serve`."""

    process: subprocess.Popen[bytes]
    home: Path
    url: str = ""

    @property
    def journal(self) -> Path:
        """The demo's journal of what reached it."""
        return self.home / "data" / "demo" / "logs" / "demo.jsonl"

    @property
    def log(self) -> str:
        """All it has printed to stderr so far."""
        return (self.home / "stderr").read_text(errors="replace")

    def get(self, path: str, **options: object) -> httpx.Response:
        """GET `path`."""
        return httpx.get(self.url + path, trust_env=False, timeout=WAIT_SECONDS, **options)  # type: ignore[arg-type]

    def administer(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Ask a path of the admin's, with the token of `ADMIN`."""
        headers = {"authorization": f"Bearer {ADMIN['LINGMA_ADMIN_TOKEN']}"}
        return httpx.request(
            method,
            self.url + path,
            json=body,
            headers=headers,
            trust_env=False,
            timeout=WAIT_SECONDS,
        )

    def post(self, body: object, path: str = "/v1/chat/completions") -> httpx.Response:
        """POST `body` as JSON."""
        return httpx.post(self.url + path, json=body, trust_env=False, timeout=WAIT_SECONDS)

    def ask(self, text: str, *, stream: bool = False) -> httpx.Response:
        """Ask one question."""
        message = {"role": "user", "content": text}
        return self.post({"model": "org_auto", "messages": [message], "stream": stream})

    def stats(self) -> dict[str, Any]:
        """Return `/internal/stats`."""
        answer: dict[str, Any] = self.administer("GET", "/internal/stats").json()
        return answer

    def in_flight(self) -> int:
        """Return how many requests are inside, and how many leases are out, added up."""
        stats = self.stats()
        leases = sum(slot["in_flight"] for slot in stats["pool"])
        return int(stats["concurrency"]["in_flight"] + leases)

    def children(self) -> list[psutil.Process]:
        """Return the process family below the server."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def journal_entries(self) -> list[dict[str, object]]:
        """Return what the demo wrote down so far."""
        lines = self.journal.read_text().split("\n") if self.journal.exists() else []
        return [json.loads(line) for line in lines if line]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


def wait_until(
    condition: Callable[[], object], *, within: float = WAIT_SECONDS, what: str = ""
) -> None:
    """Poll `condition` until it holds, at most `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within} s in vain: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def serving(
    home: Path, *arguments: str, environ: Mapping[str, str] | None = None, ready: bool = True
) -> Iterator[Serving]:
    """Run `lingma serve --port 0 …` in `home` for this context; nothing of it is left after."""
    home.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lingma_cli", "serve", "--port", "0", *arguments]
    with (home / "stderr").open("wb") as errors, (home / "stdout").open("wb") as out:
        process = subprocess.Popen(
            command,
            env=program_environment(home, **(environ or {})),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )
    server = Serving(process, home)
    try:
        wait_until(
            lambda: (home / "run" / "server.json").exists() or process.poll() is not None,
            what="server.json",
        )
        assert process.poll() is None, server.log
        server.url = json.loads((home / "run" / "server.json").read_text())["url"]
        if ready:
            wait_until(
                lambda: server.get("/healthz").json()["pool_ready"] > 0, what="a ready engine"
            )
        yield server
    finally:
        family = psutil.Process(process.pid).children(recursive=True) if _lives(process) else []
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for child in family:
            with contextlib.suppress(psutil.Error):
                child.kill()


def _lives(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None and psutil.pid_exists(process.pid)
