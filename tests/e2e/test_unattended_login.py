"""`lingma serve` with a password for this run: a browser without a window, and what it leaves."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import pytest

from lingma_cli.auth.login.browser_home import on_path
from tests.support.logins import binary
from tests.support.serving import Serving, serving, wait_until

pytestmark = pytest.mark.skipif(not any(on_path()), reason="no Chrome, Edge or Chromium is here")

PASSWORD = "k4n4ry-password-1"
HASHED = f"sha256:{hashlib.sha256(PASSWORD.encode()).hexdigest()}"
ACCOUNT = f"user=ann password={HASHED}"
GIVEN = {"LINGMA_USERNAME": "ann", "LINGMA_PASSWORD": PASSWORD}


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder for temporary files with a short name: the browser puts a socket there."""
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def unattended(
    root: Path, temp: Path, *, pages: str = "layout=iframe", **settings: str
) -> Iterator[Serving]:
    """Serve the account of the environment."""
    path = binary(root, account=ACCOUNT, pages=pages)
    own = root / "user"
    own.mkdir()
    more = {f"LINGMA_{name.upper()}": value for name, value in settings.items()}
    environ = {"HOME": str(own), "TMPDIR": str(temp), "LINGMA_STORE": "plain", **GIVEN, **more}
    with serving(root / "home", "--no-auth", "--bin", str(path), environ=environ) as server:
        yield server


def login(server: Serving) -> dict[str, Any]:
    """Return the state of the only login."""
    (row,) = server.get("/internal/auto-login/status").json()["instances"]
    assert isinstance(row, dict)
    return row


class Watch:
    """What the processes below a server show to others."""

    def __init__(self, server: Serving) -> None:
        self.shown: set[str] = set()
        self.names: set[str] = set()
        self._server = server
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.02):
            for child in self._server.children():
                with suppress(psutil.Error):
                    self.names.add(child.name())
                    self.shown.update(child.cmdline())
                    self.shown.update(f"{k}={v}" for k, v in child.environ().items())


def test_a_password_of_a_run_leaves_nothing(tmp_path: Path, temp: Path) -> None:
    """It logs in, answers, and is in no argument, environment, file or log."""
    with unattended(tmp_path, temp, log_level="debug") as server:
        with Watch(server) as watch:
            # Requests wait for the login that is under way.
            answer = server.ask("hello").status_code
            wait_until(lambda: login(server)["state"] == "in", what=server.log)
            row = login(server)
        assert server.stop() == 0

    everything = [*tmp_path.rglob("*"), *temp.rglob("*")]
    files = [path for path in everything if path.is_file() and not path.is_symlink()]
    assert answer == 200
    assert (row["account"], row["method"], row["tries"]) == ("default", "password", 0)
    assert any("chrom" in name or "edge" in name for name in watch.names)
    assert [text for text in watch.shown if PASSWORD in text] == []
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []
    assert [path for path in files if path.parts[-2:] == ("cache", "user")] == []
    assert list(temp.iterdir()) == []


def test_a_step_for_a_person_is_told(tmp_path: Path, temp: Path) -> None:
    """Nobody is there to do it; the server stays, and says so once."""
    with unattended(tmp_path, temp, pages="then=captcha", auto_login_max_retry="0") as server:
        wait_until(lambda: "error: the account `default`" in server.log, within=60)
        row, answer = login(server), server.ask("hello")

    assert "captcha" in row["last_error"]
    assert (row["state"], row["tries"]) == ("out", 1)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (401, "false")
    assert "renew its bundle or password" in answer.json()["error"]["message"]
    assert list(temp.iterdir()) == []


def test_a_wrong_password_is_tried_twice(tmp_path: Path, temp: Path) -> None:
    """More could lock the account."""
    with unattended(tmp_path, temp, password=f"{PASSWORD}-wrong") as server:
        wait_until(lambda: "error: the account `default`" in server.log, within=90)
        row, log = login(server), server.log

    assert row["tries"] == 2
    assert "refuses" in row["last_error"]
    assert PASSWORD not in log


def test_a_login_that_the_service_refuses_is_ended_first(tmp_path: Path, temp: Path) -> None:
    """The process goes on to say that it is in; a new login begins all the same."""
    with unattended(tmp_path, temp) as server:
        before = server.ask("hello").status_code
        wait_until(lambda: login(server)["tries"] == 0)
        refused = server.ask("[[demo: finish=401]]").status_code
        wait_until(lambda: _notes(server).count("login") == 2, within=60)
        wait_until(lambda: login(server)["state"] == "in", what=server.log)
        after, notes = server.ask("hello").status_code, _notes(server)

    assert (before, refused, after) == (200, 401, 200)
    assert [note for note in notes if note in ("login", "logout")] == ["logout", "login"] * 2


def _notes(server: Serving) -> list[object]:
    journal = server.home / "data" / "run" / "default" / "logs" / "demo.jsonl"
    return [json.loads(line)["event"] for line in journal.read_text().splitlines()]
