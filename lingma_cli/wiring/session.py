"""Sessions: bundles into the vault as logins, and the bundles that the settings name for a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lingma_cli.auth.accounts import Account
from lingma_cli.auth.bundles.bundle import Bundle
from lingma_cli.auth.bundles.sealed import open_any
from lingma_cli.auth.configured import BundleOpener, ConfiguredAccount, Entry, configured_entries
from lingma_cli.auth.keeping import entry_of
from lingma_cli.auth.passphrase_file import read_passphrase
from lingma_cli.core.login import LoginState, LoginStatus
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.home import Home, has_login, keep_login, refuse_while_serving
from lingma_cli.wiring.vault import ask_at_terminal

Verify = Callable[[Bundle], tuple[Bundle, LoginStatus]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """An account, and the size of its login in the vault; `None` if there is none."""

    account: Account
    is_active: bool
    size: int | None


def list_sessions(home: Home) -> list[StoredSession]:
    """Return every account with what the vault holds of it."""
    active = home.accounts.active()
    found = [(account, home.vault.get(entry_of(account.name))) for account in home.accounts.all()]
    return [
        StoredSession(
            account=account,
            is_active=account == active,
            size=None if login is None else len(login),
        )
        for account, login in found
    ]


def import_session(
    home: Home,
    bundle: Bundle,
    name: str,
    *,
    endpoint: str,
    now: float,
    overwrite: bool = False,
    verify: Verify | None = None,
) -> Account:
    """Keep `bundle` as the login of the account `name`.

    Args:
        home: where to.
        bundle: the login.
        name: of a new account, or of one that is there.
        endpoint: the dedicated service that a new account uses, if any.
        now: seconds since 1970.
        overwrite: put it in the place of a login that is there.
        verify: asks an engine; without it the bundle is taken on trust.

    Raises:
        LingmaError: there is a login already, the engine refuses the bundle, or a running server
            works with the login that is to go.
    """
    if has_login(home, name):
        _check_overwriting(home, name, is_wanted=overwrite)
    status = LoginStatus(state=LoginState.UNKNOWN)
    if verify is not None:
        bundle, status = verify(bundle)
    known = home.accounts.get(name)
    account = Account(
        name=name,
        method="import",
        endpoint=known.endpoint if known else endpoint,
        username=status.name,
        organisation=status.organisation,
        created=now,
        expires=status.expires,
    )
    keep_login(home, account, bundle)
    return account


def _check_overwriting(home: Home, name: str, *, is_wanted: bool) -> None:
    if not is_wanted:
        raise LingmaError(
            ErrorKind.USAGE,
            f"the account `{name}` has a login already",
            hint="use `--replace`, or another name with `--account NAME`",
        )
    refuse_while_serving(home.paths)


def configured_accounts(settings: Settings, *, now: float) -> list[ConfiguredAccount]:
    """Return the accounts that the settings name for this run, with their bundles.

    Raises:
        LingmaError: what is written makes no sense, or a bundle cannot be used.
    """
    entries = configured_entries(
        settings.accounts,
        username=settings.username,
        password=settings.password,
        session_bundle=settings.session_bundle,
        session_bundle_file=settings.session_bundle_file,
    )
    return [entry.opened(_opener(settings, now)) for entry in entries]


def import_entry(home: Home, entry: Entry, settings: Settings, *, now: float) -> None:
    """Keep the login of an account as it was written, which has a bundle.

    Raises:
        LingmaError: see `import_session` and `Entry.opened`.
    """
    bundle = entry.opened(_opener(settings, now)).bundle
    if bundle is not None:
        import_session(home, bundle, entry.name, endpoint=settings.dedicated_domain_url, now=now)


def _opener(settings: Settings, now: float) -> BundleOpener:
    return lambda data: open_any(data, passphrase=lambda: bundle_passphrase(settings), now=now)


def bundle_passphrase(settings: Settings, file: str = "", *, is_new: bool = False) -> Secret:
    """Return the passphrase of a sealed bundle: from a file, else from the person.

    Args:
        settings: `passphrase_file` counts if `file` is empty.
        file: path of a private file with it.
        is_new: it is being made up: the person says it twice.

    Raises:
        LingmaError: the file cannot be used, or there is nobody to ask, or the two differ.
    """
    path = file or settings.passphrase_file
    if path:
        return read_passphrase(Path(path).expanduser())
    said = ask_at_terminal("passphrase of the bundle: ")
    if said is None:
        raise LingmaError(
            ErrorKind.USAGE,
            "an encrypted bundle needs a passphrase",
            hint="run it at a terminal, or name a private file with `--passphrase-file FILE`",
        )
    if is_new and ask_at_terminal("the same again: ") != said:
        raise LingmaError(ErrorKind.USAGE, "the two passphrases differ", hint="try again")
    return said
