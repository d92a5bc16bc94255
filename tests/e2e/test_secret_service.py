"""A login in a real Secret Service, from its beginning to its end; and where there is none."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lingma_cli.auth.bundles.bundle import Bundle, from_text, pack, unpack
from lingma_cli.demo.records import Cloud, Record, unseal
from tests.support.accounts import launcher
from tests.support.cli import Result, run_lingma
from tests.support.secret_service import SecretService, secret_service
from tests.support.serving import Serving, serving

TOKEN = "pt-canary-5e1f0c77a9"
HASHED = f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}"
NO_BUS = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
# What is done to a keyring, and what is told of it then.
TROUBLES: Mapping[str, tuple[Callable[[SecretService], None], str]] = {
    "locked": (SecretService.lock, "the keyring is locked"),
    "hanging": (SecretService.freeze, "the keyring does not answer within 3 s"),
    "gone": (SecretService.end, "there is no keyring"),
}
_ENTRIES = """
import contextlib, secretstorage
with contextlib.closing(secretstorage.dbus_init()) as bus:
    for item in secretstorage.get_default_collection(bus).get_all_items():
        print(item.get_attributes()["username"])
"""


@dataclass
class Desktop:
    """A session of the desktop that begins and ends, and a home with what it runs."""

    root: Path
    folder: Path
    environ: dict[str, str]
    _session: contextlib.ExitStack

    @property
    def home(self) -> Path:
        """The program's home."""
        return self.root / "home"

    def begin(self) -> None:
        """Let a session begin, after the end of the one before; its keyring is open."""
        self._session.close()
        (self.folder / "bus").unlink(missing_ok=True)
        self.service = self._session.enter_context(secret_service(self.folder))
        self.environ |= self.service.environ

    def mend(self, trouble: str) -> None:
        """Let the keyring give again: as it is, or in a new session."""
        if trouble == "hanging":
            self.service.thaw()
        else:
            self.begin()

    def run(self, *arguments: str, stdin: str = "") -> Result:
        """Run `lingma ARGUMENTS`."""
        return run_lingma(*arguments, home=self.home, env=self.environ, stdin=stdin, timeout=60)

    def log_in(self, *arguments: str) -> Result:
        """Log in by a personal token."""
        options = ("--method", "token", "--accept-terms", *self.bin, *arguments)
        return self.run("login", *options, stdin=f"{TOKEN}\n")

    @property
    def bin(self) -> tuple[str, ...]:
        """An engine that leaves a trace when it is started."""
        launch = launcher(self.root / "bin")
        script = self.root / "Lingma"
        script.write_text(f'#!/bin/sh\necho . >>"{self.root}/started"\nexec "{launch}" "$@"\n')
        script.chmod(0o700)
        return ("--bin", str(script))

    def started(self) -> int:
        """Return how often an engine was started."""
        path = self.root / "started"
        return len(path.read_text().split()) if path.exists() else 0

    def serve(self, *arguments: str) -> contextlib.AbstractContextManager[Serving]:
        """Serve the accounts."""
        return serving(self.home, *self.bin, *arguments, environ=self.environ)

    def export(self) -> Bundle:
        """Return the login that the vault holds."""
        done = self.run("session", "export", "--plaintext")
        assert done.code == 0, done.err
        return unpack(from_text(done.out))

    def entries(self) -> set[str]:
        """Return the names of all that is in the keyring."""
        command = [sys.executable, "-c", _ENTRIES]
        environ = {"PATH": os.environ["PATH"], **self.service.environ}
        return set(subprocess.check_output(command, env=environ, timeout=20).decode().split())

    def files_with(self, traces: list[bytes]) -> list[Path]:
        """Return the files of home and keyring, logs included, that hold one of `traces`."""
        found = [path for root in (self.root, self.folder) for path in root.rglob("*")]
        files = [path for path in found if path.is_file() and not path.is_symlink()]
        return [path for path in files if any(one in path.read_bytes() for one in traces)]


@pytest.fixture
def desktop(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desktop]:
    # A socket's path must be short.
    folder = tmp_path_factory.mktemp("bus")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho . >>"{tmp_path}/started"\n')
    browser.chmod(0o700)
    environ = {
        "BROWSER": f"{browser} %s",
        "DISPLAY": ":7",
        "LINGMA_DEMO_LOGIN": f"state=file cloud={tmp_path / 'cloud'}",
        "LINGMA_DEMO_ACCOUNT": f"user=ann token={HASHED}",
        "LINGMA_LOG_LEVEL": "debug",
    }
    with contextlib.ExitStack() as session:
        made = Desktop(tmp_path, folder, environ, session)
        made.begin()
        yield made


def record_of(login: Bundle) -> Record:
    """Return what the login is at the service."""
    found = unseal(login.files["user"].decode(), login.files["id"].decode())
    assert found is not None
    return found


def traces_of(login: Bundle) -> list[bytes]:
    """Return what would show the login, or that by which it came about."""
    record, packed = record_of(login), pack(login)
    shown = [TOKEN, record.token, record.refresh_token, record.family]
    # The middle of a text in base64 shows it whatever stands before and behind.
    within = base64.b64encode(packed)[40:-40]
    return [*(one.encode() for one in shown), login.files["user"].strip(), packed, within]


@pytest.mark.parametrize("keyring", ["open", "locked", "hanging", "gone"])
def test_login_restart_serve_chat_logout(desktop: Desktop, keyring: str) -> None:
    """In the keyring, or encrypted where it does not work; nothing else ever shows the login."""
    is_open = keyring == "open"
    if not is_open:
        TROUBLES[keyring][0](desktop.service)
        phrase = desktop.root / "phrase"
        phrase.write_text("correct horse battery staple\n")
        phrase.chmod(0o600)
        desktop.environ["LINGMA_PASSPHRASE_FILE"] = str(phrase)

    login = desktop.log_in("--store", "keyring" if is_open else "encrypted")
    assert login.code == 0, login.err
    before = desktop.export()
    if is_open:
        assert desktop.entries() == {"home#0", "login/default#0"}
        desktop.begin()
    with desktop.serve() as server:
        chat = desktop.run("chat", "hi")
        laid = desktop.files_with(traces_of(before))
        assert server.stop() == 0
        said = server.log
    after, left = desktop.export(), desktop.files_with(traces_of(before))
    whoami = json.loads(desktop.run("whoami", "--json").out)
    logout = desktop.run("logout", *desktop.bin)

    assert (chat.code, "demo Lingma" in chat.out) == (0, True), chat.err
    # The engine's folder has it while it runs, which also shows that the search finds it.
    assert laid == [desktop.home / "data" / "accounts" / "default" / "cache" / "user"]
    assert left == []
    assert pack(after) == pack(before)
    assert (whoami["username"], whoami["method"]) == ("ann", "token")
    assert "unencrypted" not in said
    assert (logout.code, logout.err) == (0, "logged out `default`\n")
    assert not Cloud(desktop.root / "cloud").accepts(record_of(before))
    assert desktop.files_with(traces_of(before)) == []
    assert desktop.run("whoami").code == 5
    if is_open:
        assert desktop.entries() == {"home#0", "keys#0"}
    else:
        assert not list((desktop.home / "state" / "vault").glob("*login*"))


@pytest.mark.parametrize("trouble", [*TROUBLES, "no bus"])
def test_no_login_begins_without_a_place_for_it(desktop: Desktop, trouble: str) -> None:
    """Neither browser nor engine is started; the way out is named, and nothing is begun."""
    if trouble == "no bus":
        desktop.environ |= NO_BUS
        reason = "there is no keyring"
    else:
        act, reason = TROUBLES[trouble]
        act(desktop.service)

    browser = desktop.run("login", "--method", "browser", "--accept-terms", *desktop.bin)
    for done in (browser, desktop.log_in()):
        assert (done.code, done.out) == (5, "")
        assert reason in done.err
        assert "hint: use `--store encrypted`" in done.err
        assert TOKEN not in done.err
    assert desktop.started() == 0
    assert desktop.run("whoami").code == 5
    assert not list(desktop.home.rglob("vault.json"))


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_login_that_its_keyring_does_not_give(desktop: Desktop, trouble: str) -> None:
    """Every command that needs it says why and changes nothing; later it works as before."""
    assert desktop.log_in().code == 0
    before, started = desktop.export(), desktop.started()
    act, reason = TROUBLES[trouble]
    act(desktop.service)

    for command in (
        ("serve", "--port", "0", "--no-auth", *desktop.bin),
        ("login", "--method", "token", "--force", *desktop.bin),
        ("logout", *desktop.bin),
        ("session", "export", "--plaintext"),
    ):
        done = desktop.run(*command)
        assert (done.code, done.out) == (5, ""), command
        assert f"error: the vault of this home does not open: {reason}" in done.err
        assert "hint: " in done.err
    assert desktop.started() == started > 0
    assert desktop.run("whoami").code == 0

    desktop.mend(trouble)
    assert pack(desktop.export()) == pack(before)
    with desktop.serve("--no-auth") as server:
        assert server.ask("hello").status_code == 200


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_keyring_that_closes_while_a_server_runs(desktop: Desktop, trouble: str) -> None:
    """What the engine refreshes meanwhile waits in its folder for the keyring."""
    assert desktop.log_in().code == 0
    first, switches = record_of(desktop.export()), desktop.environ["LINGMA_DEMO_LOGIN"]
    act, _ = TROUBLES[trouble]
    user = desktop.home / "data" / "accounts" / "default" / "cache" / "user"

    desktop.environ["LINGMA_DEMO_LOGIN"] = f"{switches} refresh=1"
    with desktop.serve("--no-auth") as server:
        act(desktop.service)
        answer = server.ask("hello").status_code
        assert server.stop() == 0
        said = server.log
    was_there = user.exists()
    desktop.environ["LINGMA_DEMO_LOGIN"] = switches
    desktop.mend(trouble)
    with desktop.serve("--no-auth") as server:
        again = server.ask("hello").status_code
        server.stop()

    assert (answer, was_there, again) == (200, True, 200)
    assert "the login of `default` stays in" in said
    assert "`: the keyring " in said
    # Its first tokens are worthless by now: what works is what was refreshed.
    assert not Cloud(desktop.root / "cloud").accepts(first)
    assert record_of(desktop.export()).serial == first.serial + 1
    assert not user.exists()
