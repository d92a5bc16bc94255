"""A login from nothing to the vault: an engine in a folder of its own, a way in, the bundle out."""

from __future__ import annotations

import asyncio
import getpass
import sys
import threading
import webbrowser
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from lingma_cli.auth.accounts import Account
from lingma_cli.auth.bundles.bundle import Bundle
from lingma_cli.auth.bundles.folder import take
from lingma_cli.auth.login import flows
from lingma_cli.auth.login.addresses import LoginHosts, check_endpoint, tunnel_line
from lingma_cli.auth.login.browser import PasswordLogin, by_password
from lingma_cli.auth.login.browser_home import check_installed
from lingma_cli.auth.login.calls import LoginCalls
from lingma_cli.auth.login.page_selectors import Selectors, load_selectors
from lingma_cli.auth.login.person import Person, ask_for
from lingma_cli.auth.login.terms import NOTICE, Terms, not_accepted
from lingma_cli.core.login import LoginState, LoginStatus
from lingma_cli.engines.lingma.engine import LingmaEngine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.engines import running_engine
from lingma_cli.wiring.home import Home, keep_login
from lingma_cli.wiring.scratch import browser_folder, scratch_folder

_BUNDLE_TRIES: Final = 100
_BUNDLE_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginWish:
    """What a person wants of one login.

    Attributes:
        account: its name in this home.
        method: `auto`, `browser`, `paste`, `password`, `token` or `aksk`.
        endpoint: https address of a dedicated service; empty for the account's own, or the
            setting's.
        username: for a password login; asked for when empty.
        organisation: id of the one to work for, or empty.
        selectors: a file that replaces selectors of the login page.
        is_headless: a password login without a window.
        timeout: seconds for the login itself.
    """

    account: str
    method: str
    endpoint: str
    username: str
    organisation: str
    selectors: Path | None
    is_headless: bool
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """What is known before anything starts; empty where the method needs none.

    Attributes:
        name: user name, or the id of an access key.
        secret: what belongs to it.
    """

    method: str
    name: Secret = Secret("")
    secret: Secret = Secret("")
    selectors: Selectors | None = None


async def agree_to_terms(person: Person, paths: Paths, *, accepts: bool, now: float) -> None:
    """Show the terms notice before the first login, and record that it was accepted.

    Raises:
        LingmaError: it was not, or there is nobody to ask and `accepts` is false.
    """
    terms = Terms(paths.state / "terms.json")
    if terms.is_accepted:
        return
    if not accepts:
        if not person.is_there:
            raise not_accepted()
        person.say(NOTICE)
        said = await person.ask("Do you accept this? [yes/no] ")
        if said.reveal().lower() not in ("y", "yes"):
            raise not_accepted()
    terms.accept(datetime.fromtimestamp(now, UTC).date().isoformat())


def check_wish(wish: LoginWish, home: Home, settings: Settings, environ: Mapping[str, str]) -> None:
    """Look at a wish before anything is asked, got or started for it.

    Raises:
        LingmaError: it makes no sense here.
    """
    _endpoint(wish, home, settings)
    if wish.method == "password":
        _page_selectors(wish, home.paths, environ)


async def log_in(
    wish: LoginWish,
    home: Home,
    settings: Settings,
    environ: Mapping[str, str],
    person: Person,
    *,
    now: float,
) -> Account:
    """Log an account in and keep its login in the vault.

    Args:
        wish: what is wanted.
        home: where the login is kept; its vault is open, so that nothing is won for nothing.
        settings: all of them.
        environ: the process environment, without secrets.
        person: asked and told.
        now: seconds since 1970.

    Raises:
        LingmaError: there is no way in, or the vault does not keep what came of it.
    """
    endpoint = _endpoint(wish, home, settings)
    prepared = await _prepare(wish, home.paths, environ, person)
    settings = replace(settings, dedicated_domain_url=endpoint)
    with scratch_folder(home.paths) as scratch:
        work_dir = scratch / "engine"
        async with running_engine(settings, home.paths, environ, work_dir=work_dir) as engine:
            news = asyncio.Event()
            engine.on_login_change = news.set
            pace = flows.Pace(timeout=wish.timeout, rest=partial(_rest, news))
            visit = _Visit(wish, prepared, engine.account, person, pace, scratch, environ)
            status = await visit.run(await hosts_of(engine, endpoint))
            status = await _settled(status, engine.account, person, wish)
            bundle = await _bundle(work_dir)
    account = Account(
        name=wish.account,
        method=prepared.method,
        endpoint=endpoint,
        username=status.name,
        organisation=status.organisation,
        created=now,
        expires=status.expires,
    )
    keep_login(home, account, bundle)
    return account


def _endpoint(wish: LoginWish, home: Home, settings: Settings) -> str:
    known = home.accounts.get(wish.account)
    remembered = known.endpoint if known else ""
    return check_endpoint(wish.endpoint or remembered or settings.dedicated_domain_url)


async def _prepare(
    wish: LoginWish, paths: Paths, environ: Mapping[str, str], person: Person
) -> _Prepared:
    """Ask for what must be asked for, and find what is missing, before anything starts."""
    method = wish.method
    if method == "auto":
        method = flows.choose_method(environ, sys.platform)
    match method:
        case "password":
            selectors = _page_selectors(wish, paths, environ)
            name = Secret(wish.username) if wish.username else await ask_for(person, "User name: ")
            secret = await ask_for(person, "Password: ", secret=True)
            return _Prepared(method=method, name=name, secret=secret, selectors=selectors)
        case "token":
            secret = await ask_for(person, "Personal token: ", secret=True)
            return _Prepared(method=method, secret=secret)
        case "aksk":
            name = await ask_for(person, "AccessKey ID: ", secret=True)
            secret = await ask_for(person, "AccessKey secret: ", secret=True)
            return _Prepared(method=method, name=name, secret=secret)
        case _:
            return _Prepared(method=method)


def _page_selectors(wish: LoginWish, paths: Paths, environ: Mapping[str, str]) -> Selectors:
    """Return the selectors of the login page, if there is a browser and a place for its window."""
    check_installed()
    if not (wish.is_headless or flows.has_window(environ, sys.platform)):
        raise LingmaError(
            ErrorKind.USAGE,
            "there is no screen for a browser window",
            hint="add `--headless`, or run `lingma login --method paste`",
        )
    return selectors_of(paths, wish.selectors)


@dataclass(frozen=True, slots=True)
class _Visit:
    """One try at the method that was prepared."""

    wish: LoginWish
    prepared: _Prepared
    calls: LoginCalls
    person: Person
    pace: flows.Pace
    scratch: Path
    environ: Mapping[str, str]

    async def run(self, hosts: LoginHosts) -> LoginStatus:
        """Log in."""
        wish, prepared, pace = self.wish, self.prepared, self.pace
        match prepared.method:
            case "token":
                return await flows.by_token(
                    self.calls, self.person, prepared.secret, pace, organisation=wish.organisation
                )
            case "aksk":
                return await flows.by_access_key(
                    self.calls,
                    self.person,
                    prepared.name,
                    prepared.secret,
                    pace,
                    organisation=wish.organisation,
                )
            case "password" if prepared.selectors is not None:
                with browser_folder(self.scratch) as temp:
                    login = self._password_login(hosts, prepared.selectors, temp)
                    return await by_password(self.calls, self.person, login, pace)
            case _:
                return await flows.by_browser(
                    self.calls,
                    self.person,
                    self._offer(hosts),
                    pace,
                    organisation=wish.organisation,
                )

    def _password_login(self, hosts: LoginHosts, selectors: Selectors, temp: Path) -> PasswordLogin:
        return PasswordLogin(
            username=self.prepared.name.reveal(),
            password=self.prepared.secret,
            hosts=hosts,
            is_dedicated=bool(hosts.endpoint),
            selectors=selectors,
            temp=temp,
            is_headless=self.wish.is_headless,
            organisation=self.wish.organisation,
        )

    def _offer(self, hosts: LoginHosts) -> flows.BrowserOffer:
        is_ours = self.prepared.method == "browser"
        opens = is_ours and flows.has_screen(self.environ, sys.platform)
        return flows.BrowserOffer(
            hosts=hosts,
            is_dedicated=bool(hosts.endpoint),
            open_url=_open_browser if opens else None,
            advice="" if opens else _advice(self.environ, hosts.callback_port),
            may_paste=self.person.is_there or self.wish.method == "paste",
        )


async def _rest(news: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
    news.clear()


async def _settled(
    status: LoginStatus, calls: LoginCalls, person: Person, wish: LoginWish
) -> LoginStatus:
    """Return the state after working for the wanted organisation.

    Raises:
        LingmaError: the account may not use the service, or has no such organisation.
    """
    if wish.organisation:
        found = await flows.organisations_of(calls)
        chosen = await flows.choose_organisation(person, found, wish.organisation)
        if status.organisation not in (one.name for one in found if one.id == chosen):
            await calls.choose(chosen)
            status = await calls.status()
    if not status.is_allowed:
        raise LingmaError(
            ErrorKind.FORBIDDEN,
            f"the account {status.name or wish.account} may not use Lingma",
            hint="ask the owner of its organisation, or log in with another account",
        )
    if status.state is LoginState.OUT:
        raise _lost()
    return status


async def _bundle(work_dir: Path) -> Bundle:
    # The process says that it is in a moment before its files are there.
    for _ in range(_BUNDLE_TRIES):
        bundle = take(work_dir)
        if bundle is not None:
            return bundle
        await asyncio.sleep(_BUNDLE_PAUSE)
    raise _lost()


def _lost() -> LingmaError:
    return LingmaError(
        ErrorKind.LOGIN_REQUIRED,
        "Lingma says that it is logged in, but has written no login",
        hint="run it again; if that does not help, try another build with `lingma engine update`",
    )


def _open_browser(url: str) -> None:
    # Some browsers do not return before they are closed.
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


def _advice(environ: Mapping[str, str], port: int) -> str:
    if environ.get("SSH_CONNECTION") and port:
        line = tunnel_line(environ, getpass.getuser(), port)
        return (
            "It ends on a page of this machine. To reach it, run this on the machine with the "
            f"browser first:\n\n  {line}\n\nOr let it fail there and paste its address here."
        )
    return (
        f"It ends on http://127.0.0.1:{port}/ of this machine. Where the browser cannot reach "
        "that, paste the address that it shows then."
    )


def selectors_of(paths: Paths, named: Path | None = None) -> Selectors:
    """Return the selectors of login pages; a file that is named, or is kept, replaces some.

    Raises:
        LingmaError: the file cannot be used.
    """
    own = paths.config / "login-selectors.toml"
    return load_selectors(named or (own if own.exists() else None))


async def hosts_of(engine: LingmaEngine, endpoint: str) -> LoginHosts:
    """Return where a login of a running engine may lead."""
    return LoginHosts(
        endpoint=endpoint,
        callback_port=engine.http_port,
        own_ports=await asyncio.to_thread(_own_ports),
    )


def _own_ports() -> frozenset[int]:
    """Return the ports at which the processes below this one listen."""
    ports: set[int] = set()
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            listening = child.net_connections("inet")
            ports |= {one.laddr.port for one in listening if one.status == psutil.CONN_LISTEN}
    return frozenset(ports)
