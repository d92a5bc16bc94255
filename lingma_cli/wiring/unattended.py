"""A login without a person: by a password of this run, through the login page."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from lingma_cli.auth.login.browser import PasswordLogin, by_password
from lingma_cli.auth.login.flows import Pace
from lingma_cli.engines.lingma.engine import LingmaEngine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.login import hosts_of, selectors_of
from lingma_cli.wiring.scratch import browser_folder, scratch_folder

_log: Final = logging.getLogger(__name__)


class Nobody:
    """The person who is not there: what is said to them goes to the log."""

    is_there = False

    def say(self, text: str) -> None:
        """Log it."""
        _log.warning("%s", text)

    async def ask(self, prompt: str, *, secret: bool = False) -> Secret:
        """Refuse: there is nobody to ask."""
        del secret
        raise LingmaError(
            ErrorKind.LOGIN_REQUIRED, f"nobody is there to answer: {prompt.rstrip(': ')}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordOfRun:
    """Logs one engine in by password, again and again if need be.

    Attributes:
        engine: a running one.
        endpoint: https address of a dedicated service, or empty.
    """

    engine: LingmaEngine
    username: str
    password: Secret
    endpoint: str
    settings: Settings
    paths: Paths

    async def __call__(self) -> None:
        """Log in.

        Raises:
            LingmaError: the page wants a person, refuses, or time is up.
        """
        selectors = selectors_of(self.paths)
        hosts = await hosts_of(self.engine, self.endpoint)
        # The service may refuse a login that the process goes on to believe in; a new one would
        # not even begin. Where there is none to end, that is no trouble.
        with suppress(LingmaError):
            await self.engine.account.logout()
        # A folder of its own: a person may log in at the same time, and so may other engines.
        state = self.paths.state / "auto-login" / self.engine.name
        own_paths = replace(self.paths, state=state)
        with scratch_folder(own_paths) as scratch, browser_folder(scratch) as temp:
            login = PasswordLogin(
                username=self.username,
                password=self.password,
                hosts=hosts,
                is_dedicated=bool(self.endpoint),
                selectors=selectors,
                temp=temp,
                is_headless=self.settings.auto_login_headless,
            )
            pace = Pace(timeout=self.settings.auto_login_timeout)
            await by_password(self.engine.account, Nobody(), login, pace)
