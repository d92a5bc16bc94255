"""How a Lingma process may start, and what `serve` makes of it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.serving import program_environment, serving, wait_until


@pytest.mark.parametrize(
    "environ",
    [
        {"LINGMA_DEMO_START": "port=other"},
        {"LINGMA_DEMO_START": "info=json"},
        {"LINGMA_DEMO_START": "info=text-noipc"},
        {"LINGMA_DEMO_START": "info=stale info_delay=0.3"},
        {"LINGMA_DEMO_START": "delay=0.5 initialize_delay=0.3"},
        {"LINGMA_DEMO_START": "wrapper"},
        {"LINGMA_DEMO_START": "flood=20m"},
        {"LINGMA_DEMO_SIDES": "command=bare"},
        {"LINGMA_DEMO_SIDES": "path=ws origin=refuse"},
        {"LINGMA_DEMO_SIDES": "acks=strict ack_wait=2"},
        {"LINGMA_DEMO_SIDES": "pushes=notifications initialized=unknown"},
        {"LINGMA_DEMO_SIDES": "initialize=lsp task=upper"},
        {"LINGMA_DEMO_LOGIN": "status=3 polls=2"},
        {"LINGMA_DEMO_WIRE": "cut=1"},
    ],
    ids=lambda environ: next(iter(environ.values())),
)
def test_serves_whatever_side_it_plays(tmp_path: Path, environ: dict[str, str]) -> None:
    """Each oddity of the start still leads to an answer."""
    with serving(tmp_path, "--demo", environ=environ) as server:
        answer = server.ask("[[demo: say=fine]]")

        assert answer.json()["choices"][0]["message"]["content"] == "fine"


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"LINGMA_DEMO_START": "exit=7"}, "status 7"),
        ({"LINGMA_DEMO_START": "info=wrong-pid"}, "not ours"),
        ({"LINGMA_DEMO_START": "info_port=1"}, "not its own"),
        ({"LINGMA_DEMO_START": "info=none"}, "no info file"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value.values())),
)
def test_a_start_that_cannot_be_trusted(tmp_path: Path, environ: dict[str, str], says: str) -> None:
    """The request fails with the reason, not with a hang, and nothing was sent to a stranger."""
    with serving(
        tmp_path, "--demo", "--startup-timeout", "1", environ=environ, ready=False
    ) as server:
        answer = server.ask("hello")

        assert answer.status_code == 503
        assert says in answer.json()["error"]["message"]


def test_a_start_that_fails_once(tmp_path: Path) -> None:
    """The supervisor starts it again, and requests are served."""
    with serving(tmp_path, "--demo", environ={"LINGMA_DEMO_START": "exit=7 once"}) as server:
        assert server.ask("hello").status_code == 200


def test_not_logged_in(tmp_path: Path) -> None:
    """Without a login a request gets a clear 401 that clients do not retry."""
    with serving(tmp_path, "--demo", environ={"LINGMA_DEMO_LOGIN": "state=out"}) as server:
        answer = server.ask("hello")

        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "login_required"
        assert answer.headers["x-should-retry"] == "false"


def test_nothing_to_serve(tmp_path: Path) -> None:
    """Plain `serve` says what to run and exits with 4: nobody agreed to a download."""
    done = run(tmp_path, "serve", "--port", "0")

    assert done.returncode == 4
    assert "hint: " in done.stderr
    assert "--demo" in done.stderr


def test_any_executable_can_be_served(tmp_path: Path) -> None:
    """`--bin` runs what the user names, with the work directory where the user wants it."""
    script = tmp_path / "my lingma"
    script.write_text(
        f"#!{sys.executable}\nimport os, sys\nfrom lingma_cli.demo.__main__ import main\n"
        "sys.exit(main(sys.argv[1:], os.environ))\n"
    )
    script.chmod(0o700)
    work_dir = tmp_path / "work dir"

    with serving(
        tmp_path / "home", "--bin", str(script), "--work-dir", str(work_dir), "--no-auth"
    ) as server:
        assert server.ask("hello").status_code == 200

    assert (work_dir / "logs" / "lingma.log").exists()


def test_no_orphan_after_kill(tmp_path: Path) -> None:
    """Two seconds after `kill -9` of the server no process of its family lives."""
    with serving(tmp_path, "--demo", environ={"LINGMA_DEMO_START": "stubborn wrapper"}) as server:
        family = server.children()
        assert len(family) >= 2

        server.process.kill()
        server.process.wait()

        _, alive = psutil.wait_procs(family, timeout=2)
        assert alive == []


def test_no_process_stays_after_a_signal(tmp_path: Path) -> None:
    """SIGINT ends the server with 0 and its children with it, also stubborn ones."""
    with serving(tmp_path, "--demo", environ={"LINGMA_DEMO_START": "stubborn"}) as server:
        family = server.children()

        assert server.stop(signal.SIGINT) == 0
        _, alive = psutil.wait_procs(family, timeout=1)
        assert alive == []
        assert not (tmp_path / "run" / "server.json").exists()


def test_second_server_names_the_first(tmp_path: Path) -> None:
    """A second server on one home exits with 3 and says where the first is."""
    with serving(tmp_path, "--demo") as server:
        done = run(tmp_path, "serve", "--demo", "--port", "0")

        assert done.returncode == 3
        assert server.url in done.stderr


def test_port_in_use_names_its_owner(tmp_path: Path) -> None:
    """A port that is taken is named with its owner; exit code 2, no silent other port."""
    with serving(tmp_path / "one", "--demo", ready=False) as server:
        port = server.url.rpartition(":")[2]
        done = run(tmp_path / "two", "serve", "--demo", "--port", port)

        assert done.returncode == 2
        assert f"port {port} is in use" in done.stderr
        assert str(server.process.pid) in done.stderr


def test_the_child_sees_no_secret(tmp_path: Path) -> None:
    """Keys of ours reach neither the environment nor the arguments of any child."""
    canary = "canary-key-0123456789abcdef"
    environ = {"LINGMA_API_KEYS": canary, "LINGMA_ADMIN_TOKEN": canary + "-admin"}
    with serving(tmp_path, "--demo", environ=environ) as server:
        for child in server.children():
            shown = " ".join(child.cmdline()) + str(child.environ())
            assert canary not in shown
        assert canary not in server.log


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
def test_files_are_private_from_birth(tmp_path: Path) -> None:
    """With the laxest umask nothing below the home can be read by others."""
    before = os.umask(0)
    try:
        with serving(
            tmp_path / "home", "--demo", environ={"LINGMA_API_KEYS": "k" * 8 + "0123456789"}
        ) as server:
            assert server.get("/healthz").status_code == 200
            for path in (tmp_path / "home").rglob("*"):
                if path.name in {"stderr", "stdout"}:
                    continue
                assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path
    finally:
        os.umask(before)


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lingma_cli", *arguments],
        env=program_environment(home),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_crashes_are_survived(tmp_path: Path) -> None:
    """Wait for the engine to come back after each of several crashes."""
    with serving(tmp_path, "--demo") as server:
        for _ in range(3):
            assert server.ask("[[demo: crash after=1]]").status_code == 502
            assert server.ask("hello").status_code == 200
        wait_until(lambda: server.in_flight() == 0, within=2)
