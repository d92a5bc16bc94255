"""Engines that can be killed: simulated Lingma processes, their guardians, and HTTP servers."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from tests.support.kills import http_engine
from tests.support.serving import Serving, wait_until

_GONE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One end; moments are `time.monotonic`.

    Attributes:
        engine: the engine's name.
        what: `simulator`, `guardian` or `server`.
        generation: the life that ended, `None` for a server of somebody else's.
        signalled: right before the signal was sent.
        back: when whoever comes after it answers, if that is known.
    """

    engine: str
    what: str
    generation: int | None
    signalled: float
    back: float | None = None


class Prey(Protocol):
    """An engine that can be killed."""

    name: str

    def kill(self, *, unproved: bool) -> Kill | None:
        """Kill it if it serves, and return when it is gone; `None` when it is not up.

        Args:
            unproved: also if it has not answered anything since it was killed last.
        """
        ...


class Simulator:
    """A Lingma engine of the server.

    Args:
        server: whose engine it is.
        place: its number.
    """

    def __init__(self, server: Serving, place: int) -> None:
        self.name = f"demo-{place}"
        self._server = server
        self._folder = server.home / "data" / (f"demo.{place}" if place else "demo")
        self._answered = 0

    @property
    def journal(self) -> Path:
        """What it has written down, in all its lives."""
        return self._folder / "logs" / "demo.jsonl"

    def kill(self, *, unproved: bool) -> Kill | None:
        """Kill the process that serves."""
        return self.end("simulator", unproved=unproved)

    def end(self, what: str, *, unproved: bool) -> Kill | None:
        """Kill the process that serves, or its guardian: the process must go with it."""
        state = slots(self._server)[self.name]
        is_proved = state["answered"] > self._answered
        if state["state"] != "ready" or not (is_proved or unproved):
            return None
        try:
            told = json.loads((self._folder / ".info.json").read_text())
            process = psutil.Process(told["pid"])
            guardian = process.parent()
        except (OSError, ValueError, psutil.Error):
            return None
        # A dead one that nobody has noticed yet.
        if not lives(process) or guardian is None or "guardian.py" not in str(guardian.cmdline()):
            return None
        signalled = time.monotonic()
        (guardian if what == "guardian" else process).kill()
        wait_until(lambda: not lives(process), within=_GONE_SECONDS, what=f"end of {self.name}")
        self._answered = state["answered"]
        return Kill(
            engine=self.name,
            what=what,
            generation=state["generation"],
            signalled=signalled,
        )


class Guardian:
    """The small process that runs a simulator."""

    def __init__(self, ward: Simulator) -> None:
        self.name = ward.name
        self._ward = ward

    def kill(self, *, unproved: bool) -> Kill | None:
        """Kill it, and see the simulator go."""
        return self._ward.end("guardian", unproved=unproved)


class HttpServer:
    """An OpenAI-compatible server, started again at once on its port when it is killed.

    Args:
        folder: where it keeps its log.
        models: what it offers.
    """

    def __init__(self, folder: Path, models: Sequence[str]) -> None:
        folder.mkdir(parents=True)
        self.name = ""
        self.journal = folder / "asked.jsonl"
        self.journal.touch()
        # Bound and never listening: while the server is away nobody else gets its port.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self._port: int = self._place.getsockname()[1]
        self._models = models
        self._process = self._started()

    @property
    def url(self) -> str:
        """Its base."""
        return f"http://127.0.0.1:{self._port}"

    def kill(self, *, unproved: bool) -> Kill:
        """Kill it and start it again."""
        del unproved
        signalled = time.monotonic()
        self._process.kill()
        self._process.wait()
        self._process = self._started()
        back = time.monotonic()
        return Kill(
            engine=self.name, what="server", generation=None, signalled=signalled, back=back
        )

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._place.close()

    def _started(self) -> subprocess.Popen[bytes]:
        script = Path(http_engine.__file__)
        words = (str(self._port), str(self.journal), *self._models)
        command = [sys.executable, "-I", "-S", str(script), *words]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self._answers, what="the server's port")
        return process

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True


@contextlib.contextmanager
def http_servers(folder: Path, count: int, models: Sequence[str]) -> Iterator[list[HttpServer]]:
    """Run servers for this context."""
    with contextlib.ExitStack() as stack:
        servers = [HttpServer(folder / str(number), models) for number in range(count)]
        for one in servers:
            stack.callback(one.close)
        yield servers


def slots(server: Serving) -> Mapping[str, dict[str, Any]]:
    """Return what the server says of its engines, by name."""
    return {engine["name"]: engine for engine in metrics(server)["engines"]}


def metrics(server: Serving) -> dict[str, Any]:
    """Return `/metrics` as JSON."""
    page: dict[str, Any] = server.get("/metrics", params={"format": "json"}).json()
    return page


def lives(process: psutil.Process) -> bool:
    """Tell whether a process is there, and not only waited for by its parent."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
