"""`lingma gateway`: the server in the background, over the real program."""

from __future__ import annotations

import json
import os
import pty
import queue
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.cli import PROGRAM, Result, environment, run_lingma, terminal
from tests.support.serving import serving, wait_until

DEMO = ("--demo", "--port", "0")


def gateway(*words: str, home: Path, env: Mapping[str, str] | None = None) -> Result:
    """Run `lingma gateway WORDS`."""
    return run_lingma("gateway", *words, home=home, env=env, timeout=90)


def shown(home: Path) -> dict[str, Any]:
    """Return what `status --json` says of the server that runs."""
    result = gateway("status", "--json", home=home)
    assert result.code == 0, result.err
    report: dict[str, Any] = json.loads(result.out)
    return report


@contextmanager
def ended(home: Path) -> Iterator[None]:
    """Leave no server of `home` behind, whatever becomes of the test."""
    try:
        yield
    finally:
        gateway("stop", "--force", "--timeout", "10", home=home)
        for process in of_home(home):
            with suppress(psutil.Error):
                process.kill()


@contextmanager
def started(
    home: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Start a server in the background for this context."""
    with ended(home):
        result = gateway("start", *arguments, home=home, env=env)
        assert result.code == 0, result.err
        yield shown(home)


def of_home(home: Path) -> list[psutil.Process]:
    """Return our program's processes that have `home` as theirs."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            named = process.environ().get("LINGMA_HOME")
            if named and Path(named).resolve() == home.resolve():
                found.append(process)
    return found


def family(pid: int) -> list[psutil.Process]:
    """Return the server and what runs below it, an engine included."""
    server = psutil.Process(pid)
    wait_until(lambda: len(server.children(recursive=True)) >= 2, what="an engine")
    return [server, *server.children(recursive=True)]


def healthy(url: str) -> bool:
    return httpx.get(f"{url}/healthz", trust_env=False, timeout=20).status_code == 200


@pytest.fixture
def lingma_binary(tmp_path: Path) -> str:
    """An executable that answers like Lingma's."""
    path = tmp_path / "Lingma"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lingma_cli.demo "$@"\n')
    path.chmod(0o700)
    return str(path)


def test_a_life_in_the_background(tmp_path: Path) -> None:
    """Start, status, logs, restart, stop; nothing is left of it."""
    with started(tmp_path, *DEMO) as first:
        begun = family(first["pid"])
        status = gateway("status", home=tmp_path)
        logs = gateway("logs", home=tmp_path)
        again = gateway("restart", home=tmp_path)
        second = shown(tmp_path)
        living = family(second["pid"])
        end = gateway("stop", home=tmp_path)

        assert healthy_before(first, status, logs)
        assert (again.code, end.code) == (0, 0), again.err + end.err
        assert "as at the last start: --port=0 --demo" in again.err
        assert f"stopped: {first['url']}, process {first['pid']}" in again.err
        assert f"stopped: {second['url']}, process {second['pid']}" in end.err
        assert psutil.wait_procs([*begun, *living], timeout=5)[1] == []
        assert gateway("status", home=tmp_path).code == 3


def healthy_before(report: Mapping[str, Any], status: Result, logs: Result) -> bool:
    """Tell whether a server was described with its log."""
    return (
        status.code == logs.code == 0
        and f"process   {report['pid']}" in status.out
        and f"log       {report['log']}" in status.out
        and f"listens at {report['url']}" in logs.out
    )


def test_what_a_start_says(tmp_path: Path) -> None:
    """Where it is, how it ends and where it logs; nothing on stdout."""
    with ended(tmp_path):
        result = gateway("start", *DEMO, home=tmp_path)
        report = shown(tmp_path)

    assert result.out == ""
    assert f"listens at {report['url']}" in result.err
    assert "a simulator answers" in result.err
    assert f"process   {report['pid']}, until `lingma gateway stop`" in result.err
    assert f"log       {tmp_path / 'state' / 'gateway.log'}" in result.err


def test_the_address_stays_the_same(tmp_path: Path) -> None:
    """A restart keeps the port that was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with started(tmp_path, "--demo", "--port", port) as first:
        assert gateway("restart", home=tmp_path).code == 0

        assert shown(tmp_path)["url"] == first["url"]
        assert shown(tmp_path)["pid"] != first["pid"]


def test_options_given_to_restart_replace_the_old_ones(tmp_path: Path) -> None:
    """And they are the ones that the next restart repeats."""
    with started(tmp_path, *DEMO, "--max-in-flight", "3"):
        changed = gateway("restart", *DEMO, "--queue-size", "7", home=tmp_path)
        repeated = gateway("restart", home=tmp_path)

    assert "as at the last start" not in changed.err
    assert "as at the last start: --port=0 --queue-size=7 --demo" in repeated.err


def test_a_restart_without_a_server_starts_one(tmp_path: Path) -> None:
    """With the options that are remembered."""
    with started(tmp_path, *DEMO):
        gateway("stop", home=tmp_path)
        result = gateway("restart", home=tmp_path)

        assert result.code == 0
        assert "stopped" not in result.err
        assert healthy(shown(tmp_path)["url"])


def test_relative_paths_count_from_where_it_was_started(tmp_path: Path) -> None:
    """Also at a restart from elsewhere."""
    home, here, there = tmp_path / "home", tmp_path / "here", tmp_path / "way" / "there"
    here.mkdir()
    there.mkdir(parents=True)
    (here / "own.toml").write_text("demo = true\nport = 0\n")
    with ended(home):
        for folder, words in ((here, ("start", "--config", "own.toml")), (there, ("restart",))):
            # A relative home, too, is the one that the caller means.
            env = environment(home) | {"LINGMA_HOME": os.path.relpath(home, folder)}
            done = subprocess.run(
                [*PROGRAM, "gateway", *words],
                cwd=folder,
                env=env,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            assert done.returncode == 0, done.stderr
        assert healthy(shown(home)["url"])
        here.rename(tmp_path / "gone")

        lost = gateway("restart", home=home)

        assert lost.code == 2
        assert str(here) in lost.err
        assert healthy(shown(home)["url"])


def test_a_second_start_names_the_first(tmp_path: Path) -> None:
    """Exit code 3, whether the first is in the background or not."""
    with started(tmp_path / "a", *DEMO) as first:
        second = gateway("start", *DEMO, home=tmp_path / "a")
        log = Path(first["log"]).read_text()
        assert shown(tmp_path / "a") | {"uptime": 0} == first | {"uptime": 0}
    with serving(tmp_path / "b", "--demo") as server:
        third = gateway("start", *DEMO, home=tmp_path / "b")

    assert (second.code, third.code) == (3, 3)
    assert f"{first['url']}, process {first['pid']}" in second.err
    assert server.url in third.err
    assert first["url"] in log


def test_of_several_starts_at_once_one_wins(tmp_path: Path) -> None:
    """The others name it, and its log is its own."""
    with ended(tmp_path), ThreadPoolExecutor() as pool:
        starts = [pool.submit(gateway, "start", *DEMO, home=tmp_path) for _ in range(3)]
        results = [one.result() for one in starts]
        winner = shown(tmp_path)

        assert sorted(one.code for one in results) == [0, 3, 3]
        assert all(winner["url"] in one.err for one in results)
        assert winner["url"] in Path(winner["log"]).read_text()
        assert [one.pid for one in of_home(tmp_path)] == [winner["pid"]]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The server's own error and exit code; nothing runs, nothing is remembered."""
    with ended(tmp_path), socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = gateway("start", "--demo", "--port", port, home=tmp_path)

        assert result.code == 2
        assert f"error: port {port} is in use" in result.err
        assert "hint: " in result.err
        assert of_home(tmp_path) == []
        assert gateway("status", home=tmp_path).code == 3
        assert not (tmp_path / "state" / "gateway.json").exists()
        assert f"port {port} is in use" in gateway("logs", home=tmp_path).out


def test_wrong_settings_start_nothing(tmp_path: Path) -> None:
    """They are found before there is a process or a log."""
    result = gateway("start", "--demo", "--port", "many", home=tmp_path)

    assert result.code == 2
    assert not (tmp_path / "state").exists()


def test_after_a_kill_it_starts_again(tmp_path: Path) -> None:
    """A killed server leaves its file; that counts for nothing."""
    with started(tmp_path, *DEMO) as first:
        lost = family(first["pid"])
        os.kill(first["pid"], signal.SIGKILL)
        assert psutil.wait_procs(lost, timeout=5)[1] == []

        assert gateway("status", home=tmp_path).code == 3
        assert gateway("stop", home=tmp_path).code == 3
        assert gateway("start", *DEMO, home=tmp_path).code == 0
        assert healthy(shown(tmp_path)["url"])


def test_a_server_in_the_foreground_is_stopped_too(tmp_path: Path) -> None:
    """As by SIGTERM; a restart without options leaves it alone."""
    with serving(tmp_path, "--demo") as server:
        restart = gateway("restart", home=tmp_path)
        status = gateway("status", home=tmp_path)
        result = gateway("stop", home=tmp_path)

        assert restart.code == 2
        assert "was started by `lingma serve`" in restart.err
        assert "where it was started" in status.out
        assert result.code == 0, result.err
        assert server.process.wait(10) == 0


def test_a_frozen_server_is_killed_by_force_only(tmp_path: Path) -> None:
    """Its engine goes with it."""
    with started(tmp_path, *DEMO) as report:
        lost = family(report["pid"])
        os.kill(report["pid"], signal.SIGSTOP)
        patient = gateway("stop", "--timeout", "0.2", home=tmp_path)
        assert psutil.pid_exists(report["pid"])
        forced = gateway("stop", "--timeout", "0.2", "--force", home=tmp_path)

        assert (patient.code, forced.code) == (3, 0)
        assert f"still runs after 0.2 seconds: {report['url']}" in patient.err
        assert "--force" in patient.err
        assert psutil.wait_procs(lost, timeout=5)[1] == []


def test_stop_without_a_server(tmp_path: Path) -> None:
    """Exit code 3, with the command that starts one."""
    result = gateway("stop", home=tmp_path)

    assert result.code == 3
    assert "hint: run `lingma gateway start`" in result.err


@pytest.mark.skipif(os.name != "posix", reason="Windows has no hangup")
def test_the_end_of_the_terminal_is_not_its_end(tmp_path: Path) -> None:
    """What else was started from that terminal dies with it."""
    script = '"$@" || exit 1; sleep 300 & echo "sleeping $!."; wait'
    attach = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        "os.execv('/bin/sh', ['sh', '-c', *sys.argv[1:]])"
    )
    with ended(tmp_path):
        master, slave = pty.openpty()
        shell = subprocess.Popen(
            [sys.executable, "-c", attach, script, "sh", *PROGRAM, "gateway", "start", *DEMO],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(tmp_path),
            start_new_session=True,
        )
        os.close(slave)
        said = b""
        while not (found := re.search(rb"sleeping (\d+)\.", said)):
            said += os.read(master, 4096)
        neighbour = psutil.Process(int(found[1]))
        report = shown(tmp_path)

        os.close(master)
        shell.wait(10)
        assert psutil.wait_procs([neighbour], timeout=10)[1] == []

        assert healthy(report["url"])
        assert shown(tmp_path)["pid"] == report["pid"]


def test_no_key_gets_into_the_log_or_the_arguments(tmp_path: Path, lingma_binary: str) -> None:
    """A new one is shown by `lingma key show` only; one from the environment counts as ever."""
    home, canary = tmp_path / "home", "canary-key-0123456789abcdef"
    with ended(home):
        arguments = ("--bin", lingma_binary, "--port", "0")
        first = terminal_start(home, *arguments)
        key = run_lingma("key", "show", home=home).out.strip()
        told = first + gateway("logs", home=home).out
        again = gateway("restart", home=home, env={"LINGMA_API_KEYS": canary})
        words = " ".join(" ".join(one.cmdline()) for one in of_home(home))
        url = shown(home)["url"]
        header = {"authorization": f"Bearer {canary}"}
        models = httpx.get(f"{url}/v1/models", headers=header, trust_env=False, timeout=60)
        files = "".join(path.read_text() for path in (home / "state").glob("gateway.*"))

    assert len(key) >= 20
    assert "needed: run `lingma key show`" in told
    assert again.code == 0, again.err
    assert models.status_code == 200
    for secret in (key, canary):
        assert secret not in told + again.err + words + files


def terminal_start(home: Path, *arguments: str) -> str:
    """Start a server from a terminal, and return what was shown."""
    with terminal("gateway", "start", *arguments, home=home) as screen:
        assert screen.wait(90) == 0, screen.text()
        return screen.text()


def test_the_log_is_private(tmp_path: Path) -> None:
    """With the laxest umask too, and so is what is remembered."""
    before = os.umask(0)
    try:
        with started(tmp_path, *DEMO):
            gateway("restart", home=tmp_path)
            files = {path.name: path.stat() for path in (tmp_path / "state").glob("gateway.*")}
    finally:
        os.umask(before)

    assert set(files) == {"gateway.json", "gateway.log", "gateway.log.1"}
    assert {stat.S_IMODE(one.st_mode) for one in files.values()} == {0o600}


def test_what_must_be_asked_is_asked_first(tmp_path: Path) -> None:
    """At the terminal of `start`; where there is none, or the answer is no, nothing starts."""
    env = {"HOME": str(tmp_path)}
    alone = gateway("start", "--port", "0", home=tmp_path, env=env)
    with terminal("gateway", "start", "--port", "0", home=tmp_path, env=env) as screen:
        screen.expect("Lingma is not installed. Download it", timeout=30)
        screen.type("n\r")
        code = screen.wait(30)

    assert (alone.code, code) == (4, 4)
    assert "hint: run `lingma engine install`" in alone.err
    assert of_home(tmp_path) == []
    assert not (tmp_path / "state" / "gateway.log").exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_who_does_not_wait_for_it_gets_none(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """Ctrl-C before it is up, or whatever ends the command, ends what has been started."""
    flag = tmp_path / "flag"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, time\n"
        f"if 'LINGMA_HANDSHAKE' in os.environ: pathlib.Path({str(flag)!r}).touch(); time.sleep(60)"
    )
    home = tmp_path / "home"
    with ended(home):
        process = subprocess.Popen(
            [*PROGRAM, "gateway", "start", *DEMO],
            env=environment(home, {"PYTHONPATH": str(tmp_path)}),
            stdin=subprocess.DEVNULL,
        )
        wait_until(flag.exists, what="the server's process")
        process.send_signal(number)

        assert process.wait(20) == code
        assert of_home(home) == []


def test_without_a_lingma_engine_none_is_asked_for(tmp_path: Path) -> None:
    """Servers of the user's own alone: as with `serve`, no executable is needed."""
    nothing = ("--engines", "0", "--port", "0")
    env = {"HOME": str(tmp_path / "empty")}
    with started(tmp_path / "home", *nothing, env=env) as first:
        assert healthy(first["url"])
        again = gateway("restart", home=tmp_path / "home", env=env)

        assert again.code == 0, again.err
        assert "as at the last start: --port=0 --engines=0" in again.err


@contextmanager
def following(home: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], queue.Queue[str]]]:
    """Run `lingma gateway logs -f` and read its lines."""
    process = subprocess.Popen(
        [*PROGRAM, "gateway", "logs", "-f", *words],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    stdout = process.stdout
    assert stdout is not None
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: deque(map(lines.put, stdout), maxlen=0))
    reader.start()
    try:
        yield process, lines
    finally:
        process.kill()
        reader.join()
        process.wait()
        stdout.close()
        process.stderr.close()


def until(lines: queue.Queue[str], text: str) -> None:
    """Read until a line has `text`."""
    while text not in lines.get(timeout=20):
        pass


def test_logs_are_followed_across_a_restart(tmp_path: Path) -> None:
    """New lines appear as they come; Ctrl-C ends it."""
    with started(tmp_path, *DEMO) as first, following(tmp_path) as (process, lines):
        until(lines, first["url"])
        message = {"role": "user", "content": "hello"}
        body = {"model": "org_auto", "messages": [message]}
        httpx.post(f"{first['url']}/v1/chat/completions", json=body, trust_env=False, timeout=20)
        until(lines, '"engine": "demo-0"')
        gateway("restart", home=tmp_path)
        until(lines, f"listens at {shown(tmp_path)['url']}")
        process.send_signal(signal.SIGINT)

        assert process.wait(10) == 130
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_who_stops_reading_the_logs_ends_them(tmp_path: Path) -> None:
    """At once and without a word, although nothing more is logged."""
    (tmp_path / "state").mkdir(parents=True)
    (tmp_path / "state" / "gateway.log").write_text("one\ntwo\x1b[2J\n")
    with subprocess.Popen(
        [*PROGRAM, "gateway", "logs", "-f", "-n", "1"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == b"two\n"
            process.stdout.close()

            assert process.wait(10) == 141
            assert process.stderr.read() == b""
        finally:
            process.kill()


def test_logs_without_a_log(tmp_path: Path) -> None:
    """Nothing has been started here."""
    result = gateway("logs", home=tmp_path)

    assert result.code == 3
    assert "hint: run `lingma gateway start`" in result.err


def test_status_is_of_this_home(tmp_path: Path) -> None:
    """`LINGMA_URL` names another server, which is not meant."""
    with started(tmp_path, *DEMO) as report:
        result = gateway("status", home=tmp_path, env={"LINGMA_URL": "http://127.0.0.1:1"})

    assert result.code == 0
    assert report["url"] in result.out
