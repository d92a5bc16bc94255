"""The engines of `lingma serve`: one an account, with what sees to its login.

Which accounts: the simulator needs none; those that the settings name for this run go before those
of the home; without any, one engine sees to its login itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from lingma_cli.auth.accounts import Accounts
from lingma_cli.auth.bundles.bundle import pack
from lingma_cli.auth.bundles.folder import take, wipe
from lingma_cli.auth.configured import ConfiguredAccount
from lingma_cli.auth.keeping import LoginKeeper, RunVault, entry_of
from lingma_cli.auth.vault.base import Vault
from lingma_cli.control.logins import Logins, Post
from lingma_cli.control.registry import Registry, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.lingma.engine import LingmaEngine
from lingma_cli.errors import LingmaError
from lingma_cli.paths import Paths
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.engines import engine_options
from lingma_cli.wiring.home import Home, keeper_of, work_dir_of
from lingma_cli.wiring.session import configured_accounts
from lingma_cli.wiring.unattended import PasswordOfRun

_log: Final = logging.getLogger(__name__)
_OF_RUN: Final = (
    "renew its bundle or password in the environment and start again, "
    "or run `lingma login` and start without them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the engines are built from.

    Attributes:
        environ: the process environment, without secrets.
        command: the executable and its leading arguments.
        open_vault: opens the home's vault.
        warn: told what is odd at the start.
    """

    settings: Settings
    paths: Paths
    environ: Mapping[str, str]
    command: tuple[str, ...]
    open_vault: Callable[[], Vault]
    warn: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What keeps the engines and their logins, and the passwords that no log may show."""

    supervisor: Supervisor
    logins: Logins
    secrets: tuple[Secret, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    """What is known of one engine before it is built."""

    work_dir: Path
    account: str = ""
    endpoint: str = ""
    login_hint: str = ""
    keeper: LoginKeeper | None = None
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
    members = list(_members(around))
    posts = [_post(place, member, around) for place, member in enumerate(members)]
    registry = Registry([post.slot for post in posts])
    logins = Logins(
        registry,
        posts,
        max_retry=around.settings.auto_login_max_retry,
        on_trouble=on_trouble,
    )
    supervisor = Supervisor(registry, on_trouble=on_trouble, around=logins.kept)
    for post in posts:
        engine = post.slot.engine
        if isinstance(engine, LingmaEngine):
            engine.on_login_change = partial(logins.suspect, post.slot)
    secrets = tuple(member.password for member in members if member.password is not None)
    return Pool(supervisor=supervisor, logins=logins, secrets=secrets)


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
    return Post(
        slot=Slot(engine=engine, account=member.account, login_hint=member.login_hint),
        read=partial(take, member.work_dir),
        keeper=member.keeper,
        log_in=log_in,
        method=member.method,
    )


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
    keeper = LoginKeeper(vault, one.name, work_dir, warn=_log.warning)
    # The same for a folder that the user has named.
    keeper.clear()
    if one.bundle is not None:
        vault.put(entry_of(one.name), pack(one.bundle))
    return _Member(
        work_dir=work_dir,
        account=one.name,
        login_hint=_OF_RUN,
        keeper=keeper,
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
            keeper=keeper_of(home, name, warn=_log.warning),
            method="bundle",
        )
