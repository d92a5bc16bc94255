"""Runs the program as a user does: as a process, with pipes or at a terminal."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyte

PROGRAM = (sys.executable, "-m", "lingma_cli")
# A process group of its own and the terminal as its own, so that Ctrl-C reaches it and only it.
_TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a run ended."""

    code: int
    out: str
    err: str


def no_keyring(extra: Mapping[str, str]) -> dict[str, str]:
    """Return what keeps a program out of the developer's keyring, unless `extra` has its own."""
    if "DBUS_SESSION_BUS_ADDRESS" in extra:
        return {}
    return {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which only `home` and `extra` concern the program."""
    extra = extra or {}
    own = ("NO_COLOR", "PYTHONIOENCODING", "DBUS_SESSION_BUS_ADDRESS")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("LINGMA_") and name not in own
    }
    return {**kept, "LINGMA_HOME": str(home), "TERM": "xterm", **no_keyring(extra), **extra}


def run_lingma(
    *arguments: str,
    home: Path,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes = "",
    timeout: float = 30,
) -> Result:
    """Run `lingma ARGUMENTS` with pipes and wait for its end."""
    done = subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=environment(home, env),
        timeout=timeout,
        check=False,
    )
    return Result(
        code=done.returncode,
        out=done.stdout.decode(errors="surrogateescape"),
        err=done.stderr.decode(errors="surrogateescape"),
    )


class Terminal:
    """The program at a terminal of 100 columns and 40 lines."""

    def __init__(self, master: int, process: "subprocess.Popen[bytes]") -> None:
        self._master = master
        self.process = process
        self.screen = pyte.Screen(100, 40)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""

    def text(self) -> str:
        """Return what the screen shows."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def type(self, keys: str) -> None:
        """Press `keys`; `\\x03` is Ctrl-C, `\\x04` Ctrl-D, `\\r` Enter."""
        os.write(self._master, keys.encode())

    def expect(self, text: str, timeout: float = 10) -> None:
        """Wait until the screen shows `text`."""
        end = time.monotonic() + timeout
        while text not in self.text():
            if not self._read(end - time.monotonic()):
                raise AssertionError(f"{text!r} did not appear in:\n{self.text()}")

    def wait(self, timeout: float = 10) -> int:
        """Return the exit code after reading all that was still written."""
        end = time.monotonic() + timeout
        while self._read(end - time.monotonic()):
            pass
        return self.process.wait(max(0.1, end - time.monotonic()))

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, timeout))
        if not ready:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # the other side has been closed
            return False
        self.raw += piece
        self._stream.feed(piece)
        return bool(piece)


@contextmanager
def terminal(
    *arguments: str, home: Path, env: Mapping[str, str] | None = None, stdout: int | None = None
) -> Iterator[Terminal]:
    """Run `lingma ARGUMENTS` at a terminal; `stdout` may go to a file descriptor instead."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *PROGRAM, *arguments],
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            env=environment(home, env),
            start_new_session=True,
        )
    finally:
        os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait(10)
        os.close(master)
