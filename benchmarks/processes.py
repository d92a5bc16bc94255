"""Start the measured programs, pin them, read their CPU clocks, and leave none behind.

Linux only: it relies on per-process CPU clocks and on CPU affinity.
"""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.errors import BenchmarkError
from benchmarks.port_file import read_port

_ROOT = Path(__file__).resolve().parents[1]
_START_LIMIT = 30.0
_STOP_LIMIT = 5.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One measured server on loopback."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Which CPU runs the measured servers, and which one everything else."""

    servers: int
    rest: int


class Server(msgspec.Struct):
    """What `lingma serve` writes about itself into `server.json`."""

    url: str
    pid: int

    @property
    def port(self) -> int:
        """The port of the URL."""
        return int(self.url.rstrip("/").rsplit(":", 1)[1])


def choose_cores() -> Cores:
    """The first and the last CPU this process may use; the same one if there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(servers=allowed[0], rest=allowed[-1])


def cpu_time_ns(pid: int) -> int:
    """CPU time of a process, user and system, all its threads, without its children."""
    # The clock id that clock_getcpuclockid(3) makes of a pid.
    return time.clock_gettime_ns(~pid << 3 | 2)


def wait_until(
    ready: Callable[[], _T | None],
    what: str,
    process: subprocess.Popen[bytes],
    limit: float = _START_LIMIT,
) -> _T:
    """Poll until there is a value.

    Raises:
        BenchmarkError: after `limit` seconds, or when the process that should bring it has ended.
    """
    deadline = time.monotonic() + limit
    while (value := ready()) is None:
        if process.poll() is not None:
            raise BenchmarkError(f"{what} ended with exit code {process.returncode}")
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{what} did not come up in {limit:.0f} s")
        time.sleep(0.005)
    return value


@contextmanager
def running(
    command: Sequence[str | Path], log: Path, core: int, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in its own process group on one CPU, and end the whole group afterwards."""
    allowed = os.sched_getaffinity(0)
    with log.open("wb") as output:
        # A child inherits the affinity; pinning it later would miss its threads.
        os.sched_setaffinity(0, {core})
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=_ROOT,
                env=env,
            )
        finally:
            os.sched_setaffinity(0, allowed)
    try:
        yield process
    except BenchmarkError as error:
        if said := log.read_text(errors="replace"):
            error.add_note(f"{log.name}:\n{said[-2000:]}")
        raise
    finally:
        _stop(process)


@contextmanager
def running_sse_upstream(folder: Path, cores: Cores) -> Iterator[int]:
    """The upstream of the pass-through; gives its port."""
    port_file = folder / "sse_upstream.json"
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.sse_upstream", port_file]
    with running(command, folder / "sse_upstream.log", cores.rest) as process:
        yield wait_until(lambda: read_port(port_file), "the SSE upstream", process)


@contextmanager
def running_pass_through(folder: Path, cores: Cores, upstream_port: int) -> Iterator[System]:
    """The pass-through proxy in front of a running upstream."""
    port_file = folder / "pass_through.json"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.pass_through",
        port_file,
        str(upstream_port),
    ]
    with running(command, folder / "pass_through.log", cores.servers) as process:
        port = wait_until(lambda: read_port(port_file), "the pass-through", process)
        yield System(name="pass-through", port=port, pid=process.pid)


@contextmanager
def running_product(folder: Path, cores: Cores, lingma: Path) -> Iterator[System]:
    """`lingma serve` on the scripted binary, without admission limit, in a home of its own."""
    home = folder / "home"
    home.mkdir()
    binary = write_launcher(folder / "scripted-lingma", cores.rest)
    command: list[str | Path] = [lingma, "serve", "--bin", binary, "--port", "0", "--no-auth"]
    with running(command, folder / "product.log", cores.servers, product_env(home)) as process:
        server = wait_until(lambda: find_server(home), "`lingma serve`", process)
        yield System(name="product", port=server.port, pid=server.pid)


def product_env(home: Path) -> dict[str, str]:
    """The environment of the product: no settings of the user's, its own home, no limit."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LINGMA_")}
    return env | {"LINGMA_HOME": str(home), "LINGMA_GATEWAY_MAX_IN_FLIGHT": "0"}


def find_server(home: Path) -> Server | None:
    """What `serve` wrote about itself, or None as long as it has not."""
    for path in home.rglob("server.json"):
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode(path.read_bytes(), type=Server)
    return None


def write_launcher(path: Path, core: int) -> Path:
    """An executable that becomes the scripted Lingma on a CPU of its own."""
    # The product passes an allow-listed environment on: everything stands in the file.
    path.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        f"os.sched_setaffinity(0, {{{core}}})\n"
        f"sys.path.insert(0, {str(_ROOT)!r})\n"
        "from benchmarks.lingma_upstream import main\n"
        "main()\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_LIMIT)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_STOP_LIMIT)
