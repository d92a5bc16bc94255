"""What an engine of its own is started for: to confirm a login, and to end one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from lingma_cli.auth.accounts import Account
from lingma_cli.auth.bundles.bundle import Bundle, pack
from lingma_cli.auth.bundles.folder import lay, take
from lingma_cli.auth.keeping import entry_of
from lingma_cli.core.login import LoginState, LoginStatus
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.engines import running_engine
from lingma_cli.wiring.home import Home, refuse_while_serving, remove_account, stored_bundle
from lingma_cli.wiring.scratch import scratch_folder

_LOGOUT_SECONDS: Final = 10.0


def verified(
    bundle: Bundle,
    settings: Settings,
    paths: Paths,
    environ: Mapping[str, str],
    *,
    hint: str = "make a new one with `lingma session export` where the login works",
) -> tuple[Bundle, LoginStatus]:
    """Ask an engine of its own whether `bundle` is a login.

    Args:
        bundle: the login.
        settings: all of them.
        paths: the home.
        environ: the process environment, without secrets.
        hint: what to do if it is none.

    Returns:
        The bundle as the engine left it, which may have refreshed it, and what it said.

    Raises:
        LingmaError: it is none, or there is no engine to ask.
    """
    with scratch_folder(paths) as scratch:
        work_dir = scratch / "engine"
        lay(bundle, work_dir)
        status = asyncio.run(_status(settings, paths, environ, work_dir))
        bundle = take(work_dir) or bundle
    if status.state is LoginState.IN and status.is_allowed:
        return bundle, status
    raise LingmaError(
        ErrorKind.LOGIN_REQUIRED,
        "Lingma does not confirm the login"
        if status.is_allowed
        else "the account of the login may not use Lingma",
        hint=hint,
    )


async def _status(
    settings: Settings, paths: Paths, environ: Mapping[str, str], work_dir: Path
) -> LoginStatus:
    async with running_engine(settings, paths, environ, work_dir=work_dir) as engine:
        return await engine.account.status()


def try_out(
    home: Home, account: Account, settings: Settings, environ: Mapping[str, str], *, now: float
) -> LoginStatus:
    """Ask an engine of its own whether an account is logged in; keep what it refreshed.

    Raises:
        LingmaError: it is not, or there is no engine to ask.
    """
    settings = _for(account, settings)
    before = stored_bundle(home, account)
    hint = f"run `lingma login --account {account.name}`"
    after, status = verified(before, settings, home.paths, environ, hint=hint)
    if pack(after) != pack(before):
        home.vault.put(entry_of(account.name), pack(after))
        home.accounts.add(replace(account, refreshed=now, expires=status.expires))
    return status


def log_out(
    home: Home, account: Account, settings: Settings, environ: Mapping[str, str]
) -> LingmaError | None:
    """Forget an account with its login, and tell the vendor that the login is over.

    Returns:
        Why the vendor could not be told, `None` if they know.

    Raises:
        LingmaError: a server works with the login, or the vault does not forget it.
    """
    refuse_while_serving(home.paths)
    trouble: LingmaError | None = None
    try:
        asyncio.run(_tell_vendor(home, account, settings, environ))
    except LingmaError as error:
        trouble = error
    remove_account(home, account.name)
    return trouble


async def _tell_vendor(
    home: Home, account: Account, settings: Settings, environ: Mapping[str, str]
) -> None:
    settings = _for(account, settings)
    with scratch_folder(home.paths) as scratch:
        work_dir = scratch / "engine"
        lay(stored_bundle(home, account), work_dir)
        try:
            async with (
                asyncio.timeout(_LOGOUT_SECONDS),
                running_engine(settings, home.paths, environ, work_dir=work_dir) as engine,
            ):
                await engine.account.logout()
        except TimeoutError:
            raise LingmaError(
                ErrorKind.ENGINE_TIMEOUT, f"no answer within {_LOGOUT_SECONDS:g} seconds"
            ) from None


def _for(account: Account, settings: Settings) -> Settings:
    endpoint = account.endpoint or settings.dedicated_domain_url
    return replace(settings, dedicated_domain_url=endpoint)
