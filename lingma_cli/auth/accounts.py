"""The accounts of a home: what is known of each, without anything secret.

Owns: `accounts.json` and the names in it. Must not know: where logins are kept, or how one logs in.

The file is read anew for every question and rewritten as a whole under a lock, so that a server
and a command at a terminal may work at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.auth.vault.base import locked
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import write_private

NAME: Final = "[a-z0-9][a-z0-9._-]{0,31}"
DEFAULT: Final = "default"

_MAX_FILE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is known of one account; times are seconds since 1970, 0 when not known.

    Attributes:
        name: how this home calls it.
        method: how it came, such as `browser` or `import`.
        endpoint: https address of a dedicated service; empty for the vendor's own.
        username: as the account's owner calls themselves; empty when not known.
        organisation: name of the chosen organisation, if any.
        created: when its login came to this home.
        refreshed: when its login was last taken back from an engine.
        expires: when its login ends, as the vendor says.
    """

    name: str
    method: str
    endpoint: str = ""
    username: str = ""
    organisation: str = ""
    created: float = 0.0
    refreshed: float = 0.0
    expires: float = 0.0


class _AccountsFile(msgspec.Struct, kw_only=True):
    active: str = ""
    accounts: list[Account] = []


def check_name(name: str) -> str:
    """Return `name` if an account may be called so.

    Raises:
        LingmaError: it may not.
    """
    if not re.fullmatch(NAME, name):
        raise LingmaError(
            ErrorKind.USAGE,
            "an account's name has at most 32 of `a-z`, `0-9`, `.`, `_` and `-`, "
            "and begins with a letter or digit",
        )
    return name


class Accounts:
    """The accounts in a file.

    Args:
        path: `accounts.json`, `{"active": NAME, "accounts": [{…}, …]}`; need not exist.
        pause: waits for so many seconds while another process writes.

    Every method raises `LingmaError` if the file cannot be read or written, or is corrupt.
    """

    def __init__(self, path: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._path = path
        self._pause = pause

    def all(self) -> tuple[Account, ...]:
        """Return every account, the oldest entry first."""
        return tuple(self._load().accounts)

    def get(self, name: str) -> Account | None:
        """Return the account called `name`."""
        return _find(self._load(), name)

    def active(self) -> Account | None:
        """Return the account meant when none is named: the chosen one, or the first."""
        return _active(self._load())

    def choose(self, name: str | None) -> Account:
        """Return the account called `name`, the active one for `None`.

        Raises:
            LingmaError: there is none.
        """
        content = self._load()
        if name is not None:
            return _found(content, name)
        chosen = _active(content)
        if chosen is None:
            raise LingmaError(
                ErrorKind.LOGIN_REQUIRED, "there is no account yet", hint="run `lingma login`"
            )
        return chosen

    def add(self, account: Account) -> None:
        """Store `account`, in place of one of the same name.

        Raises:
            LingmaError: its name is no name for an account.
        """
        check_name(account.name)
        with self._changed() as content:
            names = [known.name for known in content.accounts]
            if account.name in names:
                content.accounts[names.index(account.name)] = account
            else:
                content.accounts.append(account)

    def check_free(self, name: str) -> None:
        """Return if another account may be called `name`.

        Raises:
            LingmaError: one is called so already, or it is no name.
        """
        _check_free(self._load(), check_name(name))

    def rename(self, old: str, new: str) -> None:
        """Call the account `old` `new` from now on.

        Raises:
            LingmaError: there is no such account, the name is taken, or it is no name.
        """
        check_name(new)
        with self._changed() as content:
            account = _found(content, old)
            if old != new:
                _check_free(content, new)
            at = content.accounts.index(account)
            content.accounts[at] = replace(account, name=new)
            if content.active == old:
                content.active = new

    def remove(self, name: str) -> bool:
        """Forget the account, and tell whether there was one."""
        with self._changed() as content:
            account = _find(content, name)
            if account is not None:
                content.accounts.remove(account)
            if content.active == name:
                content.active = ""
        return account is not None

    def use(self, name: str) -> None:
        """Make the account the active one.

        Raises:
            LingmaError: there is no such account.
        """
        with self._changed() as content:
            content.active = _found(content, name).name

    @contextmanager
    def _changed(self) -> Iterator[_AccountsFile]:
        """Lock, read, let the caller change, and write; an exception leaves the file as it was."""
        with locked(self._path.with_suffix(".lock"), pause=self._pause):
            content = self._load()
            before = msgspec.json.encode(content)
            yield content
            if msgspec.json.encode(content) != before:
                text = msgspec.json.format(msgspec.json.encode(content)) + b"\n"
                write_private(self._path, text)

    def _load(self) -> _AccountsFile:
        try:
            with self._path.open("rb") as file:
                data = file.read(_MAX_FILE)
        except FileNotFoundError:
            return _AccountsFile()
        except OSError as error:
            raise self._unusable(f"{error.strerror}") from error
        try:
            content = msgspec.json.decode(data, type=_AccountsFile)
            for account in content.accounts:
                check_name(account.name)
        except (msgspec.MsgspecError, UnicodeDecodeError, LingmaError) as error:
            raise self._unusable("it is corrupt") from error
        return content

    def _unusable(self, reason: str) -> LingmaError:
        return LingmaError(
            ErrorKind.USAGE,
            f"cannot use the accounts in `{self._path}`: {reason}",
            hint=f"repair it, or move it away and import or log in again: {self._path}",
        )


def _find(content: _AccountsFile, name: str) -> Account | None:
    return next((account for account in content.accounts if account.name == name), None)


def _check_free(content: _AccountsFile, name: str) -> None:
    if _find(content, name) is not None:
        raise LingmaError(ErrorKind.USAGE, f"there is an account `{name}` already")


def _active(content: _AccountsFile) -> Account | None:
    chosen = _find(content, content.active)
    return chosen or (content.accounts[0] if content.accounts else None)


def _found(content: _AccountsFile, name: str) -> Account:
    account = _find(content, name)
    if account is None:
        raise LingmaError(
            ErrorKind.USAGE,
            f"there is no account `{name}`",
            hint="run `lingma account list` for those that are there",
        )
    return account
