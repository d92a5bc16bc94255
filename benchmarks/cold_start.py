"""How long the program takes to say something: wall-clock rows.

Owns the commands that are timed. Must not know the loads.
"""

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.processes import Cores, find_server, product_env, running, wait_until
from benchmarks.report import Row

_LIMIT = 20.0
_YARDSTICK = "import typer"


def command_rows(lingma: Path, rounds: int) -> list[Row]:
    """Milliseconds of `--version` and `--help`, against importing the command-line library."""
    yardstick = [sys.executable, "-c", _YARDSTICK]
    commands: list[Sequence[str | Path]] = [[lingma, "--version"], [lingma, "--help"], yardstick]
    for command in commands:  # the first run compiles and fills the disk cache
        _command_ms(command)
    samples = [[_command_ms(command) for command in commands] for _ in range(rounds)]
    version, shown_help, base = (tuple(column) for column in zip(*samples, strict=True))
    return [
        Row(name=name, unit="ms", product=product, base_name=f"`{_YARDSTICK}`", base=base)
        for name, product in (("lingma --version", version), ("lingma --help", shown_help))
    ]


def ready_row(lingma: Path, cores: Cores, rounds: int) -> Row:
    """Seconds from the start of `lingma serve --demo` to the first 200 of `/healthz`."""
    samples = tuple(_ready_s(lingma, cores) for _ in range(rounds))
    return Row(name="lingma serve --demo to /healthz", unit="s", product=samples)


def _command_ms(command: Sequence[str | Path]) -> float:
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        # `wait` with a time-out polls in growing steps, which would round the result.
        ended = os.pidfd_open(process.pid)
        try:
            select.select([ended], [], [], _LIMIT)
            spent = time.perf_counter() - start
        finally:
            os.close(ended)
            process.kill()
    if process.returncode:
        raise BenchmarkError(f"exit code {process.returncode} from: {command}")
    return spent * 1000


def _ready_s(lingma: Path, cores: Cores) -> float:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        command: list[str | Path] = [lingma, "serve", "--demo", "--port", "0"]
        start = time.perf_counter()
        with running(
            command, Path(name) / "serve.log", cores.servers, product_env(home)
        ) as process:
            server = wait_until(lambda: find_server(home), "`lingma serve --demo`", process)
            wait_until(lambda: _healthy(server.port), "`/healthz`", process)
            return time.perf_counter() - start


def _healthy(port: int) -> bool | None:
    request = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(request)
            return True if connection.recv(64).startswith(b"HTTP/1.1 200 ") else None
    except OSError:
        return None
