"""Accounts that the settings name for one run, in the forms of the old gateway.

Source: the gateway brief, "pool" and "bundle". Texts are `USER:PASSWORD` by commas or lines, where
only the first colon splits, or a JSON list of objects with `username`, `password`,
`session_bundle` (base64) and `session_bundle_file`. No error here quotes a value: it may be a
password in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.auth.accounts import DEFAULT
from lingma_cli.auth.bundles.bundle import MAX_TEXT, Bundle
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

_NO_NAME: Final = re.compile("[^a-z0-9._-]+")
_MAX_NAME: Final = 32

BundleOpener = Callable[[bytes], Bundle]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredAccount:
    """An account of this run; there is a password with a username, or a bundle, or both.

    Attributes:
        name: a name for an account, made from the username; differs among the accounts of a run.
        username: what the vendor's login page wants; empty with a bundle only.
        password: for this run only, never stored.
        bundle: its login.
    """

    name: str
    username: str
    password: Secret | None
    bundle: Bundle | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An account as it was written, its bundle still unread.

    Attributes:
        label: says in errors which one it is.
        bundle_text: base64, empty for none.
        bundle_file: path of a file with such text, empty for none.
    """

    label: str
    name: str
    username: str
    password: Secret | None
    bundle_text: Secret | None
    bundle_file: str

    @property
    def has_bundle(self) -> bool:
        """Whether a login comes with it."""
        return bool(self.bundle_text or self.bundle_file)

    def opened(self, open_bundle: BundleOpener) -> ConfiguredAccount:
        """Return the account with its bundle read.

        Raises:
            LingmaError: the file cannot be read, or its bundle is not usable.
        """
        data = self.bundle_text.reveal().encode() if self.bundle_text else None
        if self.bundle_file:
            data = _read(self.bundle_file, self.label)
        try:
            bundle = open_bundle(data) if data is not None else None
        except LingmaError as error:
            message = f"{self.label}: {error.message}"
            raise LingmaError(error.kind, message, hint=error.hint) from None
        return ConfiguredAccount(
            name=self.name, username=self.username, password=self.password, bundle=bundle
        )


class _JsonEntry(msgspec.Struct, forbid_unknown_fields=True):
    username: str = ""
    password: str = ""
    session_bundle: str = ""
    session_bundle_file: str = ""


def configured_entries(
    accounts: Secret | None,
    *,
    username: str,
    password: Secret | None,
    session_bundle: Secret | None,
    session_bundle_file: str,
) -> list[Entry]:
    """Return the accounts of this run as they are written, none if nothing names one.

    Args:
        accounts: the list; without one, the rest describes a single account.
        username: for the vendor's login page.
        password: the user's.
        session_bundle: a login, base64.
        session_bundle_file: path of a file with a login.

    Raises:
        LingmaError: what is written makes no sense.
    """
    one = _JsonEntry(
        username=username.strip(),
        password=password.reveal() if password else "",
        session_bundle=session_bundle.reveal() if session_bundle else "",
        session_bundle_file=session_bundle_file,
    )
    has_one = one != _JsonEntry()
    if accounts is None:
        return [_entry(one, "the account of this run", DEFAULT)] if has_one else []
    if has_one:
        raise _wrong(
            "`accounts` is set together with `username`, `password` or a session bundle",
            "keep either the list or the single account",
        )
    return list(_named(_parsed(accounts.reveal())))


def _parsed(text: str) -> Sequence[_JsonEntry]:
    if not text.strip():
        return []
    if text.lstrip()[0] in "[{":
        return _from_json(text)
    pieces = filter(None, (piece.strip() for piece in text.replace("\n", ",").split(",")))
    pairs = (piece.partition(":") for piece in pieces)
    return [_JsonEntry(username=user.strip(), password=word) for user, _, word in pairs]


def _from_json(text: str) -> Sequence[_JsonEntry]:
    try:
        return msgspec.json.decode(text.encode(), type=list[_JsonEntry])
    except msgspec.ValidationError as error:
        # Only where: an unknown field's name may be a misplaced value.
        _, _, place = str(error).partition(" - at ")
        raise _wrong(f"the JSON of `accounts` is wrong at {place or '`$`'}") from None
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise _wrong("`accounts` begins like JSON and is none") from None


def _named(written: Sequence[_JsonEntry]) -> Iterator[Entry]:
    """Give each entry a name of its own, the same one whatever else is in the list."""
    usernames: dict[str, int] = {}
    names: set[str] = set()
    for number, one in enumerate(written, 1):
        earlier = usernames.setdefault(one.username, number) if one.username else number
        if earlier != number:
            raise _wrong(f"entries {earlier} and {number} of `accounts` name the same user")
        name = free = _name(one.username) or f"account-{number}"
        for suffix in range(2, len(written) + 2):
            if free not in names:
                break
            free = f"{name[: _MAX_NAME - 4]}-{suffix}"
        names.add(free)
        yield _entry(one, f"entry {number} of `accounts`", free)


def _name(username: str) -> str:
    return _NO_NAME.sub("-", username.lower()).strip("-._")[:_MAX_NAME]


def _entry(one: _JsonEntry, label: str, name: str) -> Entry:
    has_bundle = bool(one.session_bundle or one.session_bundle_file)
    if one.session_bundle and one.session_bundle_file:
        raise _wrong(f"{label} has both a session bundle and a file with one")
    if one.password and not one.username:
        raise _wrong(f"{label} has a password and no username")
    if not one.password and not has_bundle:
        raise _wrong(f"{label} has neither a password nor a session bundle")
    return Entry(
        label=label,
        name=name,
        username=one.username,
        password=Secret(one.password) if one.password else None,
        bundle_text=Secret(one.session_bundle) if one.session_bundle else None,
        bundle_file=one.session_bundle_file,
    )


def _read(name: str, label: str) -> bytes:
    try:
        # Neither link nor mode is looked at: containers mount secrets in their own ways.
        with Path(name).expanduser().open("rb") as file:
            return file.read(MAX_TEXT + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path"
        raise _wrong(f"{label}: cannot read its session bundle file: {reason}") from error


def _wrong(message: str, hint: str = "") -> LingmaError:
    forms = "`LINGMA_ACCOUNTS` is `USER:PASSWORD,USER:PASSWORD` without commas in a password, or a "
    forms += "JSON list of `username`, `password`, `session_bundle`, `session_bundle_file`"
    return LingmaError(ErrorKind.USAGE, message, hint=hint or forms)
