"""A server of the program's own: `lingma serve` as its child, at a free port, ended with it.

It is the server of the home that the environment names, with that home's accounts and settings,
so it is refused while another one serves there.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Final, Self

import psutil

from lingma_cli.client import tied_child
from lingma_cli.client.finding import announced
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

_START_SECONDS: Final = 60.0
# Longer than a server gives its running answers by default.
_STOP_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.05
# What concerns the callers of a server is none of its own business.
_CALLERS: Final = frozenset({"LINGMA_URL", "LINGMA_API_KEY"})


class EmbeddedServer:
    """A running child.

    Attributes:
        url: for example `http://127.0.0.1:40123`.
        api_key: of its home, `None` if that has none.
    """

    def __init__(self, process: subprocess.Popen[bytes], url: str, api_key: Secret | None) -> None:
        self._process = process
        self.url = url
        self.api_key = api_key

    @classmethod
    def start(cls, environ: Mapping[str, str]) -> Self:
        """Start one in `environ` and wait until it listens; blocks.

        Raises:
            LingmaError: it did not start; the message has what it said.
        """
        environ = {name: value for name, value in environ.items() if name not in _CALLERS}
        with tempfile.TemporaryFile() as said:
            arguments = ("serve", "--port", "0", "--log-level", "warning")
            process = _tied(*arguments, environ=environ, stderr=said)
            try:
                url = _wait(process, environ, said)
                return cls(process, url, _find_key(environ))
            except BaseException:
                _end(process)
                raise

    def stop(self) -> None:
        """Let running answers finish for a while, and end it; blocks."""
        _end(self._process)


def _wait(process: subprocess.Popen[bytes], environ: Mapping[str, str], said: IO[bytes]) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        found = announced(environ)
        if found is not None and _belongs(found.pid, process):
            return found.url
        time.sleep(_POLL_SECONDS)
    said.seek(0)
    raise _failure(said.read().decode(errors="replace"))


def _belongs(pid: int, process: subprocess.Popen[bytes]) -> bool:
    """Tell whether `pid` is our child; a Windows venv puts a launcher between us and it."""
    with suppress(psutil.Error):
        return process.pid in (pid, psutil.Process(pid).ppid())
    return False


def _failure(said: str) -> LingmaError:
    lines = said.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    hints = [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]
    return LingmaError(
        ErrorKind.SERVER_NOT_FOUND,
        f"the embedded server did not start: {errors[-1] if errors else 'it stayed silent'}",
        hint=hints[-1] if hints else "run `lingma serve` to see why",
    )


def _find_key(environ: Mapping[str, str]) -> Secret | None:
    """Return the home's key, which comes by a pipe; a demo, say, needs none and has none."""
    with _tied("key", "show", environ=environ, stdout=subprocess.PIPE) as asking:
        told = asking.stdout.read() if asking.stdout is not None else b""
        return Secret(told.decode().strip()) if asking.wait() == 0 else None


def _tied(
    *arguments: str,
    environ: Mapping[str, str],
    stdout: int = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", tied_child.__file__, *arguments],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        # Ctrl-C at the terminal is for the program, which then ends the server.
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
