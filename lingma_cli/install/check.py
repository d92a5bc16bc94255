"""The decisive question to an executable: does `Lingma version` run here?

Source: Lingma local protocol, "Command line".
"""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Timer
from types import MappingProxyType
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError

_MAX_OUTPUT: Final = 64 * 1024
_VERSION: Final = re.compile(rb"version:?\s*v?(\d+(?:\.\d+)+[0-9A-Za-z.-]*)", re.IGNORECASE)
_REASONS: Final[Mapping[int | None, str]] = MappingProxyType(
    {
        errno.ENOEXEC: "it is no executable of this system",
        errno.ENOENT: "it, or the loader that it names, is not there",
        errno.EACCES: "it may not be executed there; perhaps the disk is mounted `noexec`",
    }
)


def run_version(executable: Path, environ: Mapping[str, str], *, within: float = 30.0) -> str:
    """Run `executable version` and return what it names.

    Args:
        executable: the file.
        environ: the environment it gets.
        within: seconds after which it is ended.

    Raises:
        LingmaError: it does not run, fails, stays silent or names no version.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - to run it is the point
            [executable, "version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            cwd=executable.parent,
            start_new_session=True,
        )
    except OSError as error:
        raise _failed(executable, _REASONS.get(error.errno, error.strerror or "")) from error
    stop = Timer(within, _end, [process])
    stop.daemon = True
    stop.start()
    with process:
        # Popen was given a pipe.
        output = process.stdout.read(_MAX_OUTPUT) if process.stdout else b""
        if len(output) == _MAX_OUTPUT:
            _end(process)
        code = process.wait()
    is_late = not stop.is_alive()
    stop.cancel()
    if is_late:
        raise _failed(executable, f"it did not end within {within:g} seconds")
    found = _VERSION.search(output)
    if code or found is None:
        raise _failed(executable, f"it ended with status {code} and named no version")
    return found[1].decode("ascii")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the executable and whatever it has started."""
    if os.name == "posix":
        # The group is the child's own. It may have ended in this very moment.
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _failed(executable: Path, reason: str) -> LingmaError:
    return LingmaError(
        ErrorKind.INSTALL_FAILED,
        f"`{executable.name} version` does not run: {reason}",
        hint="if you have an executable that runs here, use `lingma engine install --bin PATH`",
    )
