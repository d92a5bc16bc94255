"""A bundle under a passphrase, good until a date.

The header names the account and the two dates, for everybody to read. Times are seconds since 1970.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import msgspec

from lingma_cli.auth.accounts import NAME
from lingma_cli.auth.bundles.bundle import (
    MAX_PACKED,
    Bundle,
    damaged,
    from_text,
    is_packed,
    pack,
    unpack,
)
from lingma_cli.auth.sealing import OVERHEAD, Derivation, Seal, WrongPassphraseError, split
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

_OPENING: Final = b'{"format":"lingma-session"'

Passphrase = Callable[[], Secret]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInfo:
    """What a bundle says of itself to everybody; of a plain one only its size is known.

    Attributes:
        account: the account's name where it came from; empty when not told.
        created: when it was sealed; 0 when not told.
        expires: from when on it is refused; 0 for never.
        size: bytes, before base64.
    """

    is_encrypted: bool
    account: str
    created: float
    expires: float
    size: int


class _Header(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    format: Literal["lingma-session"] = "lingma-session"
    version: Literal[1] = 1
    account: Annotated[str, msgspec.Meta(pattern=rf"\A{NAME}\Z")]
    created: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    expires: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    key: Derivation


def seal(
    bundle: Bundle,
    passphrase: Secret,
    *,
    account: str,
    created: float,
    expires: float,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """Return `bundle` so that only `passphrase` opens it, and only before `expires`."""
    return Seal(passphrase, random_bytes=random_bytes).close(
        lambda key: _Header(account=account, created=created, expires=expires, key=key),
        pack(bundle),
    )


def open_sealed(data: bytes, passphrase: Secret, now: float) -> Bundle:
    """Return the bundle that `seal` put into `data`.

    Raises:
        LingmaError: it has expired, the passphrase is another, or it is damaged or hostile.
    """
    header, line, body = _split(data)
    check_expiry(inspect(data), now)
    try:
        packed = Seal(passphrase).open(header.key, line, body)
    except WrongPassphraseError:
        raise LingmaError(
            ErrorKind.USAGE,
            "the session bundle does not open: another passphrase, or it was changed",
            hint="check the passphrase, or make a new bundle with `lingma session export`",
        ) from None
    return unpack(packed)


def check_expiry(info: BundleInfo, now: float) -> None:
    """Refuse a bundle whose time is over.

    Raises:
        LingmaError: it has expired.
    """
    if info.expires and now >= info.expires:
        raise LingmaError(
            ErrorKind.USAGE,
            "the session bundle has expired",
            hint="make a new one with `lingma session export`",
        )


def inspect(data: bytes) -> BundleInfo:
    """Return what a bundle, packed or sealed, says of itself without a passphrase.

    What a sealed one says is proved only by opening it.

    Raises:
        LingmaError: it is neither, damaged, or hostile.
    """
    if not data.startswith(_OPENING):
        unpack(data)
        return BundleInfo(is_encrypted=False, account="", created=0, expires=0, size=len(data))
    header, _, _ = _split(data)
    return BundleInfo(
        is_encrypted=True,
        account=header.account,
        created=header.created,
        expires=header.expires,
        size=len(data),
    )


def decoded(data: bytes) -> bytes:
    """Return a bundle's own bytes, whether `data` is these or base64 text of them."""
    return data if is_packed(data) or data.startswith(_OPENING) else from_text(data)


def open_any(data: bytes, *, passphrase: Passphrase, now: float) -> Bundle:
    """Return the bundle in `data`: packed or sealed, as bytes or as base64 text.

    Args:
        data: made by anybody.
        passphrase: asked for it only when a sealed bundle could still be opened.
        now: seconds since 1970.

    Raises:
        LingmaError: it is no bundle, damaged, hostile or expired, or the passphrase is another.
    """
    content = decoded(data)
    info = inspect(content)
    if not info.is_encrypted:
        return unpack(content)
    check_expiry(info, now)
    return open_sealed(content, passphrase(), now)


def _split(data: bytes) -> tuple[_Header, bytes, bytes]:
    if len(data) > MAX_PACKED + OVERHEAD:
        raise damaged("it is larger than 4 MiB")
    try:
        return split(data, _Header)
    except ValueError:
        raise damaged("it is cut off, or its header is malformed") from None
