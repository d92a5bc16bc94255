"""One account's login between the vault and its engine's folder: out before a start, back after.

Theory: the same login may be in two places, and either may be newer. A record in the folder says
what the two had in common last: the SHA-256 of that login, and of which kind the vault was. Where
only the folder differs from it, the engine has refreshed the login; where the vault differs, a
person has logged in anew or out, and that counts more. After a crash the same question is asked
again, so nothing depends on an orderly end. Must not know: engines, or when they run.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.auth.accounts import check_name
from lingma_cli.auth.bundles.bundle import Bundle, pack, unpack
from lingma_cli.auth.bundles.folder import is_live, lay, take, wipe
from lingma_cli.auth.vault.base import Vault
from lingma_cli.errors import LingmaError
from lingma_cli.paths import write_private

_RECORD: Final = ".lingma-cli.login"


class _Record(msgspec.Struct, kw_only=True):
    vault: str
    sha256: str
    # What the vault is being given: it may have taken it although this was the last thing written.
    coming: str = ""


def entry_of(account: str) -> str:
    """Return the name of an account's login in a vault."""
    return f"login/{check_name(account)}"


class LoginKeeper:
    """Keeps the login of one account; its methods block, and may come from any thread.

    Args:
        vault: where the login is at home.
        name: the account's.
        work_dir: the folder of its engine, which no other engine uses.
        warn: told what could not be done, in a sentence.
        on_taken: told that the vault has got a newer login.
    """

    def __init__(
        self,
        vault: Vault,
        name: str,
        work_dir: Path,
        *,
        warn: Callable[[str], None],
        on_taken: Callable[[], None] = lambda: None,
    ) -> None:
        self._vault = vault
        self._name = name
        self._entry = entry_of(name)
        self._work_dir = work_dir
        self._record = work_dir / _RECORD
        self._warn = warn
        self._on_taken = on_taken
        self._lock = threading.Lock()

    def lay(self) -> None:
        """Put the newest login into the folder, before the engine starts.

        A vault that does not answer is no obstacle if the folder has a login already.

        Raises:
            LingmaError: the vault does not give the login, or the folder cannot be written.
        """
        with self._lock:
            try:
                held = self._held()
            except LingmaError as error:
                if not is_live(self._work_dir):
                    raise
                self._warn(f"the login of `{self._name}` is taken as it is: {error.message}")
                return
            found = take(self._work_dir)
            if found is not None and self._is_refreshed(found, held):
                self._try_to_put(found, held)
            elif held is None:
                self._clear()
            else:
                if _digest(found) != _digest(held):
                    lay(held, self._work_dir, replace=True)
                self._note(held)

    def take_back(self) -> None:
        """Bring a login that the engine has refreshed into the vault; trouble is a warning."""
        with self._lock:
            self._return()

    def put_away(self) -> None:
        """Bring the login back and leave none in the folder, after the engine has ended.

        What the vault does not take stays in the folder, with a warning.
        """
        with self._lock:
            if not self._return():
                return
            try:
                self._clear()
            except LingmaError as error:
                self._warn(f"the login of `{self._name}` stays readable: {error.message}")

    def clear(self) -> None:
        """Leave no login in the folder, whatever it is.

        Raises:
            LingmaError: a file cannot be removed.
        """
        with self._lock:
            self._clear()

    def has_news(self) -> bool:
        """Tell whether the vault has another login than the one that was laid.

        Raises:
            LingmaError: the vault does not answer.
        """
        with self._lock:
            held, record = self._held(), self._noted()
            known = () if record is None else (record.sha256, record.coming)
            return held is not None and _digest(held) not in known

    def _return(self) -> bool:
        """Let the vault have what it should; tell whether the folder is not needed any more."""
        try:
            found, held = take(self._work_dir), self._held()
        except LingmaError as error:
            self._warn(f"the login of `{self._name}` stays in `{self._work_dir}`: {error.message}")
            return False
        if found is not None and self._is_refreshed(found, held):
            return self._try_to_put(found, held)
        return True

    def _is_refreshed(self, found: Bundle, held: Bundle | None) -> bool:
        """Tell whether the folder has the newer login."""
        if _digest(found) == _digest(held):
            return False
        record = self._noted()
        if record is None:
            return held is None
        return _digest(held) in (record.sha256, record.coming or record.sha256)

    def _try_to_put(self, found: Bundle, held: Bundle | None) -> bool:
        try:
            self._write(sha256=_digest(held), coming=_digest(found))
            self._vault.put(self._entry, pack(found))
            self._note(found)
            self._on_taken()
        except LingmaError as error:
            self._warn(
                f"a newer login of `{self._name}` is in `{self._work_dir}` only: {error.message}"
            )
            return False
        return True

    def _held(self) -> Bundle | None:
        packed = self._vault.get(self._entry)
        return None if packed is None else unpack(packed)

    def _clear(self) -> None:
        wipe(self._work_dir)
        with suppress(OSError):
            # Without a login beside it, it says nothing.
            self._record.unlink()

    def _note(self, bundle: Bundle) -> None:
        self._write(sha256=_digest(bundle))

    def _write(self, *, sha256: str, coming: str = "") -> None:
        record = _Record(vault=self._vault.kind, sha256=sha256, coming=coming)
        write_private(self._record, msgspec.json.encode(record))

    def _noted(self) -> _Record | None:
        """Return what folder and vault had in common last; `None` if unknown."""
        try:
            record = msgspec.json.decode(self._record.read_bytes(), type=_Record)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        # Of another vault this one knows nothing.
        return record if record.vault == self._vault.kind else None


def _digest(bundle: Bundle | None) -> str:
    """Return the SHA-256 of a login, empty for none; how it was packed does not matter."""
    if bundle is None:
        return ""
    digest = hashlib.sha256()
    for name, content in bundle.files.items():
        digest.update(b"%s %d\n" % (name.encode(), len(content)) + content)
    return digest.hexdigest()


class RunVault:
    """A vault in memory, for logins that must not outlive this run."""

    kind = "run"

    def __init__(self) -> None:
        self._entries: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        """Return the value of an entry, `None` if there is none."""
        return self._entries.get(name)

    def put(self, name: str, value: bytes) -> None:
        """Keep a value."""
        self._entries[name] = value

    def delete(self, name: str) -> bool:
        """Forget an entry, and tell whether there was one."""
        return self._entries.pop(name, None) is not None


_: type[Vault] = RunVault
