"""`lingma login --method password`: a browser with and without a window, and what it leaves."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest

from lingma_cli.auth.login.browser_home import on_path
from tests.support.cli import Result, environment, run_lingma
from tests.support.logins import binary, lend_a_hand, visit
from tests.support.serving import wait_until

pytestmark = pytest.mark.skipif(not any(on_path()), reason="no Chrome, Edge or Chromium is here")

CANARY = "k4n4ry"
PASSWORD, TOKEN = f"{CANARY}-password-1", f"{CANARY}-token-1"
KEY, SECRET = f"{CANARY}-key-1", f"{CANARY}-secret-1"
AGREED = ("--accept-terms", "--store", "plain")


def hashed(secret: str) -> str:
    """Return how the simulator is told a secret that stands nowhere."""
    return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"


ACCOUNT = (
    f"user=ann password={hashed(PASSWORD)} token={hashed(TOKEN)} "
    f"key={hashed(KEY)} secret={hashed(SECRET)}"
)


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder for temporary files with a short name: the browser puts a socket there."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def screen() -> Iterator[str]:
    """A screen that nobody sees; its name."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb is here")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1024x768x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            yield f":{told.readline().strip()}"
    finally:
        server.terminate()
        server.wait(10)


class Watched:
    """A run of the program, and all that its process family showed to others meanwhile."""

    def __init__(self, home: Path, *arguments: str, stdin: str, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lingma_cli", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment(home, env),
        )
        self.shown: set[str] = set()
        self.names: set[str] = set()
        self.pids: set[int] = set()
        self._stdin = stdin
        self._watcher = threading.Thread(target=self._watch)

    def run(self) -> Result:
        """Let it end."""
        self._watcher.start()
        _, err = self.process.communicate(self._stdin.encode(), timeout=90)
        self._watcher.join()
        return Result(code=self.process.returncode, out="", err=err.decode())

    def _watch(self) -> None:
        with suppress(psutil.Error):
            family = psutil.Process(self.process.pid)
            while self.process.poll() is None:
                for member in [family, *family.children(recursive=True)]:
                    with suppress(psutil.Error):
                        self.names.add(member.name())
                        self.pids.add(member.pid)
                        self.shown.update(member.cmdline())
                        self.shown.update(f"{k}={v}" for k, v in member.environ().items())


@pytest.mark.parametrize(
    ("method", "stdin", "code"),
    [
        (("password", "--username", "ann", "--headless"), f"{PASSWORD}\n", 0),
        (("password", "--username", "ann", "--headless"), f"{PASSWORD}-wrong\n", 5),
        (("token",), f"{TOKEN}\n", 0),
        (("aksk",), f"{KEY}\n{SECRET}\n", 0),
    ],
    ids=["password", "wrong", "token", "aksk"],
)
def test_no_secret_is_seen_or_left(
    tmp_path: Path, temp: Path, method: tuple[str, ...], stdin: str, code: int
) -> None:
    """Not in an argument or environment of any process, nor in a file of home, temp or engine."""
    home, own = tmp_path / "home", tmp_path / "user"
    own.mkdir()
    path = binary(tmp_path, account=ACCOUNT, pages="layout=iframe")
    # Whoever has these set for a server has them here as well.
    env = {
        "HOME": str(own),
        "TMPDIR": str(temp),
        "DEBUG": "pw:*",
        "DEBUGP": "1",
        "LINGMA_LOG_LEVEL": "debug",
    }
    options = ("--bin", str(path), *AGREED)
    watched = Watched(home, "login", "--method", *method, *options, stdin=stdin, env=env)
    done = watched.run()

    assert done.code == code, done.err
    assert CANARY not in done.err
    assert [text for text in watched.shown if CANARY in text] == []
    assert len(watched.pids) > 1
    files = [path for folder in (home, own, temp) for path in folder.rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    assert list(temp.iterdir()) == []
    assert [path.name for path in (home / "state").iterdir() if path.name == "login"] == []


def test_secrets_of_the_environment_do_not_reach_the_browser(tmp_path: Path, temp: Path) -> None:
    """Passwords and tokens that are set for `lingma serve` are no business of any child."""
    secrets = {
        "LINGMA_PASSWORD": f"{CANARY}-of-a-run",
        "LINGMA_ADMIN_TOKEN": f"{CANARY}-admin-token-0123456789",
    }
    env = {"TMPDIR": str(temp), **secrets}
    arguments = ("login", "--method", "password", "--username", "demo", "--headless")
    options = ("--bin", str(binary(tmp_path)), *AGREED)
    watched = Watched(tmp_path / "home", *arguments, *options, stdin="demo-password\n", env=env)
    family = psutil.Process(watched.process.pid)
    done = watched.run()

    assert done.code == 0, done.err
    assert any("chrom" in name or "edge" in name for name in watched.names)
    # The program itself was started with them.
    assert {text for text in watched.shown if CANARY in text} <= {
        f"{name}={value}" for name, value in secrets.items()
    }
    assert not family.is_running()


@pytest.mark.parametrize(
    ("pages", "steps", "user"),
    [
        ("then=captcha", ("a captcha",), "demo"),
        ("layout=iframe then=sms,consent", ("a code by SMS", "your consent"), "demo"),
        ("layout=qr", ("a QR code",), "demo"),
        ("", ("the choice of an organisation",), "team"),
    ],
    ids=["captcha", "sms and consent", "qr", "organisation"],
)
def test_a_person_does_a_step_in_the_window(
    tmp_path: Path, temp: Path, screen: str, pages: str, steps: tuple[str, ...], user: str
) -> None:
    """It is said what is wanted; once that is done the login goes on by itself."""
    path = binary(tmp_path, pages=pages)
    env = {"DISPLAY": screen, "TMPDIR": str(temp)}
    options = ("--username", user, "--bin", str(path), *AGREED)
    said = tmp_path / "said"
    with said.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "lingma_cli", "login", "--method", "password", *options],
            stdin=subprocess.PIPE,
            stderr=errors,
            env=environment(tmp_path / "home", env),
        )
    assert process.stdin is not None
    process.stdin.write(f"{user}-password\n".encode())
    process.stdin.close()
    for step in steps:
        wait_until(lambda what=step: f"wants {what}" in said.read_text(), within=40, what=step)  # type: ignore[misc]
        _lend_a_hand(process.pid)
    assert process.wait(40) == 0, said.read_text()

    assert f"logged in as {user}" in said.read_text()
    assert list(temp.iterdir()) == []


def test_interrupted(tmp_path: Path, temp: Path) -> None:
    """Ctrl-C while the browser is open: 130, and neither a process nor a file is left."""
    arguments = ("login", "--method", "password", "--username", "demo", "--headless")
    options = ("--bin", str(binary(tmp_path, pages="layout=dead")), *AGREED)
    process = subprocess.Popen(
        [sys.executable, "-m", "lingma_cli", *arguments, *options],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path / "home", {"TMPDIR": str(temp)}),
    )
    assert process.stdin is not None
    process.stdin.write(b"demo-password\n")
    process.stdin.close()

    def family() -> list[psutil.Process]:
        return psutil.Process(process.pid).children(recursive=True)

    wait_until(lambda: any("chrom" in one.name() for one in family()), what="a browser")
    started = family()
    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 130
    wait_until(lambda: not any(map(_lives, started)), what="the end of all processes")
    assert list(temp.iterdir()) == []
    assert not (tmp_path / "home" / "state" / "login").exists()


def test_a_window_needs_a_screen(tmp_path: Path) -> None:
    """Without one it says so, before it asks for the password."""
    env = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    options = ("--method", "password", "--bin", str(binary(tmp_path)), *AGREED)
    done = run_lingma("login", *options, home=tmp_path / "home", env=env)

    assert done.code == 2
    assert "--headless" in done.err


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def _lend_a_hand(pid: int) -> None:
    """Do what the simulator waits for: a step of its site, or the choice on its local page."""
    sockets = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            sockets += child.net_connections("inet")
    for port in {one.laddr.port for one in sockets if one.status == psutil.CONN_LISTEN}:
        with suppress(OSError, HTTPException):
            lend_a_hand(f"http://127.0.0.1:{port}/")
        with suppress(OSError, HTTPException):
            visit(f"http://127.0.0.1:{port}/auth/loginWithOrganization?organizationId=org-blue")
