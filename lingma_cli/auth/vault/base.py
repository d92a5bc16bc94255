"""What a vault is, and what every kind of vault needs: names, sizes, one writer, one voice.

Owns: the interface and its limits. Must not know: what is kept, or where.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened, private_folder, try_lock

MAX_VALUE: Final = 4 * 1024 * 1024

_NAME: Final = re.compile(r"[a-z0-9._/-]{1,100}")
_TRIES: Final = 400
_PAUSE: Final = 0.05


class Vault(Protocol):
    """Named secrets, kept from one run to the next.

    Names are `[a-z0-9._/-]{1,100}`, values up to 4 MiB. A crash at any moment leaves each entry
    either as it was or as it was to be. Calls block, and may come from any thread and process.
    """

    @property
    def kind(self) -> str:
        """`keyring`, `encrypted` or `plain`."""
        ...

    def get(self, name: str) -> bytes | None:
        """Return the value of an entry, `None` if there is no such entry.

        Raises:
            LingmaError: the vault is locked, gone or silent, or the entry is damaged.
        """
        ...

    def put(self, name: str, value: bytes) -> None:
        """Keep `value` in place of what the entry held.

        Raises:
            LingmaError: the vault is locked, gone or silent, or refuses to store.
        """
        ...

    def delete(self, name: str) -> bool:
        """Forget the entry with every trace of it, and tell whether there was one.

        Raises:
            LingmaError: the vault is locked, gone or silent, or refuses to forget.
        """
        ...


def check_name(name: str) -> str:
    """Return `name` if it is one for an entry; anything else is a mistake of the caller."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"no name for an entry of a vault: {name!r}")
    return name


def check_value(value: bytes) -> bytes:
    """Return `value` if it is not too large.

    Raises:
        LingmaError: it is.
    """
    if len(value) > MAX_VALUE:
        raise LingmaError(ErrorKind.USAGE, f"a secret of {len(value)} bytes is too large to keep")
    return value


def shut(message: str, *, hint: str) -> LingmaError:
    """Return the error of a vault that does not give or take."""
    return LingmaError(ErrorKind.LOGIN_REQUIRED, message, hint=hint)


@contextmanager
def locked(path: Path, *, pause: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the lock file `path` for this context, against other threads and processes.

    Raises:
        LingmaError: it cannot be made, or somebody else holds it for about 20 s.
    """
    private_folder(path.parent)
    with ExitStack() as stack:
        try:
            descriptor = stack.enter_context(opened(path, os.O_RDWR | os.O_CREAT))
        except OSError as error:
            raise shut(
                f"cannot use `{path}`: {error.strerror}",
                hint="check the disk and the folder's permissions",
            ) from error
        for _ in range(_TRIES):
            if try_lock(descriptor):
                break
            pause(_PAUSE)
        else:
            raise shut(f"`{path}` stays locked", hint="end the other `lingma` and try again")
        yield
