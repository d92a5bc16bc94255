"""Child processes that behave well or badly, as small Python programs, and a look at who lives."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

# What a program of a test may use: its flags, a listening socket, the info file, its pids, a rest.
_PRELUDE = """
import json, os, signal, socket, subprocess, sys, time
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
def listen():
    listener = socket.create_server(("127.0.0.1", int(flags["--socketPort"])))
    return listener, listener.getsockname()[1]
def write(name, value):
    with open(name + ".draft", "w") as file:
        json.dump(value, file)
    os.replace(name + ".draft", name)
def tell(port, pid):
    write(".info.json", {"websocketPort": port, "pid": pid})
def ignore_signals():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
def child(*options, **more):
    rest = [sys.executable, "-S", "-c", "import time; time.sleep(600)", *options]
    return subprocess.Popen(rest, preexec_fn=ignore_signals, **more).pid
def rest():
    time.sleep(600)
"""


def program(folder: Path, body: str) -> tuple[str, ...]:
    """Write a program and return the command that runs it."""
    path = folder / "binary.py"
    path.write_text(_PRELUDE + body, encoding="utf-8")
    return (sys.executable, "-S", str(path))


def read_when_written(path: Path, within: float = 10.0) -> object:
    """Wait for a file of `write` and return its value."""
    deadline = time.monotonic() + within
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} was never written"
        time.sleep(0.005)
    return json.loads(path.read_text(encoding="utf-8"))


def survivors(pids: Iterable[int], within: float) -> list[int]:
    """Return who still lives when the time is over, or nobody as soon as that is so."""
    deadline = time.monotonic() + within
    while (alive := [pid for pid in pids if _lives(pid)]) and time.monotonic() < deadline:
        time.sleep(0.005)
    return alive


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
