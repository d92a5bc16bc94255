"""Logging in by password: an installed browser of the user's, driven through the login page.

Source: Lingma local protocol, "Login and bootstrap flows": the form is in a frame, and a slider, a
code by SMS, a QR code or a consent may come before or after it. Those are left to the person. The
only module that knows Playwright.

Nothing is left behind: the browser has no profile and writes into `temp` only, which its owner
removes. The password is typed into trusted pages only, once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from lingma_cli.auth.login.addresses import LoginHosts, origin_of
from lingma_cli.auth.login.browser_home import (
    check_installed,
    narrow_environment,
    offer_download,
    on_path,
    silence,
)
from lingma_cli.auth.login.calls import LoginCalls
from lingma_cli.auth.login.flows import Pace, in_time, organisations_of, settle
from lingma_cli.auth.login.page_selectors import Selectors
from lingma_cli.auth.login.person import Person
from lingma_cli.core.login import LoginState, LoginStatus
from lingma_cli.core.terminal import clean_line
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Redactor, Secret

if TYPE_CHECKING:
    from playwright.async_api import (
        Browser,
        BrowserContext,
        Locator,
        Page,
        Playwright,
        Request,
        Route,
    )

_CHANNELS: Final = ("chrome", "msedge")
_PAGE_SECONDS: Final = 30.0
_ACTION_MS: Final = 5_000
_MAX_WORDS: Final = 200
_STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "captcha": "a captcha",
        "sms": "a code by SMS",
        "consent": "your consent",
        "qr": "a QR code to be scanned",
        "organisation": "the choice of an organisation",
    }
)
_BY_HAND: Final = (
    "run `lingma login --method password` without `--headless` and do that step in the window, "
    "or use `lingma login --method browser`"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordLogin:
    """How a password login is done.

    Attributes:
        username: as the login page wants it.
        password: typed once, never kept.
        hosts: which pages are trusted.
        is_dedicated: whether the login is one of a dedicated service.
        selectors: where the parts of the page are.
        temp: an existing private folder for all that the browser writes; removed by its owner.
        is_headless: without a window, so that no person can do a step.
        organisation: id or name of the one to work for, or empty.
    """

    username: str
    password: Secret
    hosts: LoginHosts
    is_dedicated: bool
    selectors: Selectors
    temp: Path
    is_headless: bool
    organisation: str = ""


async def by_password(
    calls: LoginCalls, person: Person, login: PasswordLogin, pace: Pace
) -> LoginStatus:
    """Log in by driving the login page.

    Raises:
        LingmaError: the extra or a browser is missing; the page refuses, leads elsewhere, is not
            known, or wants a person where there is no window; time is up.
    """
    check_installed()
    silence()
    from playwright.async_api import Error

    try:
        async with _browser(person, login) as browser, in_time(pace.timeout):
            return await _Visit(calls, person, login, pace).run(browser)
    except Error as error:
        # Its log of calls quotes what was typed.
        raise _failed(f"the browser failed: {_first_line(error, login)}") from None


@asynccontextmanager
async def _browser(person: Person, login: PasswordLogin) -> AsyncIterator[Browser]:
    from playwright.async_api import async_playwright

    async with narrow_environment(login.temp) as environ:
        manager = async_playwright()
        playwright = await manager.start()
    try:
        browser = await _launch(playwright, person, login, environ)
        try:
            yield browser
        finally:
            await browser.close()
    finally:
        await playwright.stop()


async def _launch(
    playwright: Playwright, person: Person, login: PasswordLogin, environ: dict[str, str]
) -> Browser:
    from playwright.async_api import Error

    options: dict[str, Any] = {
        "headless": login.is_headless,
        # Chromium refuses to run in its sandbox for root.
        "chromium_sandbox": not (hasattr(os, "geteuid") and os.geteuid() == 0),
        "env": environ | dict.fromkeys(("XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(login.temp)),
        # Ctrl-C is ours: the browser is closed on the way out.
        "handle_sigint": False,
        "handle_sigterm": False,
        "handle_sighup": False,
    }
    reason = ""
    for choice in _installed(playwright):
        try:
            return await playwright.chromium.launch(**choice, **options)
        except Error as error:
            if "channel" not in choice:
                reason = reason or _first_line(error, login)
    if reason:
        raise _failed(
            f"no browser could be started: {reason}",
            hint="use `--headless` where there is no screen, or `lingma login --method browser`",
        )
    await offer_download(person, environ)
    return await playwright.chromium.launch(**options)


def _installed(playwright: Playwright) -> Iterator[dict[str, Any]]:
    """Yield the user's own browsers first, then the one that Playwright may have downloaded."""
    yield from ({"executable_path": path} for path in on_path())
    yield from ({"channel": name} for name in _CHANNELS)
    if Path(playwright.chromium.executable_path).exists():
        yield {}


class _Visit:
    """One visit to the login page, looked at again and again until the process is in."""

    def __init__(self, calls: LoginCalls, person: Person, login: PasswordLogin, pace: Pace) -> None:
        self._calls = calls
        self._person = person
        self._login = login
        self._pace = pace
        self._sent = self._turned = False
        self._told: set[str] = set()
        self._blocked = ""
        self._seen = ""
        self._since = 0.0

    async def run(self, browser: Browser) -> LoginStatus:
        """Log in and return the state."""
        context = await browser.new_context(accept_downloads=False, service_workers="block")
        await context.route("**/*", self._guard)
        await self._open(await context.new_page())
        while True:
            status = await self._calls.status()
            if status.state is LoginState.IN:
                return status
            arrived = await self._look(context)
            if arrived is not None:
                return arrived
            await self._pace.rest(self._pace.pause)

    async def _open(self, page: Page) -> None:
        from playwright.async_api import TimeoutError as NoAnswerError

        address = await self._calls.new_url(self._login.is_dedicated)
        self._login.hosts.check(address.url)
        within = min(_PAGE_SECONDS, self._pace.timeout / 2)
        try:
            answer = await page.goto(
                address.url, timeout=within * 1000, wait_until="domcontentloaded"
            )
        except NoAnswerError:
            raise _failed(
                f"the login page did not open within {within:g} seconds",
                hint="check the network and try again",
            ) from None
        if answer is not None and answer.status >= 400:
            raise _failed(f"the login page answered with status {answer.status}")

    async def _guard(self, route: Route) -> None:
        """Let the browser navigate to trusted pages only; frames may be of any https site."""
        request = route.request
        url = request.url
        if not request.is_navigation_request() or self._is_trusted(url):
            await route.continue_()
        elif _is_framed(request) and url.startswith("https://"):
            # Captchas come from elsewhere. Nothing is ever typed there.
            await route.continue_()
        else:
            if not _is_framed(request):
                self._blocked = url
            await route.abort()

    def _is_trusted(self, url: str) -> bool:
        return self._login.hosts.is_page(url) or self._login.hosts.is_callback(url)

    async def _look(self, context: BrowserContext) -> LoginStatus | None:
        """Do the next thing that the page wants; return the state if that was the last one."""
        pages = context.pages
        if not pages:
            raise _failed("the browser window was closed before the login was complete")
        self._check_place(pages)
        if any(self._login.hosts.is_callback(page.url) for page in pages):
            return await self._arrive()
        if not self._sent and await self._send_form(pages):
            return None
        if self._sent:
            await self._check_refusal(pages)
        for step in ("captcha", "sms", "consent", "qr"):
            if await self._find(pages, getattr(self._login.selectors, step)) is not None:
                self._hand_over(step)
                return None
        self._check_progress(pages)
        return None

    def _check_place(self, pages: list[Page]) -> None:
        gone = [page.url for page in pages if page.url.startswith(("http:", "https:"))]
        stray = self._blocked or next((url for url in gone if not self._is_trusted(url)), "")
        if stray:
            raise _failed(
                f"the login page leads to a site that is not trusted: {origin_of(stray)}",
                hint="use `lingma login --method browser`",
            )

    async def _arrive(self) -> LoginStatus | None:
        wanted = self._login.organisation
        is_shown = not (self._login.is_headless or wanted)
        if is_shown and len(await organisations_of(self._calls)) > 1:
            # The page that it ends on has them to choose from.
            self._hand_over("organisation")
            return None
        status = await settle(self._calls, self._person, self._pace, organisation=wanted)
        if status is None:
            raise _failed("the login page was passed, but Lingma took no login from it")
        return status

    async def _send_form(self, pages: list[Page]) -> bool:
        selectors = self._login.selectors
        username = await self._find(pages, selectors.username, to_type=True)
        password = await self._find(pages, selectors.password, to_type=True)
        if username is None or password is None:
            tab = await self._find(pages, selectors.password_tab)
            if tab is None or self._turned:
                return False
            self._turned = True
            await tab.click(timeout=_ACTION_MS)
            return True
        await username.fill(self._login.username, timeout=_ACTION_MS)
        await password.fill(self._login.password.reveal(), timeout=_ACTION_MS)
        self._sent = True
        submit = await self._find(pages, selectors.submit, to_type=True)
        if submit is None:
            await password.press("Enter", timeout=_ACTION_MS)
        else:
            await submit.click(timeout=_ACTION_MS)
        return True

    async def _check_refusal(self, pages: list[Page]) -> None:
        said = await self._find(pages, self._login.selectors.error)
        words = (await said.inner_text(timeout=_ACTION_MS)).strip() if said is not None else ""
        if words:
            redact = Redactor([self._login.password])
            # Trying again could lock the account.
            raise _failed(
                f"the login page refuses: {clean_line(redact(words))[:_MAX_WORDS]}",
                hint="check username and password and run it again",
            )

    def _hand_over(self, step: str) -> None:
        what = _STEPS[step]
        if self._login.is_headless:
            raise _failed(f"the login page wants {what}, which takes a person", hint=_BY_HAND)
        if step not in self._told:
            self._told.add(step)
            self._person.say(f"The login page wants {what}. Please do that in the browser window.")

    def _check_progress(self, pages: list[Page]) -> None:
        """Give up on a page that nothing is known of; a person with a window may still be busy."""
        now = asyncio.get_running_loop().time()
        seen = f"{self._sent} {self._turned} {[page.url for page in pages]}"
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif self._login.is_headless and now - self._since > self._pace.settle:
            raise _failed(
                "the login page does not go on"
                if self._sent
                else "the login page has no known form",
                hint=_BY_HAND,
            )

    async def _find(
        self, pages: list[Page], selectors: tuple[str, ...], *, to_type: bool = False
    ) -> Locator | None:
        """Return the first that is visible, `None` if there is none.

        Args:
            pages: where to look, in every frame.
            selectors: what to look for, in this order.
            to_type: in trusted frames only.
        """
        from playwright.async_api import Error

        frames = [frame for page in pages for frame in page.frames]
        for frame in frames:
            if to_type and not self._login.hosts.is_page(frame.url):
                continue
            for selector in selectors:
                found = frame.locator(selector).locator("visible=true").first
                try:
                    if await found.is_visible():
                        return found
                except Error as error:
                    if "selector" in error.message and "parsing" in error.message:
                        raise LingmaError(
                            ErrorKind.USAGE, f"`{selector}` is no selector that a browser knows"
                        ) from None
                    # The frame has just gone.
        return None


def _is_framed(request: Request) -> bool:
    from playwright.async_api import Error

    try:
        return request.frame.parent_frame is not None
    except Error:  # a new window, which has no frame yet
        return False


def _failed(message: str, *, hint: str | None = None) -> LingmaError:
    return LingmaError(ErrorKind.LOGIN_REQUIRED, message, hint=hint)


def _first_line(error: Exception, login: PasswordLogin) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return clean_line(Redactor([login.password])(lines[0]))[:_MAX_WORDS]
