"""`lingma login`, `lingma logout` and `lingma whoami`."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lingma_cli.cli import output
from lingma_cli.cli.account import admin_client, announce, report
from lingma_cli.cli.home import Bin, PassphraseFile, Store, opened_home, prepared
from lingma_cli.cli.moments import when
from lingma_cli.cli.options import ConfigFile, Json
from lingma_cli.cli.session import read_bundle
from lingma_cli.errors import ErrorKind, LingmaError

if TYPE_CHECKING:
    from lingma_cli.auth.accounts import Account
    from lingma_cli.cli.person import TerminalPerson
    from lingma_cli.paths import Paths
    from lingma_cli.settings import Settings
    from lingma_cli.wiring.home import Home

_METHODS: Final = ("auto", "browser", "paste", "password", "token", "aksk", "import")
_TIMEOUT: Final = 300.0
# Seconds for a running server to find out about its login, and between two questions.
_PATIENCE: Final = 15.0
_PAUSE: Final = 0.3

AccountName = Annotated[
    str | None,
    typer.Option("--account", metavar="NAME", help="which account of this machine"),
]
Method = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="|".join(_METHODS),
        help="the way in: the browser, a pasted address, a password, a personal token, "
        "an access key or a bundle",
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint",
        metavar="URL",
        help="https address of a dedicated Lingma service [env: LINGMA_DEDICATED_DOMAIN_URL]",
    ),
]
Username = Annotated[
    str, typer.Option("--username", metavar="NAME", help="who logs in by password")
]
Organisation = Annotated[
    str, typer.Option("--organisation", metavar="ID", help="the organisation to work for")
]
Headless = Annotated[
    bool, typer.Option("--headless", help="a password login without a browser window")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="how long the login may take")
]
SelectorsFile = Annotated[
    str | None,
    typer.Option("--selectors", metavar="FILE", help="where things are on the login page, TOML"),
]
AcceptTerms = Annotated[
    bool, typer.Option("--accept-terms", help="accept the notice of the first login")
]
Force = Annotated[bool, typer.Option("--force", help="log in even if there is a login")]
All = Annotated[bool, typer.Option("--all", help="every account")]


def login(  # noqa: PLR0913 - each is an option
    *,
    account: AccountName = None,
    method: Method = "auto",
    endpoint: Endpoint = None,
    username: Username = "",
    organisation: Organisation = "",
    headless: Headless = False,
    timeout: Timeout = _TIMEOUT,
    selectors: SelectorsFile = None,
    accept_terms: AcceptTerms = False,
    force: Force = False,
    bin: Bin = None,  # noqa: A002 - the option's name
    store: Store = None,
    passphrase_file: PassphraseFile = None,
    config: ConfigFile = None,
) -> None:
    """Log an account of yours in; its login is kept in the keyring."""
    _check_method(method)
    settings, paths = prepared(
        config, {"bin": bin, "store": store, "passphrase_file": passphrase_file}
    )
    from lingma_cli.auth.accounts import DEFAULT, check_name  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.cli.person import TerminalPerson  # noqa: PLC0415
    from lingma_cli.wiring import login as steps  # noqa: PLC0415

    name, person, now = check_name(account or DEFAULT), TerminalPerson(), time.time()
    wish = steps.LoginWish(
        account=name,
        method=method,
        endpoint=endpoint or "",
        username=username,
        organisation=organisation,
        selectors=Path(selectors).expanduser() if selectors else None,
        is_headless=headless,
        timeout=timeout,
    )
    asyncio.run(steps.agree_to_terms(person, paths, accepts=accept_terms, now=now))
    home = opened_home(settings, paths)
    steps.check_wish(wish, home, settings, os.environ)
    may_be_in = method == "auto" and not force
    if _is_in(home, name, settings, person, now=now, may_be_in=may_be_in):
        return
    if method == "import":
        service = endpoint or settings.dedicated_domain_url
        stored = _imported(home, name, settings, person, service=service, force=force)
    else:
        stored = asyncio.run(steps.log_in(wish, home, settings, os.environ, person, now=now))
    announce(f"logged in as {stored.username or name}", home, name, settings)


def _check_method(method: str) -> None:
    if method not in _METHODS:
        raise LingmaError(
            ErrorKind.USAGE, f"`--method` is none of {', '.join(_METHODS)}: `{method}`"
        )


def _is_in(
    home: Home,
    name: str,
    settings: Settings,
    person: TerminalPerson,
    *,
    now: float,
    may_be_in: bool,
) -> bool:
    """Tell whether the account needs no login, and the person too; else there is an engine then."""
    from lingma_cli.wiring.home import known_login  # noqa: PLC0415 - not for `--help`

    known = known_login(home, name, now) if may_be_in else None
    is_in = _is_served(home, known, settings) if known else False
    if not is_in:
        _find_engine(settings, home.paths, person)
    if known is None:
        return False
    if _is_confirmed(home, known, settings, now) if is_in is None else is_in:
        output.say(
            f"already logged in as {known.username or name}; `--force` logs in again, "
            "and another account gets a name of its own with `--account NAME`"
        )
        return True
    output.say(f"`{name}` is not logged in any more")
    return False


def _find_engine(settings: Settings, paths: Paths, person: TerminalPerson) -> None:
    """See that there is an executable; get it, with consent, if there is none."""
    from lingma_cli.cli.executable import terminal_talk  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.wiring.bootstrap import bootstrap  # noqa: PLC0415

    bootstrap(settings, paths, os.environ, terminal_talk(person))


def _is_served(home: Home, account: Account, settings: Settings) -> bool | None:
    """Tell whether the running server is logged in; `None` if none works with the account."""
    from lingma_cli.server.presence import find_server  # noqa: PLC0415 - not for `--help`

    server = find_server(home.paths)
    if server is None:
        return None
    deadline = time.monotonic() + _PATIENCE
    try:
        with admin_client(server, home, settings) as client:
            while True:
                states = {one.account: one.state for one in client.logins()}
                state = states.get(account.name)
                if state in ("in", "out", None) or time.monotonic() > deadline:
                    return None if state is None else state == "in"
                # Its engine starts with the very login, and may refresh it: no other one must.
                time.sleep(_PAUSE)
    except LingmaError as error:
        output.say(f"note: the running server does not tell: {error.message}", dim=True)
        return None


def _is_confirmed(home: Home, account: Account, settings: Settings, now: float) -> bool:
    # The times that the settings give an engine are the bound.
    from lingma_cli.wiring.account import try_out  # noqa: PLC0415 - not for `--help`

    try:
        try_out(home, account, settings, os.environ, now=now)
    except LingmaError as error:
        if error.kind is not ErrorKind.LOGIN_REQUIRED:
            raise
        return False
    return True


def _imported(
    home: Home,
    name: str,
    settings: Settings,
    person: TerminalPerson,
    *,
    service: str,
    force: bool,
) -> Account:
    from lingma_cli.auth.bundles.sealed import open_any  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.auth.login.addresses import check_endpoint  # noqa: PLC0415
    from lingma_cli.wiring.account import verified  # noqa: PLC0415
    from lingma_cli.wiring.session import bundle_passphrase, import_session  # noqa: PLC0415

    is_asked = person.is_there
    file = asyncio.run(person.ask("File with the bundle: ")).reveal() if is_asked else "-"
    data, now = read_bundle(file), time.time()
    return import_session(
        home,
        open_any(data, passphrase=lambda: bundle_passphrase(settings), now=now),
        name,
        endpoint=check_endpoint(service),
        now=now,
        overwrite=force,
        verify=lambda bundle: verified(bundle, settings, home.paths, os.environ),
    )


def logout(
    *,
    account: AccountName = None,
    all: All = False,  # noqa: A002 - the option's name
    bin: Bin = None,  # noqa: A002 - the option's name
    store: Store = None,
    passphrase_file: PassphraseFile = None,
    config: ConfigFile = None,
) -> None:
    """Log an account out, here and at the vendor's, and forget it."""
    if account is not None and all:
        raise LingmaError(ErrorKind.USAGE, "`--account` and `--all` exclude each other")
    settings, paths = prepared(
        config, {"bin": bin, "store": store, "passphrase_file": passphrase_file}
    )
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.wiring.account import log_out  # noqa: PLC0415
    from lingma_cli.wiring.bootstrap import hush_engines  # noqa: PLC0415

    hush_engines()
    accounts = Accounts(paths.accounts_file)
    chosen = accounts.all() if all else (accounts.choose(account),)
    if not chosen:
        output.say("there is no account to log out")
        return
    home = opened_home(settings, paths)
    for one in chosen:
        trouble = log_out(home, one, settings, os.environ)
        if trouble is not None:
            output.say(f"the vendor could not be told: {trouble.message}")
        output.say(f"logged out `{one.name}`")


def whoami(*, account: AccountName = None, json: Json = False, config: ConfigFile = None) -> None:
    """Show who is logged in, since when and until when."""
    _, paths = prepared(config, {})
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below

    one = Accounts(paths.accounts_file).choose(account)
    now = time.time()
    if json:
        output.print_json(report(one))
        return
    facts = (
        ("account", one.name),
        ("user", one.username or "-"),
        ("organisation", one.organisation or "-"),
        ("service", one.endpoint or "the vendor's own"),
        ("method", one.method),
        ("logged in", when(one.created, now)),
        ("refreshed", when(one.refreshed, now)),
        ("expires", when(one.expires, now)),
    )
    output.print_columns(facts)
