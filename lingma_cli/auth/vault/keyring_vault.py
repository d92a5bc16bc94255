"""The vault in the keyring of the operating system.

Owns: which keyrings are trusted, how long one may take, and how a value of any size is kept so that
no crash loses it. Must not know: what the entries hold.

A keyring maps texts to texts. Each of our entries has two slots there, `NAME#0` and `NAME#1`. A
slot is a head, JSON with a count that grows by one a write, and the digest of the value. The value
itself stands in the head if it fits, else in `NAME#0.0`, `NAME#0.1` and so on, as base64. A write
fills the slot that is not being read, its head last: until then the other slot holds, from then on
the higher count does. So no step needs to be atomic, which matters where replacing a text means
deleting it first (macOS).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec

from lingma_cli.auth.vault.base import check_name, check_value, locked, shut
from lingma_cli.errors import LingmaError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

# Class to characters that a text may have. Whatever is not listed counts as no keyring: it might
# write in plain text, or nowhere.
_LARGE: Final = 60_000
TRUSTED: Final = {
    "keyring.backends.SecretService.Keyring": _LARGE,
    "keyring.backends.libsecret.Keyring": _LARGE,
    "keyring.backends.kwallet.DBusKeyring": _LARGE,
    "keyring.backends.kwallet.DBusKeyringKWallet4": _LARGE,
    "keyring.backends.macOS.Keyring": _LARGE,
    # 2560 bytes of UTF-16.
    "keyring.backends.Windows.WinVaultKeyring": 1200,
}
_SLOTS: Final = (0, 1)
_MAX_PARTS: Final = 10_000
_HINT: Final = "unlock your keyring and run the command again"
_NO_KEYRING: Final = "start one, such as GNOME Keyring or KWallet, and run the command again"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A keyring, and how many characters one of its texts may have."""

    backend: KeyringBackend
    limit: int


class _Head(msgspec.Struct, kw_only=True):
    count: int
    digest: str
    parts: Annotated[int, msgspec.Meta(ge=0, le=_MAX_PARTS)]
    data: str = ""


@dataclass(frozen=True, slots=True)
class _Slot:
    """What a slot holds; `value` is `None` if it is incomplete."""

    number: int
    count: int
    value: bytes | None = field(repr=False)


def find_backend() -> Found | None:
    """Return the keyring of this machine, `None` if there is none that can be trusted.

    What `PYTHON_KEYRING_BACKEND` or keyring's own file names counts, as far as it is trusted.
    """
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    # A chain would write to whichever of its links takes it; they are sorted, the best first.
    links = chosen.backends if isinstance(chosen, ChainerBackend) else [chosen]
    return next(filter(None, map(trusted, links)), None)


def trusted(backend: KeyringBackend) -> Found | None:
    """Return `backend` if its class is one of `TRUSTED`."""
    limit = TRUSTED.get(f"{type(backend).__module__}.{type(backend).__qualname__}")
    return Found(backend=backend, limit=limit) if limit else None


class KeyringVault:
    """Entries in a keyring.

    Args:
        service: the name under which the keyring keeps them; no two homes have the same.
        lock: a file that all processes of this home lock.
        find: returns the keyring.
        timeout: seconds that the keyring may take for one text. It may hang, or wait for a person.
    """

    kind: Final = "keyring"

    def __init__(
        self,
        service: str,
        lock: Path,
        *,
        find: Callable[[], Found | None] = find_backend,
        timeout: float = 3.0,
    ) -> None:
        self._service = service
        self._lock = lock
        self._find = find
        self._timeout = timeout
        self._found: Found | None = None
        self._turn = threading.Lock()

    def probe(self) -> None:
        """Write, read and delete a text.

        Raises:
            LingmaError: there is no keyring, or it is locked, silent or does not keep it.
        """
        backend = self._keyring().backend
        name, text = f"probe-{secrets.token_hex(8)}", secrets.token_urlsafe(16)

        def attempt() -> str | None:
            backend.set_password(self._service, name, text)
            back = backend.get_password(self._service, name)
            backend.delete_password(self._service, name)
            return back

        if self._run(attempt) != text:
            raise shut("the keyring does not keep what is written to it", hint=_HINT)

    def get(self, name: str) -> bytes | None:
        """Return the value of an entry; see `Vault`."""
        with locked(self._lock):
            slots = self._slots(check_name(name))
        whole = _newest(slots)
        if whole is None and slots:
            raise shut(
                f"the keyring's entry `{name}` is damaged",
                hint="log in again, or remove it with your desktop's keyring program",
            )
        return whole.value if whole else None

    def put(self, name: str, value: bytes) -> None:
        """Keep a value; see `Vault`."""
        check_name(name)
        check_value(value)
        with locked(self._lock):
            slots = self._slots(name)
            whole = _newest(slots)
            old = whole.number if whole else 1
            new = 1 - old
            self._fill(f"{name}#{new}", value, max((slot.count for slot in slots), default=0) + 1)
            # The value is kept by now; what this leaves behind, the next write removes.
            with suppress(LingmaError):
                self._clear(f"{name}#{old}")

    def delete(self, name: str) -> bool:
        """Forget an entry; see `Vault`."""
        with locked(self._lock):
            slots = self._slots(check_name(name))
            # The newest last, so that no crash brings an older value back.
            known = [slot.number for slot in sorted(slots, key=lambda slot: slot.count)]
            for number in (*(number for number in _SLOTS if number not in known), *known):
                self._clear(f"{name}#{number}")
        return bool(slots)

    def _slots(self, name: str) -> list[_Slot]:
        return [slot for number in _SLOTS if (slot := self._slot(name, number)) is not None]

    def _slot(self, name: str, number: int) -> _Slot | None:
        text = self._read(f"{name}#{number}")
        if text is None:
            return None
        try:
            head = msgspec.json.decode(text, type=_Head)
            pieces = [self._read(f"{name}#{number}.{part}") for part in range(head.parts)]
            value = base64.b64decode(head.data + "".join(filter(None, pieces)), validate=True)
        except ValueError:
            return _Slot(number, 0, None)
        is_whole = hashlib.sha256(value).hexdigest() == head.digest
        return _Slot(number, head.count, value if is_whole else None)

    def _fill(self, slot: str, value: bytes, count: int) -> None:
        text = base64.b64encode(value).decode()
        limit = self._keyring().limit
        head = _Head(count=count, digest=hashlib.sha256(value).hexdigest(), parts=0, data=text)
        if len(msgspec.json.encode(head)) > limit:
            pieces = [text[start : start + limit] for start in range(0, len(text), limit)]
            for part, piece in enumerate(pieces):
                self._write(f"{slot}.{part}", piece)
            head.parts, head.data = len(pieces), ""
        self._write(slot, msgspec.json.encode(head).decode())
        self._trim(slot, head.parts)

    def _clear(self, slot: str) -> None:
        self._remove(slot)
        self._trim(slot, 0)

    def _trim(self, slot: str, keep: int) -> None:
        """Remove the parts of `slot` from number `keep` on.

        Parts are written from the first and removed from the last, so that whatever was
        interrupted, they have no gap and can be found by counting.
        """
        count = keep
        while self._read(f"{slot}.{count}") is not None:
            count += 1
        for part in reversed(range(keep, count)):
            self._remove(f"{slot}.{part}")

    def _read(self, key: str) -> str | None:
        backend = self._keyring().backend
        return self._run(lambda: backend.get_password(self._service, key))

    def _write(self, key: str, text: str) -> None:
        backend = self._keyring().backend
        self._run(lambda: backend.set_password(self._service, key, text))

    def _remove(self, key: str) -> None:
        backend = self._keyring().backend
        if self._read(key) is not None:
            self._run(lambda: backend.delete_password(self._service, key))

    def _keyring(self) -> Found:
        if self._found is None:
            self._found = self._run(self._find)
        if self._found is None:
            raise shut("there is no keyring that can be trusted", hint=_NO_KEYRING)
        return self._found

    def _run(self, call: Callable[[], T]) -> T:
        """Return what `call` returns, from a thread that does not keep the program from ending."""
        future: Future[T] = Future()
        threading.Thread(target=self._settle, args=(future, call), daemon=True).start()
        try:
            return future.result(self._timeout)
        except TimeoutError:
            # What has not begun by now is not wanted later.
            future.cancel()
            raise shut(
                f"the keyring does not answer within {self._timeout:g} s", hint=_HINT
            ) from None
        except Exception as error:  # noqa: BLE001 - backends raise whatever their system does
            raise _refused(error) from None

    def _settle(self, future: Future[T], call: Callable[[], T]) -> None:
        # Behind a call that hangs nothing overtakes it.
        with self._turn:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised again where somebody waits
                future.set_exception(error)


def _refused(error: Exception) -> LingmaError:
    # Not its text: that may hold what was to be stored. Two come from below keyring itself.
    if type(error).__name__ in ("KeyringLocked", "LockedException", "PromptDismissedException"):
        return shut("the keyring is locked", hint=_HINT)
    if type(error).__name__ == "InitError":
        return shut("the keyring is locked, or there is none yet", hint=_HINT)
    return shut(f"the keyring refuses: {type(error).__name__}", hint=_HINT)


def _newest(slots: list[_Slot]) -> _Slot | None:
    whole: Iterator[_Slot] = (slot for slot in slots if slot.value is not None)
    return max(whole, key=lambda slot: slot.count, default=None)
