"""The life of the process: ports, info files, start faults, signals."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.demo.client import Demo, ask, eventually, launch, run, running, talking


def test_it_announces_itself(tmp_path: Path) -> None:
    """Ready line on stdout and in the log, banner on stderr, info files true."""
    with launch("start", "--workDir", str(tmp_path), "--socketPort=0", "--httpPort=0") as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        info = json.loads((tmp_path / ".info.json").read_text())
        process.terminate()
        _, err = process.communicate(timeout=5)

    assert line.startswith(
        f"Communication servers ready - WebSocket: {info['websocketPort']}, HTTP: "
    )
    assert info["pid"] == process.pid
    assert (tmp_path / ".info").read_text().splitlines()[:2] == [
        str(info["websocketPort"]),
        str(process.pid),
    ]
    assert line in (tmp_path / "logs/lingma.log").read_text()
    assert "this is a simulator" in err
    assert process.returncode == 0


def test_wanted_ports_are_taken_and_busy_ones_left(tmp_path: Path) -> None:
    """The info file tells where it really listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        with running(tmp_path / "a", "--socketPort", str(busy), "--httpPort", str(busy)) as demo:
            first = demo.written["websocketPort"]
            assert first != busy
            assert ask(demo, "[[demo: echo]] hi").text == "hi"
    with running(tmp_path / "b", "--socketPort", str(busy), "--httpPort", "0") as demo:
        assert demo.written["websocketPort"] == busy


def test_another_port_can_be_insisted_on(tmp_path: Path) -> None:
    """The requested port is not a promise."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        wanted = free.getsockname()[1]
    with running(tmp_path, "--socketPort", str(wanted), start="port=other") as demo:
        assert demo.written["websocketPort"] != wanted


@pytest.mark.parametrize("code", [0, 7])
def test_a_start_can_exit_at_once(tmp_path: Path, code: int) -> None:
    """With a last word on stderr and no info file."""
    result, _, err = run("start", "--workDir", str(tmp_path), start=f"exit={code}")

    assert result == code
    assert "simulated failure" in err
    assert not (tmp_path / ".info.json").exists()


def test_a_start_fault_can_happen_once(tmp_path: Path) -> None:
    """The second start in the same work directory is a plain one."""
    first, _, _ = run("start", "--workDir", str(tmp_path), start="exit=3 once")
    with running(tmp_path, start="exit=3 once") as demo:
        assert ask(demo, "[[demo: echo]] hi").text == "hi"

    assert first == 3


def test_a_flood_comes_before_everything(tmp_path: Path) -> None:
    """Whoever does not drain both pipes waits for ever."""
    command = [sys.executable, "-m", "lingma_cli.demo", "start", "--workDir", str(tmp_path)]
    environment = {"LINGMA_DEMO_START": "flood=1m", "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [*command, "--socketPort=0", "--httpPort=0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        size = 0
        while b"Communication" not in (line := process.stdout.readline()):
            size += len(line)
        process.kill()

    assert size > 2_000_000


@pytest.mark.parametrize("delays", ["delay=0.2", "info_delay=0.2"])
def test_a_start_can_be_slow(tmp_path: Path, delays: str) -> None:
    """Before it listens, or before it tells where."""
    begun = time.monotonic()
    with running(tmp_path, start=delays) as demo:
        assert time.monotonic() - begun >= 0.2
        assert demo.written["pid"] == demo.process.pid


def test_a_slow_start_can_be_stopped(tmp_path: Path) -> None:
    """SIGTERM counts during the delay as well."""
    with running(tmp_path, ready=False, start="delay=60") as demo:
        eventually((tmp_path / "logs/lingma.log").exists)
        demo.process.terminate()
        assert demo.process.wait(5) == 0


def test_initialize_can_be_slow(tmp_path: Path) -> None:
    """The port connects long before the handshake answers."""

    async def exchange(demo: Demo) -> float:
        async with talking(demo) as client:
            begun = time.monotonic()
            await client.call("initialize")
            return time.monotonic() - begun

    with running(tmp_path, start="initialize_delay=0.2") as demo:
        assert asyncio.run(exchange(demo)) >= 0.2


@pytest.mark.parametrize(
    ("variant", "names"),
    [
        ("json", [".info.json"]),
        ("text", [".info"]),
        ("text-noipc", [".info"]),
        ("none", []),
    ],
)
def test_info_files_can_be_missing(tmp_path: Path, variant: str, names: list[str]) -> None:
    """Each side of the conflict about the info files can be played."""
    with running(tmp_path, start=f"info={variant}"):
        assert sorted(path.name for path in tmp_path.glob(".info*")) == names


def test_stale_files_come_first(tmp_path: Path) -> None:
    """Those of a dead process are there until the real ones replace them."""
    with running(tmp_path, ready=False, start="info=stale delay=0.3") as demo:
        stale = eventually(lambda: (tmp_path / ".info.json").exists() and demo.written)
        with pytest.raises(ProcessLookupError):
            os.kill(stale["pid"], 0)
        assert eventually(lambda: demo.written["pid"] == demo.process.pid)


@pytest.mark.parametrize(
    ("start", "key", "value"),
    [
        ("info=wrong-pid", "pid", 1),
        ("info=dead-pid", "pid", 4_194_305),
        ("info_port=7", "websocketPort", 7),
    ],
)
def test_info_files_can_lie(tmp_path: Path, start: str, key: str, value: int) -> None:
    """A careful client believes neither pid nor port."""
    with running(tmp_path, start=start) as demo:
        assert demo.written[key] == value
        assert ask(demo, "[[demo: echo]] hi").text == "hi"


def test_a_wrapper_has_the_listener_as_its_child(tmp_path: Path) -> None:
    """The pid of the info file is a descendant; a signal to the wrapper alone orphans it."""
    with running(tmp_path, start="wrapper") as demo:
        listener = demo.written["pid"]
        assert listener != demo.process.pid
        assert ask(demo, "[[demo: echo]] hi").text == "hi"
        os.kill(listener, signal.SIGTERM)
        assert demo.process.wait(5) == 0


def test_a_stubborn_process_ignores_polite_signals(tmp_path: Path) -> None:
    """Only SIGKILL ends it."""
    with running(tmp_path, start="stubborn") as demo:
        demo.process.terminate()
        demo.process.send_signal(signal.SIGINT)
        assert ask(demo, "[[demo: echo]] hi").text == "hi"
        demo.process.kill()
        assert demo.process.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """Connections are closed with 1001, streams in flight or not, and nothing is said on stderr."""

    async def exchange(demo: Demo) -> int | None:
        async with talking(demo) as client:
            await client.begin("[[demo: chunks=99 delay=0.05]]")
            await client.receive()
            demo.process.send_signal(number)
            await client.socket.wait_closed()
            return client.socket.close_code

    with running(tmp_path) as demo:
        assert asyncio.run(exchange(demo)) == 1001
        assert demo.process.wait(5) == 0
        assert demo.process.stderr is not None
        assert "Error" not in demo.process.stderr.read()


def test_two_servers_run_side_by_side(tmp_path: Path) -> None:
    """Distinct work directories, distinct servers."""
    with running(tmp_path / "a") as one, running(tmp_path / "b") as two:
        assert one.port != two.port
        assert ask(one, "[[demo: echo]] 1").text + ask(two, "[[demo: echo]] 2").text == "12"


def test_the_simulator_shares_no_code(tmp_path: Path) -> None:
    """Two ends that share code share their misreadings: it imports nothing else of the package."""
    listing = "import sys, lingma_cli.demo.__main__; print(*sys.modules, sep='\\n')"
    out = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    ).stdout  # fmt: skip
    ours = [name for name in out.split() if name.startswith("lingma_cli.")]

    assert len(ours) > 10
    assert [name for name in ours if not name.startswith("lingma_cli.demo")] == []
