"""Where one login comes about: folders that are gone afterwards, whatever becomes of it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, opened, private_folder, try_lock, write_private
from lingma_cli.wiring.unwinding import unwound

_TEMP_PREFIX: Final = "lingma-login-"


@contextmanager
def scratch_folder(paths: Paths) -> Iterator[Path]:
    """Make a private folder for one login; it is gone afterwards, at the latest before the next.

    A signal that would end the process at once ends it after that, with the body unwound.

    Raises:
        LingmaError: another login of this home is under way, or nothing can be written there.
    """
    folder = private_folder(paths.state) / "login"
    with _locked(folder) as is_ours:
        if not is_ours:
            raise LingmaError(
                ErrorKind.ALREADY_RUNNING,
                "another login of this home is under way",
                hint="finish or end it first",
            )
        _clear(folder)
        with unwound(lambda: _clear(folder)):
            yield private_folder(folder)


@contextmanager
def browser_folder(scratch: Path) -> Iterator[Path]:
    """Make a private folder for all that a browser writes; `scratch` remembers it."""
    # Not in `scratch`: the browser puts a socket there, whose path must not be long.
    temp = Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX))
    try:
        write_private(scratch / "temp", str(temp))
        yield temp
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def clear_leftovers(paths: Paths) -> None:
    """Remove the folders of logins whose processes were killed; those under way stay.

    Raises:
        LingmaError: there is one that this process may not touch.
    """
    # The second: of engines that log in by themselves, see `PasswordOfRun`.
    for folder in (paths.state / "login", *paths.state.glob("auto-login/*/login")):
        if folder.exists():
            with _locked(folder) as is_ours:
                if is_ours:
                    _clear(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Take the lock of `folder` for this context, or tell that somebody else has it."""
    with ExitStack() as stack:
        try:
            lock = opened(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
            descriptor = stack.enter_context(lock)
        except OSError as error:
            raise LingmaError(
                ErrorKind.USAGE,
                f"cannot use the folder `{folder.parent}`: {error.strerror}",
                hint="set `LINGMA_HOME` to a folder you may write in",
            ) from error
        yield try_lock(descriptor)


def _clear(folder: Path) -> None:
    with suppress(OSError):
        temp = Path((folder / "temp").read_text())
        if temp.name.startswith(_TEMP_PREFIX):
            shutil.rmtree(temp, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
