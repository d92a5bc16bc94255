"""Where things live on disk, how a private file is born, and how one is locked.

`LINGMA_HOME` moves config, data, state, cache and runtime together; without it each follows the
platform's own custom.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The five folders; none of them is created before something is written there."""

    config: Path
    data: Path
    state: Path
    cache: Path
    runtime: Path

    @property
    def config_file(self) -> Path:
        """The user's settings, TOML."""
        return self.config / "config.toml"

    @property
    def keys_file(self) -> Path:
        """The generated API key and admin token."""
        return self.state / "keys.json"

    @property
    def accounts_file(self) -> Path:
        """The accounts of this home, without anything secret."""
        return self.state / "accounts.json"

    @property
    def vault_folder(self) -> Path:
        """Where a vault that is no keyring keeps its files."""
        return self.state / "vault"

    @property
    def versions(self) -> Path:
        """The downloaded executables, side by side."""
        return self.data / "versions"

    @property
    def server_file(self) -> Path:
        """Url, pid and start time of the running server."""
        return self.runtime / "server.json"

    @property
    def server_lock(self) -> Path:
        """The file whose lock the running server holds."""
        return self.runtime / "server.lock"

    @property
    def background_log(self) -> Path:
        """What the server in the background prints and logs; the run before lies beside it."""
        return self.state / "gateway.log"

    @property
    def background_file(self) -> Path:
        """How the server in the background was started last."""
        return self.state / "gateway.json"

    @property
    def engines_file(self) -> Path:
        """The engines that were added at run time."""
        return self.state / "engines.json"

    def engine_folder(self, id_: str) -> Path:
        """Where a server that we start works and logs."""
        return self.data / "engines" / id_

    @property
    def background_lock(self) -> Path:
        """The file whose lock is held by who starts a server in the background."""
        return self.runtime / "gateway.lock"


def find_paths(environ: Mapping[str, str]) -> Paths:
    """Return the folders that `environ` and the platform name."""
    home = environ.get("LINGMA_HOME")
    if home:
        root = Path(home).expanduser().absolute()
        return Paths(
            config=root / "config",
            data=root / "data",
            state=root / "state",
            cache=root / "cache",
            runtime=root / "run",
        )
    from platformdirs import PlatformDirs  # noqa: PLC0415 - not needed with LINGMA_HOME

    dirs = PlatformDirs("lingma", appauthor=False)
    return Paths(
        config=dirs.user_config_path,
        data=dirs.user_data_path,
        state=dirs.user_state_path,
        cache=dirs.user_cache_path,
        runtime=_runtime_folder(dirs.user_state_path, environ),
    )


def _runtime_folder(state: Path, environ: Mapping[str, str]) -> Path:
    # A runtime folder that the session manager made is private and vanishes at logout; without
    # one (containers, macOS, Windows, cron) the state folder serves.
    session = environ.get("XDG_RUNTIME_DIR")
    if session and Path(session).is_dir():
        return Path(session) / "lingma"
    return state / "run"


def private_folder(folder: Path) -> Path:
    """Create `folder` for the user alone, parents included, and return it.

    Raises:
        LingmaError: it cannot be made, or it belongs to somebody else or others may write in it.
    """
    try:
        for missing in reversed([folder, *folder.parents]):
            # Not `parents=True`: those would be born with the umask's mode.
            if not missing.is_dir():
                missing.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        status = folder.stat()
    except OSError as error:
        raise LingmaError(
            ErrorKind.USAGE,
            f"cannot use the folder `{folder}`: {error.strerror}",
            hint="set `LINGMA_HOME` to a folder you may write in",
        ) from error
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise LingmaError(
            ErrorKind.USAGE,
            f"the folder `{folder}` belongs to somebody else or others may write in it",
            hint=f"run `chmod go-w {folder}` or set `LINGMA_HOME` to a folder of your own",
        )
    return folder


def write_private(path: Path, content: str | bytes) -> None:
    """Write `path` as a whole, mode 0600 from birth, by a new file and a rename.

    Raises:
        LingmaError: the folder or the file cannot be written.
    """
    private_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(
            draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), PRIVATE_FILE
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LingmaError(
            ErrorKind.USAGE,
            f"cannot write `{path}`: {error.strerror}",
            hint="check the disk and the folder's permissions",
        ) from error


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open `path` as a descriptor for this context, private if it is made, never through a link."""
    descriptor = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), PRIVATE_FILE)
    try:
        yield descriptor
    finally:
        # Closing gives the lock back.
        os.close(descriptor)


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Take the operating system's lock on an open file, or tell that somebody else has it.

    The lock goes with the descriptor: however its process ends, it is free again.
    """
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - exists on Windows only

            # There is no shared lock; the first byte may lie behind the end.
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            if shared:
                msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl  # noqa: PLC0415 - does not exist on Windows

            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
