"""The engines of `lingma serve`: one per account, with what sees to its login, and all others.

Which accounts: the simulator needs none; those that the settings name for this run go before those
of the home; without any, one engine sees to its login itself. With more engines than accounts,
these are used in turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from lingma_cli.auth.accounts import Accounts
from lingma_cli.auth.bundles.bundle import pack
from lingma_cli.auth.bundles.folder import take, wipe
from lingma_cli.auth.configured import ConfiguredAccount
from lingma_cli.auth.keeping import LoginKeeper, RunVault, entry_of
from lingma_cli.control.fleet import Fleet
from lingma_cli.control.logins import Logins, Post
from lingma_cli.control.persisted import PersistedEngines
from lingma_cli.control.registry import Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.lingma.engine import LingmaEngine
from lingma_cli.errors import LingmaError
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.engines import engine_options
from lingma_cli.wiring.fleet import build_fleet, engines_of_file
from lingma_cli.wiring.gateway import new_breaker, new_cooldown
from lingma_cli.wiring.home import Home, keeper_of, work_dir_of
from lingma_cli.wiring.session import configured_accounts
from lingma_cli.wiring.surroundings import Surroundings
from lingma_cli.wiring.unattended import PasswordOfRun

_log: Final = logging.getLogger(__name__)
_OF_RUN: Final = (
    "renew its bundle or password in the environment and start again, "
    "or run `lingma login` and start without them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What keeps the engines and their logins, and the passwords that no log may show."""

    supervisor: Supervisor
    fleet: Fleet
    logins: Logins
    secrets: tuple[Secret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """What is known of one engine before it is built."""

    work_dir: Path
    account: str = ""
    endpoint: str = ""
    login_hint: str = ""
    keep: Callable[[Path], LoginKeeper] | None = None
    username: str = ""
    password: Secret | None = None
    method: str = "none"


def build_pool(around: Surroundings, on_trouble: Callable[[LingmaError], None]) -> Pool:
    """Return the engines of this run; none of them is started.

    Args:
        around: see `Surroundings`.
        on_trouble: told of each failure of an engine, and of logins that need a person.

    Raises:
        LingmaError: the accounts or their bundles make no sense, or the vault does not open.
    """
    members = _counted(list(_members(around)), around)
    posts = [_post(place, member, around) for place, member in enumerate(members)]
    registry = Registry([post.slot for post in posts])
    recruits = _Recruits(around, place=len(posts))
    logins = Logins(
        registry,
        posts,
        max_retry=around.settings.auto_login_max_retry,
        on_trouble=on_trouble,
        recruit=recruits.recruit if _serves_home(around, members) else lambda _: None,
    )
    recruits.watch = partial(_watch, logins)
    for post in posts:
        _watch(logins, post)
    supervisor = Supervisor(registry, on_trouble=on_trouble, around=logins.kept)
    if around.serves_named:
        for slot in engines_of_file(around):
            registry.add(slot)
    else:
        _warn_of_those_left_out(around)
    fleet = build_fleet(supervisor, around)
    secrets = tuple(member.password for member in members if member.password is not None)
    return Pool(supervisor=supervisor, fleet=fleet, logins=logins, secrets=secrets)


def _warn_of_those_left_out(around: Surroundings) -> None:
    book = PersistedEngines(around.paths.engines_file, warn=around.warn)
    count = len(around.settings.engines) + len(book.all())
    if count:
        around.warn(
            f"engines of the settings or of `lingma engine add` left out, because this demo stands "
            f"open to every user of this machine: {count}; set `LINGMA_ADMIN_TOKEN` or "
            "`LINGMA_API_KEYS`, or start with `--no-auth` if all may use them"
        )


def _serves_home(around: Surroundings, members: list[_Member]) -> bool:
    """Tell whether the accounts of the home are served, not the simulator or those of the run."""
    is_of_run = any(member.login_hint == _OF_RUN for member in members)
    return not around.settings.demo and not is_of_run and bool(around.command)


def _watch(logins: Logins, post: Post) -> None:
    engine = post.slot.engine
    if isinstance(engine, LingmaEngine):
        engine.on_login_change = partial(logins.suspect, post.slot)


class _Recruits:
    """Accounts of the home that come after the start.

    Attributes:
        watch: told of each post that was built.

    Args:
        around: what engines are built from.
        place: the number of the next engine.
    """

    def __init__(self, around: Surroundings, *, place: int) -> None:
        self.watch: Callable[[Post], None] = lambda _: None
        self._around = around
        self._place = place

    def recruit(self, name: str) -> Post | None:
        """Return the post of an account, `None` if there is no such."""
        around = self._around
        accounts = Accounts(around.paths.accounts_file)
        found = next((one for one in _of_home(accounts, around) if one.account == name), None)
        if found is None:
            return None
        post = _post(self._place, found, around)
        self._place += 1
        self.watch(post)
        return post


def _post(place: int, member: _Member, around: Surroundings) -> Post:
    settings = around.settings
    if settings.socket_port:
        settings = replace(settings, socket_port=settings.socket_port + place)
    options = engine_options(
        settings,
        around.environ,
        command=around.command,
        work_dir=member.work_dir,
        endpoint=member.endpoint,
    )
    kind = "demo" if settings.demo else "inst"
    engine = LingmaEngine(f"{kind}-{place}", options, random_hex)
    log_in = None
    if member.password is not None and settings.auto_login_enabled:
        log_in = PasswordOfRun(
            engine=engine,
            username=member.username,
            password=member.password,
            endpoint=options.endpoint,
            settings=settings,
            paths=around.paths,
        )
    slot = Slot(
        engine=engine,
        account=member.account,
        login_hint=member.login_hint,
        limit=settings.engine_max_in_flight,
        breaker=new_breaker(settings),
        cooldown=new_cooldown(settings),
    )
    return Post(
        slot=slot,
        read=partial(take, member.work_dir),
        keeper=member.keep(member.work_dir) if member.keep is not None else None,
        log_in=log_in,
        method=member.method,
    )


def no_lingma(settings: Settings) -> bool:
    """Tell whether the server is to have no Lingma engine."""
    return _wanted(settings) == 0


def _wanted(settings: Settings) -> int | None:
    said = settings.instance_count.strip()
    return int(said) if said.isdecimal() else None


def _counted(members: list[_Member], around: Surroundings) -> list[_Member]:
    """Return as many as are wanted: the first ones, or some of them again."""
    said, known = around.settings.instance_count, len(members)
    wanted = _wanted(around.settings)
    if wanted is None:
        if said.strip():
            around.warn(f"`instance_count` is no number: `{said}`; one per account it is")
        return members
    if known < wanted and any(member.account for member in members):
        around.warn(f"{wanted} engines for {known} accounts: some accounts are used more than once")
    return [_again(members[place % known], place // known, around) for place in range(wanted)]


def _again(member: _Member, time_: int, around: Surroundings) -> _Member:
    """Return the member for another engine, with a folder of its own."""
    if not time_:
        return member
    name = f"{member.work_dir.name}.{time_}"
    # What holds a login must be found again by the next run, whatever becomes of this one.
    folder = around.paths.data / "run" if member.account else member.work_dir.parent
    return replace(member, work_dir=folder / name)


def _members(around: Surroundings) -> Iterator[_Member]:
    settings, paths = around.settings, around.paths
    named = Path(settings.work_dir).expanduser().absolute() if settings.work_dir else None
    if settings.demo:
        yield _Member(work_dir=named or paths.data / "demo")
        return
    for left in (paths.data / "run").glob("*"):
        # A run that was killed could not see to that.
        wipe(left)
    of_run = configured_accounts(settings, now=time.time())
    if of_run:
        vault = RunVault()
        for one in of_run:
            yield _of_run(one, (named or paths.data / "run") / one.name, vault)
        return
    accounts = Accounts(paths.accounts_file)
    if accounts.all():
        if named is not None:
            around.warn("`work_dir` counts for a server without accounts only")
        yield from _of_home(accounts, around)
        return
    yield _Member(
        work_dir=named or paths.data / "lingma" / "inst-0",
        login_hint="run `lingma login`, then `lingma serve` again",
    )


def _of_run(one: ConfiguredAccount, work_dir: Path, vault: RunVault) -> _Member:
    def keep(folder: Path) -> LoginKeeper:
        keeper = LoginKeeper(vault, one.name, folder, warn=_log.warning)
        # Also in a folder that the user has named.
        keeper.clear()
        return keeper

    if one.bundle is not None:
        vault.put(entry_of(one.name), pack(one.bundle))
    return _Member(
        work_dir=work_dir,
        account=one.name,
        login_hint=_OF_RUN,
        keep=keep,
        username=one.username,
        password=one.password,
        method="bundle" if one.bundle is not None else "password",
    )


def _of_home(accounts: Accounts, around: Surroundings) -> Iterator[_Member]:
    home = Home(paths=around.paths, vault=around.open_vault(), accounts=accounts)
    for account in accounts.all():
        name = account.name
        yield _Member(
            work_dir=work_dir_of(around.paths, name),
            account=name,
            endpoint=account.endpoint,
            login_hint=f"run `lingma login --account {name}`",
            keep=partial(keeper_of, home, name, warn=_log.warning),
            method="bundle",
        )
