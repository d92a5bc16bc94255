"""One private file an entry: what the vaults without a keyring share.

Owns: names of files, one writer at a time, no traces. Must not know: what the files hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lingma_cli.auth.private_file import read_private
from lingma_cli.auth.vault.base import check_name, locked, shut
from lingma_cli.paths import write_private

_LOCK: Final = "files.lock"


def has_entries(folder: Path, *, besides: str) -> bool:
    """Tell whether `folder` holds files of entries other than `besides`."""
    return any(not path.name.startswith(f"entry.{besides}.") for path in folder.glob("entry.*"))


class EntryFiles:
    """The files of the entries in a folder.

    Args:
        folder: made when something is written.
        suffix: the end of each file's name.
        limit: bytes that a file may hold.

    Every method raises `LingmaError` if a file cannot be read or written, or is not the user's own
    and private.
    """

    def __init__(self, folder: Path, suffix: str, limit: int) -> None:
        self._folder = folder
        self._suffix = suffix
        self._limit = limit

    def read(self, name: str) -> bytes | None:
        """Return the content of an entry's file, `None` if there is none.

        Raises:
            LingmaError: there is none because it was set aside; a person has to decide.
        """
        path = self._path(name)
        content = read_private(path, self._limit)
        aside = self._set_aside(path)
        if content is None and aside:
            raise shut(
                f"the vault's entry `{name}` was damaged and set aside: {aside[0]}",
                hint="put a good copy in its place, or remove it and log in again",
            )
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write an entry's file as a whole."""
        path = self._path(name)
        with self._writing(path):
            self._sweep(path)
            write_private(path, content)

    def remove(self, name: str) -> bool:
        """Remove an entry's file and what accidents left of it, and tell whether there was one."""
        path = self._path(name)
        with self._writing(path):
            self._sweep(path)
            for aside in self._set_aside(path):
                aside.unlink(missing_ok=True)
            existed = path.exists()
            path.unlink(missing_ok=True)
        return existed

    def set_aside(self, name: str, content: bytes) -> None:
        """Move an entry's file out of the way if it still holds `content`, which is damaged."""
        path = self._path(name)
        with self._writing(path):
            if read_private(path, self._limit) == content:
                path.rename(path.with_name(f"{path.name}.corrupt-{len(self._set_aside(path)) + 1}"))

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        with locked(self._folder / _LOCK):
            try:
                yield
            except OSError as error:
                raise shut(
                    f"cannot change `{path}`: {error.strerror}",
                    hint="check the disk and the folder's permissions",
                ) from error

    def _path(self, name: str) -> Path:
        # `+` is no letter of a name; the word in front keeps dots and device names harmless.
        return self._folder / f"entry.{check_name(name).replace('/', '+')}.{self._suffix}"

    def _set_aside(self, path: Path) -> list[Path]:
        return sorted(self._folder.glob(f"{path.name}.corrupt-*"))

    def _sweep(self, path: Path) -> None:
        # Drafts of a writer that was killed; with the lock held, nobody is writing now.
        for draft in self._folder.glob(f".{path.name}.*"):
            draft.unlink(missing_ok=True)
