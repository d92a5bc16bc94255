"""Keyrings of every character, as real backends of `keyring`."""

from __future__ import annotations

import threading
from collections.abc import MutableMapping
from pathlib import Path
from urllib.parse import quote

from keyring.backend import KeyringBackend
from keyring.compat import properties
from keyring.errors import InitError, KeyringLocked, PasswordDeleteError, PasswordSetError

WINDOWS_BYTES = 2560


class MemoryKeyring(KeyringBackend):
    """Keeps texts in `entries`, and is willing."""

    def __init__(self, entries: MutableMapping[str, str] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: MutableMapping[str, str] = {} if entries is None else entries

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805 - the shape that keyring asks for
        """Say that it works here."""
        return 9

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[f"{service} {username}"] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.entries.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError("no such password")


class PlaintextKeyring(MemoryKeyring):
    """One that nobody should trust."""


class LockedKeyring(MemoryKeyring):
    """One whose owner does not unlock it."""

    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("locked")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise KeyringLocked("locked")


class UnmadeKeyring(MemoryKeyring):
    """One whose owner was asked to make it, and did not."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise InitError(f"cannot make one for {password}")


class FailingKeyring(MemoryKeyring):
    """One that does not write, and says so with the secret in its words."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise PasswordSetError(f"cannot store {password}")


class ForgetfulKeyring(MemoryKeyring):
    """One that takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass

    def delete_password(self, service: str, username: str) -> None:
        pass


class HangingKeyring(MemoryKeyring):
    """One that does not answer until it is `released`."""

    def __init__(self, entries: MutableMapping[str, str] | None = None) -> None:
        super().__init__(entries)
        self.released = threading.Event()
        self.asked: list[str] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append(username)
        self.released.wait()
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.released.wait()
        super().set_password(service, username, password)


class SmallKeyring(MemoryKeyring):
    """One whose texts have the size that Windows allows."""

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password.encode("utf-16-le")) > WINDOWS_BYTES:
            raise PasswordSetError("too large")
        super().set_password(service, username, password)


class DyingKeyring(MemoryKeyring):
    """One that dies after so many `steps`; `atomic` says whether replacing a text is one or two."""

    def __init__(self, entries: MutableMapping[str, str], steps: int, *, atomic: bool) -> None:
        super().__init__(entries)
        self.steps = steps
        self._atomic = atomic

    def set_password(self, service: str, username: str, password: str) -> None:
        if not self._atomic and self.get_password(service, username) is not None:
            self.delete_password(service, username)
        self._step()
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        self._step()
        super().delete_password(service, username)

    def _step(self) -> None:
        if self.steps <= 0:
            raise ConnectionError("the keyring has died")
        self.steps -= 1


class FolderKeyring(KeyringBackend):
    """Keeps each text as a file, so that processes can share it."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._folder = folder or Path()

    @properties.classproperty
    def priority(cls) -> float:  # noqa: N805 - the shape that keyring asks for
        """Never be chosen by itself: it needs a folder."""
        raise RuntimeError("needs a folder")

    def _path(self, service: str, username: str) -> Path:
        return self._folder / quote(f"{service} {username}", safe="")

    def get_password(self, service: str, username: str) -> str | None:
        try:
            return self._path(service, username).read_text()
        except FileNotFoundError:
            return None

    def set_password(self, service: str, username: str, password: str) -> None:
        path = self._path(service, username)
        draft = path.with_name(f"draft-{threading.get_native_id()}")
        draft.write_text(password)
        draft.replace(path)

    def delete_password(self, service: str, username: str) -> None:
        self._path(service, username).unlink()
