"""A real Secret Service for a test: a private D-Bus session with GNOME Keyring in it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.serving import wait_until

PROGRAMS = ("dbus-daemon", "gnome-keyring-daemon")
# Without folders of services: whatever is not started here is absent, also the one that would
# show a dialog.
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={bus}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
"""
_IS_THERE = """
import contextlib, secretstorage
with contextlib.closing(secretstorage.dbus_init()) as bus:
    raise SystemExit(not secretstorage.check_service_availability(bus))
"""
_LOCK = """
import contextlib, secretstorage
with contextlib.closing(secretstorage.dbus_init()) as bus:
    secretstorage.get_default_collection(bus).lock()
"""


@dataclass(frozen=True, kw_only=True)
class SecretService:
    """A running one.

    Attributes:
        environ: what a program needs to find it.
        files: the folder in which it keeps its own.
    """

    environ: Mapping[str, str]
    files: Path
    _daemon: subprocess.Popen[bytes]

    def lock(self) -> None:
        """Lock the keyring; nobody is there to unlock it."""
        _run(_LOCK, self.environ, check=True)

    def freeze(self) -> None:
        """Let it hang."""
        self._daemon.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._daemon.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Let it be gone."""
        self._daemon.kill()
        self._daemon.wait()


@contextmanager
def secret_service(folder: Path) -> Iterator[SecretService]:
    """Run one in `folder` for this context, unlocked; skip the test where its programs lack."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}")
    home, runtime = folder / "home", folder / "run"
    for made in (folder, home, runtime):
        made.mkdir(mode=0o700, exist_ok=True)
    bus, config = folder / "bus", folder / "bus.conf"
    config.write_text(_BUS.format(bus=bus))
    environ = {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_DATA_HOME": str(home),
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}",
    }
    with ExitStack() as stack:
        command = ["dbus-daemon", f"--config-file={config}", "--nofork"]
        _started(stack, command, environ)
        wait_until(bus.exists, what="the bus")
        command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
        daemon = _started(stack, command, environ, said=b"passphrase of the login keyring")
        wait_until(lambda: _run(_IS_THERE, environ).returncode == 0, what="the Secret Service")
        yield SecretService(environ=environ, files=home, _daemon=daemon)


def _started(
    stack: ExitStack, command: list[str], environ: Mapping[str, str], said: bytes = b""
) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command,
        env=_environment(environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdin is not None
    process.stdin.write(said)
    process.stdin.close()
    return process


def _run(
    program: str, environ: Mapping[str, str], *, check: bool = False
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env=_environment(environ),
        stderr=subprocess.DEVNULL,
        timeout=20,
        check=check,
    )


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], **environ}
