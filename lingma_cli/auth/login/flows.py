"""The ways to a login that need no browser of ours: each ends when the process says it is in.

Source: Lingma local protocol, "Login and bootstrap flows". A nonce is good once, so every try gets
an address of its own. `auth/status` decides; what a call answers is a hint.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from lingma_cli.auth.login.addresses import LoginHosts, read_callback, state_of
from lingma_cli.auth.login.calls import LoginCalls
from lingma_cli.auth.login.person import Person, ask_for
from lingma_cli.core.login import LoginState, LoginStatus, Organisation
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

_SETTLE_SECONDS: Final = 10.0
_PASTE: Final = "Paste the address of the page that it ends on: "

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long and how often; seconds.

    Attributes:
        timeout: for the whole login.
        pause: between two questions for the state, at most.
        settle: how long a login that was taken may need to show.
        rest: waits for so many seconds, or until the process tells of a change.
    """

    timeout: float
    pause: float = 1.0
    settle: float = _SETTLE_SECONDS
    rest: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserOffer:
    """How a person gets to the login page.

    Attributes:
        hosts: which pages are trusted.
        is_dedicated: whether the login is one of a dedicated service.
        open_url: opens the system browser without waiting; `None` leaves that to the person.
        advice: what to say besides the address, such as how to reach it from elsewhere.
        may_paste: whether the person may paste the callback address.
    """

    hosts: LoginHosts
    is_dedicated: bool
    open_url: Callable[[str], None] | None
    advice: str
    may_paste: bool


def choose_method(environ: Mapping[str, str], platform: str) -> str:
    """Return `browser` where a person sees a browser of this machine, else `paste`.

    Args:
        environ: the environment.
        platform: `sys.platform`.
    """
    is_far = environ.get("SSH_CONNECTION") or environ.get("SSH_TTY")
    return "paste" if is_far or not has_screen(environ, platform) else "browser"


def has_screen(environ: Mapping[str, str], platform: str) -> bool:
    """Tell whether a browser can show itself, or the user named one that does."""
    return has_window(environ, platform) or bool(environ.get("BROWSER"))


def has_window(environ: Mapping[str, str], platform: str) -> bool:
    """Tell whether a browser that is driven can have a window."""
    shown = ("DISPLAY", "WAYLAND_DISPLAY")
    return platform in ("darwin", "win32") or any(environ.get(name) for name in shown)


async def by_browser(
    calls: LoginCalls, person: Person, offer: BrowserOffer, pace: Pace, *, organisation: str
) -> LoginStatus:
    """Log in with the person's own browser; a pasted callback address races the callback itself.

    Raises:
        LingmaError: the page is not trusted, time is up, or there is nothing to go on with.
    """
    tries = _Tries(calls, person, offer)
    async with in_time(pace.timeout):
        await tries.begin()
        ways: list[Coroutine[Any, Any, LoginStatus]] = [_watch(calls, pace)]
        if offer.may_paste:
            ways.append(_paste(calls, person, tries, pace, organisation))
        return await _first(*ways)


async def by_token(
    calls: LoginCalls, person: Person, token: Secret, pace: Pace, *, organisation: str
) -> LoginStatus:
    """Log in by personal token.

    Raises:
        LingmaError: it is refused, or no login comes of it.
    """
    async with in_time(pace.timeout):
        await calls.with_token(token, organisation)
        return await _settled(calls, person, pace, organisation)


async def by_access_key(
    calls: LoginCalls,
    person: Person,
    key: Secret,
    secret: Secret,
    pace: Pace,
    *,
    organisation: str,
) -> LoginStatus:
    """Log in by access key and its secret.

    Raises:
        LingmaError: they are refused, or no login comes of them.
    """
    async with in_time(pace.timeout):
        await calls.with_access_key(key, secret, organisation)
        return await _settled(calls, person, pace, organisation)


async def settle(
    calls: LoginCalls, person: Person, pace: Pace, *, organisation: str
) -> LoginStatus | None:
    """Wait for a login that was taken to show, `None` if it does not.

    One that waits for the choice of an organisation gets it: `organisation`, or what the person
    says.

    Raises:
        LingmaError: the choice is not one of the account's, or there is nobody to make it.
    """
    loop = asyncio.get_running_loop()
    end, has_chosen = loop.time() + pace.settle, False
    while True:
        status = await calls.status()
        if status.state is LoginState.IN:
            return status
        if status.state is LoginState.OUT and not has_chosen:
            found = await organisations_of(calls)
            if found:
                await calls.choose(await choose_organisation(person, found, organisation))
                has_chosen, end = True, loop.time() + pace.settle
                continue
        if loop.time() + pace.pause > end:
            return None
        await pace.rest(pace.pause)


async def organisations_of(calls: LoginCalls) -> tuple[Organisation, ...]:
    """Return the organisations to choose from; a build that knows none has none."""
    try:
        return tuple(await calls.organisations())
    except LingmaError as error:
        if error.kind not in (ErrorKind.ENGINE_UNSUPPORTED, ErrorKind.LOGIN_REQUIRED):
            raise
        return ()


async def choose_organisation(person: Person, found: tuple[Organisation, ...], wanted: str) -> str:
    """Return the id of `wanted`, an id or a name; else of the one that the person picks.

    Raises:
        LingmaError: there is no such organisation, or nobody to pick one.
    """
    if wanted:
        return _named(found, wanted)
    if len(found) == 1:
        return found[0].id
    if not person.is_there:
        listed = ", ".join(f"{one.id} ({one.name})" for one in found)
        raise LingmaError(
            ErrorKind.USAGE,
            f"the account has several organisations: {listed}",
            hint="name one with `--organisation ID`",
        )
    for number, one in enumerate(found, 1):
        person.say(f"  {number}  {one.name}  {one.id}")
    while True:
        said = (await ask_for(person, "Organisation (number or id): ")).reveal()
        if said.isascii() and said.isdigit() and 1 <= int(said) <= len(found):
            return found[int(said) - 1].id
        try:
            return _named(found, said)
        except LingmaError as error:
            person.say(error.message)


@asynccontextmanager
async def in_time(seconds: float) -> AsyncIterator[None]:
    """End a login after so many seconds, with an error that says so."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise LingmaError(
            ErrorKind.LOGIN_REQUIRED,
            f"nobody logged in within {seconds:g} seconds",
            hint="run it again; `--timeout SECONDS` gives more time",
        ) from None


class _Tries:
    """The tries with a browser that are open: what each one's callback must name."""

    def __init__(self, calls: LoginCalls, person: Person, offer: BrowserOffer) -> None:
        self._calls = calls
        self._person = person
        self._offer = offer
        self._nonces: dict[str, Secret] = {}

    async def begin(self) -> None:
        """Begin one more, and show its page."""
        login = await self._calls.new_url(self._offer.is_dedicated)
        self._offer.hosts.check(login.url)
        self._nonces[state_of(login.url)] = login.nonce
        self._person.say(f"Log in on this page:\n\n  {login.url}\n")
        if self._offer.advice:
            self._person.say(self._offer.advice)
        if self._offer.open_url is not None:
            self._offer.open_url(login.url)

    def take(self, state: str) -> Secret | None:
        """Use up the try that `state` names, else the newest if it names none."""
        if not state and self._nonces:
            state = list(self._nonces)[-1]
        return self._nonces.pop(state, None)


async def _watch(calls: LoginCalls, pace: Pace) -> LoginStatus:
    while True:
        status = await calls.status()
        if status.state is LoginState.IN:
            return status
        await pace.rest(pace.pause)


async def _paste(
    calls: LoginCalls, person: Person, tries: _Tries, pace: Pace, organisation: str
) -> LoginStatus:
    while True:
        said = await ask_for(person, _PASTE)
        callback = read_callback(said.reveal())
        if callback is None:
            person.say(
                "That is not the address: it begins with http://127.0.0.1: and has `auth=` in it."
            )
            continue
        nonce = tries.take(callback.state)
        if nonce is None:
            person.say("That address belongs to another login, or was used before.")
            continue
        try:
            await calls.callback(nonce, callback.auth, callback.token)
        except LingmaError as error:
            if error.kind is not ErrorKind.LOGIN_REQUIRED:
                raise
            person.say(error.message)
        else:
            status = await settle(calls, person, pace, organisation=organisation)
            if status is not None:
                return status
            person.say("The address was taken, but there is no login.")
        person.say("Try once more; the old page is of no use any more.")
        await tries.begin()


async def _settled(calls: LoginCalls, person: Person, pace: Pace, organisation: str) -> LoginStatus:
    status = await settle(calls, person, pace, organisation=organisation)
    if status is None:
        raise LingmaError(
            ErrorKind.LOGIN_REQUIRED,
            "it was taken, but there is no login",
            hint="try another method: `lingma login --method browser`",
        )
    return status


async def _first(*ways: Coroutine[Any, Any, T]) -> T:
    """Return what the first of `ways` returns; the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _named(found: tuple[Organisation, ...], wanted: str) -> str:
    for one in found:
        if wanted in (one.id, one.name):
            return one.id
    raise LingmaError(
        ErrorKind.USAGE,
        f"the account has no organisation `{wanted}`",
        hint=f"it has {', '.join(one.id for one in found) or 'none'}",
    )
