"""Bytes that only a passphrase opens.

Form: a line of JSON, and behind its line feed the content in AES-256-GCM, with the tag at its end.
The line says what its writer wants to tell, and how the key comes about; it can be read without the
passphrase, and the cipher authenticates it byte for byte. The key is scrypt of the passphrase
(RFC 7914).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import msgspec

from lingma_cli.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# scrypt's cost, a power of two; this one takes 128 MiB.
COST: Final = 2**17

_MAX_LINE: Final = 1024
_SALT: Final = 16
_NONCE: Final = 12
_TAG: Final = 16

# The most that sealing adds.
OVERHEAD: Final = _MAX_LINE + _TAG

Header = TypeVar("Header", bound=msgspec.Struct)


class WrongPassphraseError(Exception):
    """Sealed with another passphrase, or changed by somebody who does not know it."""


class Derivation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the key comes about: a member of every header."""

    # What a stranger may make the reader spend: no more than the writer does.
    n: Annotated[int, msgspec.Meta(ge=2**14, le=COST)]
    r: Literal[8] = 8
    p: Literal[1] = 1
    salt: Annotated[bytes, msgspec.Meta(min_length=_SALT, max_length=_SALT)]
    nonce: Annotated[bytes, msgspec.Meta(min_length=_NONCE, max_length=_NONCE)]

    def __post_init__(self) -> None:
        if self.n & (self.n - 1):
            raise ValueError("no power of two")


class Seal:
    """Seals and opens with one passphrase; what it seals shares a salt.

    Args:
        passphrase: the person's.
        n: scrypt's cost for what is sealed.
        random_bytes: a source of salts and nonces.
    """

    def __init__(
        self,
        passphrase: Secret,
        *,
        n: int = COST,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._passphrase = passphrase
        self._n = n
        self._random_bytes = random_bytes
        # Deriving a key takes long on purpose: the last one is kept.
        self._derived: tuple[int, bytes, AESGCM] | None = None

    def close(self, header: Callable[[Derivation], msgspec.Struct], content: bytes) -> bytes:
        """Return `content` sealed, behind the header that is made with its derivation."""
        derived = self._derived
        n, salt = derived[:2] if derived else (self._n, self._random_bytes(_SALT))
        key = Derivation(n=n, salt=salt, nonce=self._random_bytes(_NONCE))
        line = msgspec.json.encode(header(key)) + b"\n"
        return line + self._cipher(key).encrypt(key.nonce, content, line)

    def open(self, key: Derivation, line: bytes, body: bytes) -> bytes:
        """Return what `close` has sealed, from the parts that `split` returns.

        Raises:
            WrongPassphraseError: it does not open.
        """
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher(key).decrypt(key.nonce, body, line)
        except InvalidTag:
            raise WrongPassphraseError from None

    def _cipher(self, key: Derivation) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        derived = self._derived
        if derived is None or derived[:2] != (key.n, key.salt):
            derivation = Scrypt(salt=key.salt, length=32, n=key.n, r=key.r, p=key.p)
            passphrase = self._passphrase.reveal().encode("utf-8", "surrogatepass")
            cipher = AESGCM(derivation.derive(passphrase))
            self._derived = derived = (key.n, key.salt, cipher)
        return derived[2]


def split(data: bytes, header: type[Header]) -> tuple[Header, bytes, bytes]:
    """Return header, its line and the sealed content, made by anybody.

    Raises:
        ValueError: it is cut off, or its header is malformed.
    """
    line, feed, _ = data[:_MAX_LINE].partition(b"\n")
    line, body = line + feed, data[len(line) + 1 :]
    if not feed or len(body) < _TAG:
        raise ValueError("cut off")
    return msgspec.json.decode(line, type=header), line, body
