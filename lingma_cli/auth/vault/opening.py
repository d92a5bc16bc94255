"""Which vault a home has, and how it is opened.

Owns: the choice, made once and then kept in a small mark. Must not know: settings, terminals, what
the entries hold.

A home that has a vault keeps it. When that one does not open, the reason is told, and never is a
new one begun in its place: logins would seem lost, and keys would change under their clients.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from lingma_cli.auth.private_file import read_private, untrusted
from lingma_cli.auth.vault.base import Vault, locked, shut
from lingma_cli.auth.vault.encrypted_vault import EncryptedVault
from lingma_cli.auth.vault.entry_files import has_entries
from lingma_cli.auth.vault.keyring_vault import Found, KeyringVault, find_backend
from lingma_cli.auth.vault.plain_vault import PlainVault
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import private_folder, write_private
from lingma_cli.secret import Secret

Passphrase = Callable[[], Secret | None]

_MARK: Final = "vault.json"
_MAX_MARK: Final = 4096
# An entry that each vault has from its first moment: where it is missing, this is another vault.
_FIRST: Final = "home"
_WAYS_OUT: Final = (
    "use `--store encrypted` with a terminal or `LINGMA_PASSPHRASE_FILE`, "
    "or `--store plain` for files that are private but not encrypted"
)


class _Mark(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    kind: Literal["keyring", "encrypted", "plain"]
    # Keeps entries of an earlier home at the same path out.
    id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    folder: Path
    home_id: str
    passphrase: Passphrase
    find: Callable[[], Found | None]

    def keyring(self, mark_id: str) -> KeyringVault:
        service = f"lingma-cli/{self.home_id}-{mark_id}"
        return KeyringVault(service, self.folder / "keyring.lock", find=self.find)


def kind_in_use(folder: Path) -> str | None:
    """Return the kind of the vault that a home has, `None` if it has none yet.

    Raises:
        LingmaError: what `folder` tells about it is corrupt or not the user's own.
    """
    mark = _read_mark(folder)
    return mark.kind if mark else None


def open_vault(
    choice: str,
    *,
    folder: Path,
    home_id: str,
    passphrase: Passphrase,
    find: Callable[[], Found | None] = find_backend,
) -> Vault:
    """Open the vault of a home; begin one if it has none.

    Args:
        choice: `keyring`, `encrypted`, `plain`; or `auto`: the one in use, else the keyring if it
            works, else an encrypted one if there is a passphrase.
        folder: of this home, for a vault of files, for the mark and for locks.
        home_id: differs between homes; entries in the keyring are kept apart by it.
        passphrase: asked at most once, for an encrypted vault; `None` means there is none.
        find: returns the keyring.

    Raises:
        LingmaError: the vault does not open, or none can be begun. The vault in use is another
            than the one chosen.
    """
    place = _Place(folder=folder, home_id=home_id, passphrase=passphrase, find=find)
    private_folder(folder)
    mark = _read_mark(folder)
    if mark is None:
        with locked(folder / "opening.lock"):
            mark = _read_mark(folder)
            if mark is None:
                return _begin(choice, place)
    if choice not in ("auto", mark.kind):
        raise LingmaError(
            ErrorKind.USAGE,
            f"this home keeps its secrets in its `{mark.kind}` vault, not in `{choice}`",
            hint=f"leave `--store` away; or to start anew without them, remove {place.folder}",
        )
    return _open(mark, place)


def _open(mark: _Mark, place: _Place) -> Vault:
    vault: Vault
    match mark.kind:
        case "keyring":
            vault = place.keyring(mark.id)
        case "encrypted":
            vault = EncryptedVault(place.folder, _required(place.passphrase))
        case "plain":
            vault = PlainVault(place.folder)
    try:
        is_the_same = vault.get(_FIRST) is not None
    except LingmaError as error:
        message = f"the vault of this home does not open: {error.message}"
        raise shut(message, hint=error.hint or "") from error
    if not is_the_same:
        raise shut(
            f"the `{mark.kind}` vault of this home is gone",
            hint="bring it back if the home was moved or restored; "
            f"or to start anew without it, remove {place.folder} and log in again",
        )
    return vault


def _begin(choice: str, place: _Place) -> Vault:
    mark_id = secrets.token_hex(8)
    reason = ""
    if choice in ("auto", "keyring"):
        keyring = place.keyring(mark_id)
        try:
            keyring.probe()
            return _marked(keyring, mark_id, place)
        except LingmaError as error:
            if choice == "keyring":
                raise
            reason = error.message
    if choice in ("auto", "encrypted"):
        passphrase = _required(place.passphrase) if choice == "encrypted" else place.passphrase()
        if passphrase is not None:
            return _marked(EncryptedVault(place.folder, passphrase), mark_id, place)
    if choice == "plain":
        return _marked(PlainVault(place.folder), mark_id, place)
    raise shut(f"no vault for secrets: {reason}, and no passphrase was given", hint=_WAYS_OUT)


def _marked(vault: Vault, mark_id: str, place: _Place) -> Vault:
    vault.put(_FIRST, place.home_id.encode())
    mark = {"kind": vault.kind, "id": mark_id}
    write_private(place.folder / _MARK, msgspec.json.encode(mark) + b"\n")
    return vault


def _required(passphrase: Passphrase) -> Secret:
    given = passphrase()
    if given is None:
        raise shut(
            "the encrypted vault needs its passphrase",
            hint="run it at a terminal, or let `LINGMA_PASSPHRASE_FILE` name a private file",
        )
    return given


def _read_mark(folder: Path) -> _Mark | None:
    path = folder / _MARK
    content = read_private(path, _MAX_MARK)
    if content is None and has_entries(folder, besides=_FIRST):
        raise shut(
            f"`{path}` is missing, but there are entries beside it",
            hint=f"bring it back; or to start anew without them, remove {folder}",
        )
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=_Mark)
    except ValueError:
        raise untrusted(path, "it is corrupt") from None
