"""A login in the folder of an engine: laid there before it starts, taken back when it has changed.

Source: Lingma local protocol, "Work dir": `cache/{id,user,quota,config.json}`; a `user` that is not
empty means that there is a login. It is bound to `id`, so the two change together here.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final

from lingma_cli.auth.bundles.bundle import MAX_PACKED, NAMES, Bundle
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened, private_folder, write_private

_DRAFTS: Final = ".login-"


def lay(bundle: Bundle, work_dir: Path, *, replace: bool = False) -> None:
    """Put the files of `bundle` into `work_dir`, mode 0600 from birth.

    All are written aside first and then renamed, `user` last: a login is there as a whole, or not
    at all. Files of an earlier login that the bundle lacks are removed.

    Raises:
        LingmaError: a login is there and `replace` is false, or the folder cannot be written.
    """
    private_folder(work_dir)
    cache = _cache(work_dir)
    if is_live(work_dir) and not replace:
        raise LingmaError(
            ErrorKind.USAGE,
            "there is a login in the engine's folder already",
            hint="use `--replace` to put the other one in its place",
        )
    _sweep(work_dir)
    private_folder(cache)
    try:
        drafts = Path(tempfile.mkdtemp(prefix=_DRAFTS, dir=work_dir))
        for name, content in bundle.files.items():
            write_private(drafts / name, content)
        _swap(drafts, cache)
    except OSError as error:
        raise _unwritable(work_dir, error) from error
    finally:
        _sweep(work_dir)


def _swap(drafts: Path, cache: Path) -> None:
    (cache / "user").unlink(missing_ok=True)
    for name in NAMES:
        if not (drafts / name).exists():
            (cache / name).unlink(missing_ok=True)
        elif name != "user":
            (drafts / name).replace(cache / name)
    (drafts / "user").replace(cache / "user")


def take(work_dir: Path) -> Bundle | None:
    """Return the login in `work_dir`, `None` if there is none.

    Raises:
        LingmaError: one of the files cannot be read, is no plain file, or is too large.
    """
    cache = _cache(work_dir)
    found = {name: _read(cache / name) for name in NAMES}
    files = {name: content for name, content in found.items() if content is not None}
    if not all(files.get(name, b"").strip() for name in ("id", "user")):
        return None
    return Bundle(files=files)


def is_live(work_dir: Path) -> bool:
    """Tell whether a login is in `work_dir`, readable or not.

    Raises:
        LingmaError: its file cannot be read, is no plain file, or is too large.
    """
    return bool((_read(_cache(work_dir) / "user") or b"").strip())


def wipe(work_dir: Path) -> None:
    """Remove the login from `work_dir`; what else is there stays.

    Raises:
        LingmaError: a file cannot be removed.
    """
    cache = _cache(work_dir)
    try:
        for name in ("user", *NAMES):
            (cache / name).unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(work_dir, error) from error
    _sweep(work_dir)


def _cache(work_dir: Path) -> Path:
    cache = work_dir / "cache"
    if cache.is_symlink():
        raise LingmaError(
            ErrorKind.USAGE,
            f"`{cache}` is a symbolic link",
            hint="remove it; a login is written into a real folder only",
        )
    return cache


def _sweep(work_dir: Path) -> None:
    """Remove drafts: those of this process, and of one that was killed in the middle of `lay`."""
    for drafts in work_dir.glob(f"{_DRAFTS}*"):
        shutil.rmtree(drafts, ignore_errors=True)


def _read(path: Path) -> bytes | None:
    try:
        # Without O_NONBLOCK a planted FIFO would hang here.
        with opened(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)) as descriptor:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_PACKED:
                raise _unreadable(path, "it is no plain file, or larger than 4 MiB")
            return os.read(descriptor, MAX_PACKED)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unreadable(path, f"{error.strerror}") from error


def _unreadable(path: Path, reason: str) -> LingmaError:
    return LingmaError(ErrorKind.USAGE, f"cannot read the login in `{path}`: {reason}")


def _unwritable(work_dir: Path, error: OSError) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE,
        f"cannot change the login in `{work_dir}`: {error.strerror}",
        hint="check the disk and the folder's permissions",
    )
