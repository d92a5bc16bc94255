"""`lingma account`: the accounts of this machine."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingma_cli.cli import output
from lingma_cli.cli.home import Bin, PassphraseFile, Store, opened_home, prepared
from lingma_cli.cli.moments import when
from lingma_cli.cli.options import ConfigFile, Json
from lingma_cli.errors import LingmaError

if TYPE_CHECKING:
    from lingma_cli.auth.accounts import Account
    from lingma_cli.client.server import Client
    from lingma_cli.server.presence import ServerFile
    from lingma_cli.settings import Settings
    from lingma_cli.wiring.home import Home

Named = Annotated[str, typer.Argument(metavar="ACCOUNT", help="which account")]
MaybeNamed = Annotated[
    str | None, typer.Argument(metavar="ACCOUNT", help="which account; default: the active one")
]
ToThaw = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="an account, or one engine; default: all of them"),
]
NewName = Annotated[str, typer.Argument(metavar="NEW-NAME", help="its name from now on")]


def list_(*, json: Json = False, config: ConfigFile = None) -> None:
    """List the accounts; `*` marks the one meant when none is named."""
    _, paths = prepared(config, {})
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below

    accounts = Accounts(paths.accounts_file)
    found, active, now = accounts.all(), accounts.active(), time.time()
    if json:
        output.print_json([report(one) | {"active": one == active} for one in found])
    elif not found:
        output.say("there is no account yet; run `lingma login`")
    else:
        rows = [
            (
                f"{one.name} *" if one == active else one.name,
                one.username or "-",
                one.organisation or "-",
                one.method,
                when(one.created, now),
                when(one.expires, now),
            )
            for one in found
        ]
        heads = ("ACCOUNT", "USER", "ORGANISATION", "BY", "SINCE", "EXPIRES")
        output.print_columns([heads, *rows])


def use(account: Named, *, config: ConfigFile = None) -> None:
    """Make an account the one meant when none is named."""
    _, paths = prepared(config, {})
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below

    Accounts(paths.accounts_file).use(account)
    output.say(f"`{account}` is the active account")


def rename(
    account: Named,
    new_name: NewName,
    *,
    store: Store = None,
    passphrase_file: PassphraseFile = None,
    config: ConfigFile = None,
) -> None:
    """Give an account another name here; its login goes along."""
    settings, paths = prepared(config, {"store": store, "passphrase_file": passphrase_file})
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.wiring.home import rename_account  # noqa: PLC0415

    Accounts(paths.accounts_file).choose(account)
    rename_account(opened_home(settings, paths), account, new_name)
    output.say(f"`{account}` is called `{new_name}` now")


def remove(
    account: Named,
    *,
    store: Store = None,
    passphrase_file: PassphraseFile = None,
    config: ConfigFile = None,
) -> None:
    """Forget an account with its login; the vendor is not told, unlike with `logout`."""
    settings, paths = prepared(config, {"store": store, "passphrase_file": passphrase_file})
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.wiring.home import remove_account  # noqa: PLC0415

    Accounts(paths.accounts_file).choose(account)
    remove_account(opened_home(settings, paths), account)
    output.say(f"removed `{account}`")


def try_(
    account: MaybeNamed = None,
    *,
    bin: Bin = None,  # noqa: A002 - the option's name
    store: Store = None,
    passphrase_file: PassphraseFile = None,
    config: ConfigFile = None,
) -> None:
    """Let an engine of its own say whether an account is logged in."""
    settings, paths = prepared(
        config, {"bin": bin, "store": store, "passphrase_file": passphrase_file}
    )
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.wiring.account import try_out  # noqa: PLC0415
    from lingma_cli.wiring.bootstrap import hush_engines  # noqa: PLC0415

    hush_engines()
    one = Accounts(paths.accounts_file).choose(account)
    home = opened_home(settings, paths)
    status = try_out(home, one, settings, os.environ, now=time.time())
    output.say(f"`{one.name}` is logged in as {status.name or status.user_id or 'somebody'}")


def thaw(name: ToThaw = None, *, config: ConfigFile = None) -> None:
    """Let engines serve again that rest because of a used-up quota, or of failures."""
    from lingma_cli.cli.home_engines import running_control_plane  # noqa: PLC0415 - not for `--help`

    with running_control_plane(config) as plane:
        engines = plane.all()
        if name is not None:
            engines = tuple(one for one in engines if one.account == name) or (plane.find(name),)
        for one in engines:
            # Those that serve too: the next rest begins short again.
            plane.thaw(one.engine_id)
    resting = sum(one.rests for one in engines)
    of = f"{resting} of {len(engines)}"
    output.say(f"{of} engines rested; now they are asked again" if resting else "no engine rests")


def announce(what: str, home: Home, account: str, settings: Settings) -> None:
    """Say that an account has a new login, and let a running server take it up.

    Args:
        what: the beginning of the sentence.
        home: where the login is kept.
        account: whose it is.
        settings: all of them.
    """
    from lingma_cli.server.presence import find_server  # noqa: PLC0415 - not for `--help`

    server = find_server(home.paths)
    if server is None:
        output.say(f"{what}; run `lingma serve`")
        return
    try:
        with admin_client(server, home, settings) as client:
            client.start_login(account)
        output.say(f"{what}; the running server takes it up")
    except LingmaError as error:
        output.say(f"{what}; start the server again if it does not take it up")
        output.say(f"note: {error.message}", dim=True)


def admin_client(server: ServerFile, home: Home, settings: Settings) -> Client:
    """Return a client with the keys of this home, to be closed by its `with`.

    Raises:
        LingmaError: the vault does not give the keys.
    """
    from lingma_cli.cli.target import Target  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.wiring.vault import find_keys  # noqa: PLC0415

    keys = find_keys(settings, home.paths, lambda: home.vault)
    return Target(url=server.url, keys=keys, server=server).connect()


def report(account: Account) -> dict[str, Any]:
    """Return what is known of an account, for programs; unknown things are `None`."""
    return {
        "account": account.name,
        "username": account.username or None,
        "organisation": account.organisation or None,
        "endpoint": account.endpoint or None,
        "method": account.method,
        "created": account.created or None,
        "refreshed": account.refreshed or None,
        "expires": account.expires or None,
    }
