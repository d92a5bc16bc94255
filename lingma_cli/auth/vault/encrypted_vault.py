"""The vault under a passphrase: one sealed file an entry.

A file is the sealed value, whose header names the entry, and the SHA-256 of all before it. The
files of a vault share a salt, so that the key is derived once. The digest, which has no key, tells
damage from another passphrase.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from lingma_cli.auth.sealing import COST, OVERHEAD, Derivation, Seal, WrongPassphraseError, split
from lingma_cli.auth.vault.base import MAX_VALUE, check_value, shut
from lingma_cli.auth.vault.entry_files import EntryFiles
from lingma_cli.secret import Secret

_DIGEST: Final = 32


class _Header(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: Literal["lingma-vault"] = "lingma-vault"
    version: Literal[1] = 1
    name: str
    key: Derivation


class EncryptedVault:
    """Entries as sealed files of mode 0600.

    Args:
        folder: where the files are.
        passphrase: opens and seals them.
        n: scrypt's cost for what is written.
        random_bytes: a source of salts and nonces.
    """

    kind: Final = "encrypted"

    def __init__(
        self,
        folder: Path,
        passphrase: Secret,
        *,
        n: int = COST,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._files = EntryFiles(folder, "sealed", MAX_VALUE + OVERHEAD + _DIGEST)
        self._seal = Seal(passphrase, n=n, random_bytes=random_bytes)

    def get(self, name: str) -> bytes | None:
        """Return the value of an entry; see `Vault`.

        Raises:
            LingmaError: also if the passphrase is another. A damaged file is moved aside.
        """
        content = self._files.read(name)
        if content is None:
            return None
        try:
            header, line, body = _split(content, name)
        except ValueError:
            self._files.set_aside(name, content)
            # Tells where it is now, or returns what another process has stored meanwhile.
            return self.get(name)
        try:
            return self._seal.open(header.key, line, body)
        except WrongPassphraseError:
            raise shut(
                "the passphrase does not fit the encrypted vault",
                hint="try again, or check the file that `LINGMA_PASSPHRASE_FILE` names",
            ) from None

    def put(self, name: str, value: bytes) -> None:
        """Keep a value; see `Vault`."""
        sealed = self._seal.close(lambda key: _Header(name=name, key=key), check_value(value))
        self._files.write(name, sealed + hashlib.sha256(sealed).digest())

    def delete(self, name: str) -> bool:
        """Forget an entry; see `Vault`."""
        return self._files.remove(name)


def _split(content: bytes, name: str) -> tuple[_Header, bytes, bytes]:
    """Return header, its line and the rest; raise `ValueError` if `content` is damaged."""
    sealed, digest = content[:-_DIGEST], content[-_DIGEST:]
    if hashlib.sha256(sealed).digest() != digest:
        raise ValueError("cut off or changed")
    header, line, body = split(sealed, _Header)
    if header.name != name:
        raise ValueError("for another entry")
    return header, line, body
