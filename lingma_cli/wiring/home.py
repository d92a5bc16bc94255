"""A home with its accounts: the vault, the record and the engine's folder of each, kept in step."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lingma_cli.auth.accounts import Account, Accounts, check_name
from lingma_cli.auth.bundles.bundle import Bundle, pack, unpack
from lingma_cli.auth.bundles.folder import is_live, wipe
from lingma_cli.auth.keeping import LoginKeeper, entry_of
from lingma_cli.auth.vault.base import Vault
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths
from lingma_cli.server.presence import find_server
from lingma_cli.settings import Settings
from lingma_cli.wiring.scratch import clear_leftovers
from lingma_cli.wiring.vault import open_home_vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """Where logins are kept.

    Attributes:
        paths: the home.
        vault: its vault, opened.
        accounts: its accounts.
    """

    paths: Paths
    vault: Vault
    accounts: Accounts


def open_home(settings: Settings, paths: Paths, *, warn: Callable[[str], None]) -> Home:
    """Open the vault of this home and return it with the accounts.

    Raises:
        LingmaError: the vault does not open.
    """
    vault = open_home_vault(settings, paths, warn=warn)
    return Home(paths=paths, vault=vault, accounts=Accounts(paths.accounts_file))


def work_dir_of(paths: Paths, account: str) -> Path:
    """Return the folder in which an account's engine works."""
    return paths.data / "accounts" / check_name(account)


def keeper_of(
    home: Home, account: str, work_dir: Path | None = None, *, warn: Callable[[str], None]
) -> LoginKeeper:
    """Return what keeps vault and engine's folder of an account in step; see `LoginKeeper`.

    Args:
        home: see `Home`.
        account: its name.
        work_dir: the engine's folder, unless it is the account's own.
        warn: told what could not be kept.
    """
    return LoginKeeper(
        home.vault,
        account,
        work_dir or work_dir_of(home.paths, account),
        warn=warn,
        on_taken=partial(_mark_refreshed, home.accounts, account),
    )


def _mark_refreshed(accounts: Accounts, name: str) -> None:
    account = accounts.get(name)
    if account is not None:
        # When the new login ends, nobody has said.
        accounts.add(replace(account, refreshed=time.time(), expires=0.0))


def has_login(home: Home, account: str) -> bool:
    """Tell whether an account has a login, in the vault or only in its engine's folder."""
    return home.vault.get(entry_of(account)) is not None or is_live(
        work_dir_of(home.paths, account)
    )


def known_login(home: Home, name: str, now: float) -> Account | None:
    """Return the account if it has a login that is not over; `now` is seconds since 1970."""
    account = home.accounts.get(check_name(name))
    if account is None or (account.expires and account.expires <= now):
        return None
    return account if has_login(home, name) else None


def stored_bundle(home: Home, account: Account) -> Bundle:
    """Return the login of an account, the newest unless a server works with it.

    Raises:
        LingmaError: it has none, or the vault does not give it, or does not take a newer one.
    """
    if find_server(home.paths) is None:
        _bring_back(home, account.name)
    login = home.vault.get(entry_of(account.name))
    if login is None:
        raise LingmaError(
            ErrorKind.LOGIN_REQUIRED,
            f"the account `{account.name}` has no login",
            hint=f"run `lingma login --account {account.name}`",
        )
    return unpack(login)


def _bring_back(home: Home, account: str) -> None:
    """Let the vault have what a server that was killed has left in the engine's folder."""
    troubles: list[str] = []
    keeper_of(home, account, warn=troubles.append).take_back()
    if troubles:
        raise LingmaError(
            ErrorKind.LOGIN_REQUIRED,
            troubles[0],
            hint=f"mend that, or run `lingma login --force --account {account}`",
        )


def keep_login(home: Home, account: Account, bundle: Bundle) -> None:
    """Put a new login into the vault, see that it is there, and record its account.

    Raises:
        LingmaError: the vault does not take it, or does not give it back.
    """
    login, entry = pack(bundle), entry_of(account.name)
    home.vault.put(entry, login)
    if home.vault.get(entry) != login:
        raise LingmaError(
            ErrorKind.LOGIN_REQUIRED,
            f"the `{home.vault.kind}` vault does not give back what was put into it",
            hint="choose another one with `--store`",
        )
    if find_server(home.paths) is None:
        # A later engine gets the new login from the vault; a running one is told of it.
        wipe(work_dir_of(home.paths, account.name))
    home.accounts.add(account)


def rename_account(home: Home, old: str, new: str) -> None:
    """Call an account otherwise, its login included.

    Raises:
        LingmaError: there is no such account, the name is taken, a server runs, or the vault
            refuses.
    """
    home.accounts.choose(old)
    refuse_while_serving(home.paths)
    if old == new:
        return
    home.accounts.check_free(new)
    # In an order that loses nothing wherever it stops: until the account is renamed, the login
    # is under its old name as well, and the engine's folder holds nothing newer.
    _bring_back(home, old)
    login = home.vault.get(entry_of(old))
    if login is not None:
        home.vault.put(entry_of(new), login)
    if work_dir_of(home.paths, old).exists():
        shutil.rmtree(work_dir_of(home.paths, new), ignore_errors=True)
        work_dir_of(home.paths, old).rename(work_dir_of(home.paths, new))
    home.accounts.rename(old, new)
    home.vault.delete(entry_of(old))


def remove_account(home: Home, name: str) -> None:
    """Forget an account with its login, in the vault and in its engine's folder.

    Raises:
        LingmaError: there is no such account, or a running server may work with it.
    """
    home.accounts.choose(name)
    refuse_while_serving(home.paths)
    clear_leftovers(home.paths)
    shutil.rmtree(work_dir_of(home.paths, name), ignore_errors=True)
    wipe(work_dir_of(home.paths, name))
    home.vault.delete(entry_of(name))
    home.accounts.remove(name)


def refuse_while_serving(paths: Paths) -> None:
    """Raise `LingmaError` if a server may work with the logins of this home."""
    server = find_server(paths)
    if server is not None:
        raise LingmaError(
            ErrorKind.ALREADY_RUNNING,
            f"a server works with the logins of this home: {server.url}, process {server.pid}",
            hint="stop it first",
        )
