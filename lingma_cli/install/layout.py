"""The folder of versions on disk: releases side by side, and one small file that says what counts.

    versions/
      state.json             the pointer; replaced as a whole
      .lock                  held while something is installed
      .downloads/            broken downloads wait here
      2.6.10/x86_64_linux/   a release: Lingma and LingmaLocal

A release is made ready in a folder of its own and moved into place by one rename; only then does
the pointer change. Whatever breaks off before that leaves no trace.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.core.ids import NewId
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.state import Release, State
from lingma_cli.paths import opened, private_folder, try_lock, write_private

_STATE_BYTES: Final = 4 * 1024 * 1024
_STAGING: Final = ".new-"


class Layout:
    """The versions below `folder`, which is created when something is written."""

    def __init__(self, folder: Path, new_id: NewId) -> None:
        self.folder = folder
        self._new_id = new_id

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def downloads(self) -> Path:
        """Where broken downloads wait."""
        return self.folder / ".downloads"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who changes anything here.

        Raises:
            LingmaError: somebody else is at it, or the folder cannot be used.
        """
        private_folder(self.folder)
        try:
            with opened(self.folder / ".lock", os.O_RDWR | os.O_CREAT) as descriptor:
                if not try_lock(descriptor):
                    raise LingmaError(
                        ErrorKind.ALREADY_RUNNING,
                        "another installation is under way",
                        hint="wait for its end, then try again",
                    )
                self._sweep()
                try:
                    yield
                finally:
                    with suppress(OSError):
                        self.downloads.rmdir()
        except OSError as error:
            raise _cannot_write(self.folder, error) from error

    def load(self) -> State:
        """Return what is remembered.

        Raises:
            LingmaError: the file is there but cannot be read.
        """
        try:
            with self._state_file.open("rb") as file:
                return msgspec.json.decode(file.read(_STATE_BYTES), type=State)
        except FileNotFoundError:
            return State()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                f"cannot read `{self._state_file}`",
                hint="move it away and run `lingma engine install`",
            ) from error

    def save(self, state: State) -> None:
        """Replace what is remembered.

        Raises:
            LingmaError: it cannot be written.
        """
        write_private(self._state_file, msgspec.json.format(msgspec.json.encode(state)))

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Hand out an empty private folder for this context; nothing of it stays."""
        folder = private_folder(self.folder / f"{_STAGING}{self._new_id()}")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def free_folder(self, version: str) -> str:
        """Return a name for a new release of `version`."""
        names = (version, *(f"{version}~{number}" for number in range(2, 1000)))
        return next(name for name in names if not (self.folder / name).exists())

    def keep(self, staged: Path, release: Release) -> None:
        """Move the prepared files into the place of `release`.

        Raises:
            LingmaError: the disk refuses.
        """
        target = self.folder / release.folder
        try:
            private_folder(target)
            staged.rename(target / release.platform)
        except OSError as error:
            self.remove(release)
            raise _cannot_write(target, error) from error

    def remove(self, release: Release) -> None:
        """Remove the files of `release`, as far as the system lets go of them."""
        shutil.rmtree(self.folder / release.folder, ignore_errors=True)

    def executable(self, release: Release) -> Path:
        """Return the executable of `release`."""
        return self._path(release, release.files[0].name)

    def damage(self, release: Release) -> str:
        """Return what is wrong with the files of `release`, or nothing if they are as installed."""
        for file in release.files:
            path = self._path(release, file.name)
            try:
                with path.open("rb") as source:
                    if os.fstat(source.fileno()).st_size != file.size:
                        return f"`{path}` has another size than when it was installed"
                    if hashlib.file_digest(source, "sha256").hexdigest() != file.sha256:
                        return f"`{path}` has another SHA-256 than when it was installed"
            except OSError as error:
                return f"`{path}` cannot be read: {error.strerror}"
        return ""

    def _path(self, release: Release, name: str) -> Path:
        return self.folder / release.folder / release.platform / name

    def _sweep(self) -> None:
        """Remove what an installation left that was killed."""
        for left in self.folder.glob(f"{_STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)

    def forget_downloads(self) -> None:
        """Remove broken downloads: what was wanted has arrived."""
        with suppress(OSError):
            shutil.rmtree(self.downloads)


def _cannot_write(path: Path, error: OSError) -> LingmaError:
    return LingmaError(
        ErrorKind.INSTALL_FAILED,
        f"cannot write in `{path}`: {error.strerror}",
        hint="check the disk's free space and the folder's permissions",
    )
