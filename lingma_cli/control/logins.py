"""The logins of the pool: laid before a life, taken back, got without a person, or asked for.

One look at the pool after each change of it decides what is to be done; what takes time is done in
tasks, at most one an engine. Must not know how a password becomes a login, or where logins are
kept: callables and `LoginKeeper` do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from lingma_cli.auth.bundles.bundle import Bundle
from lingma_cli.auth.keeping import LoginKeeper
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError

_log: Final = logging.getLogger(__name__)
# More tries with a password could lock the account.
_MOST_TRIES: Final = 2
_WINDOW_SECONDS: Final = 600.0
_FIRST_PAUSE: Final = 5.0
# A person would not wait for that.
_LONG_PAUSE: Final = 60.0

LogIn = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginView:
    """What is known of one engine's login.

    Attributes:
        state: `in`, `out`, `unknown`, `logging_in`, or the engine's own state while it is not
            ready.
        method: how the login came, or could come without a person: `bundle`, `password`, `none`.
        tries: with the password, since it was logged in last.
        next_step: what a person can do, empty when nothing is to be done.
    """

    instance: str
    account: str
    state: str
    method: str
    tries: int
    last_error: str
    next_step: str


@dataclass(slots=True, kw_only=True)
class Post:
    """One engine with what sees to its login.

    Attributes:
        slot: its place in the pool.
        read: returns the login in the engine's folder; blocks.
        keeper: takes its login to the vault and back; `None` when the engine keeps it itself.
        log_in: logs it in without a person, if that is possible.
        method: see `LoginView`.
        tries: calls of `log_in` since the login was good last.
        tried: when `log_in` was called, seconds of the loop's clock.
        is_suspected: the login may be another or a newer one.
        is_told: a person has been told that they are needed.
        is_attended: a task sees to it.
    """

    slot: Slot
    read: Callable[[], Bundle | None]
    keeper: LoginKeeper | None = None
    log_in: LogIn | None = None
    method: str = "none"
    tries: int = 0
    tried: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_TRIES))
    last_error: LingmaError | None = None
    is_suspected: bool = False
    is_told: bool = False
    is_attended: bool = False

    @property
    def is_out(self) -> bool:
        """Whether the engine is there and says that it has no login."""
        slot = self.slot
        return slot.state is EngineState.READY and slot.engine.login is LoginState.OUT

    @property
    def is_in(self) -> bool:
        """Whether the engine is there and says that it has a login."""
        slot = self.slot
        return slot.state is EngineState.READY and slot.engine.login is LoginState.IN


class Logins:
    """Sees to the logins of a registry's engines.

    Args:
        registry: the pool.
        posts: one for each of its slots.
        max_retry: tries with a password after the first.
        on_trouble: told once of each login that needs a person.
        recruit: builds the post of an account that came after the start, `None` if there is no such
            account; called in a thread.
    """

    def __init__(
        self,
        registry: Registry,
        posts: Sequence[Post],
        *,
        max_retry: int,
        on_trouble: Callable[[LingmaError], None],
        recruit: Callable[[str], Post | None] = lambda _: None,
    ) -> None:
        self._registry = registry
        self._posts = {post.slot.engine.name: post for post in posts}
        self._max_retry = max_retry
        self._on_trouble = on_trouble
        self._recruit = recruit

    # for the supervisor

    @asynccontextmanager
    async def kept(self, slot: Slot) -> AsyncIterator[None]:
        """Surround one life of an engine: its login is laid before, and taken back after.

        Raises:
            LingmaError: the login is there and cannot be laid.
        """
        post = self._posts.get(slot.engine.name)
        keeper = post.keeper if post is not None else None
        if keeper is None:
            yield
            return
        laying = asyncio.ensure_future(asyncio.to_thread(keeper.lay))
        try:
            # A thread cannot be stopped; what it lays must not be there after the end.
            await asyncio.shield(laying)
            yield
        finally:
            await asyncio.wait([laying])
            await asyncio.to_thread(keeper.put_away)

    def suspect(self, slot: Slot) -> None:
        """Say that an engine's login may be another or a newer one."""
        self._posts[slot.engine.name].is_suspected = True
        self._registry.wake()

    async def run(self) -> None:
        """See to all logins until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                change = self._registry.next_change()
                for post in self._posts.values():
                    if not post.is_attended and self._wants_attention(post):
                        post.is_attended = True
                        group.create_task(self._attend(post))
                await change.wait()

    def _wants_attention(self, post: Post) -> bool:
        if post.is_in:
            return post.is_suspected or post.is_told or post.tries > 0
        return post.is_out and (self._may_try(post) or not post.is_told)

    def _may_try(self, post: Post) -> bool:
        return post.log_in is not None and post.tries <= self._max_retry

    async def _attend(self, post: Post) -> None:
        try:
            if post.is_out:
                await self._come_in(post)
            if post.is_in:
                post.is_suspected = post.is_told = False
                post.tries, post.last_error = 0, None
                if post.keeper is not None:
                    await asyncio.to_thread(post.keeper.take_back)
        except Exception:  # noqa: BLE001 - see below
            # A fault of ours around one login must not take the server along.
            _log.exception("engine %s: its login", post.slot.engine.name)
            post.is_suspected, post.is_told, post.log_in = False, post.is_out, None
        finally:
            post.is_attended = False
            self._registry.wake()

    async def _come_in(self, post: Post) -> None:
        """Log in without a person, as far as that goes; else tell that one is needed."""
        while self._may_try(post):
            pause = self._pause(post)
            if pause > _LONG_PAUSE:
                self._tell(post)
            await self._stays_out(post, pause)
            if post.is_out:
                await self._try(post)
            if not post.is_out:
                return
        self._tell(post)

    async def _stays_out(self, post: Post, pause: float) -> None:
        """Wait for so many seconds, or until the engine is not logged out any more."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                while post.is_out:
                    await self._registry.next_change().wait()

    def _tell(self, post: Post) -> None:
        if post.is_told:
            return
        post.is_told = True
        name = post.slot.account
        missing = f"the account `{name}` is not logged in" if name else "Lingma is not logged in"
        reason = f": {post.last_error.message}" if post.last_error is not None else ""
        error = LingmaError(ErrorKind.LOGIN_REQUIRED, missing + reason, hint=post.slot.login_hint)
        _log.warning("engine %s: %s", post.slot.engine.name, error.advice)
        self._on_trouble(error)

    async def _try(self, post: Post) -> None:
        if post.log_in is None:
            return
        post.tries += 1
        post.tried.append(asyncio.get_running_loop().time())
        post.slot.is_logging_in = True
        _log.info("engine %s: logging in, try %d", post.slot.engine.name, post.tries)
        try:
            await post.log_in()
            post.last_error, post.method = None, "password"
        except LingmaError as error:
            post.last_error = error
            _log.warning("engine %s: %s", post.slot.engine.name, error)
        except Exception as error:  # noqa: BLE001 - one login must not take the server along
            # Its text may quote what was typed.
            post.last_error = LingmaError(
                ErrorKind.INTERNAL, f"the login failed: {type(error).__name__}"
            )
            _log.error("engine %s: %s", post.slot.engine.name, post.last_error)
        finally:
            post.slot.is_logging_in = False
            self._registry.wake()

    def _pause(self, post: Post) -> float:
        """Return the seconds until the next try may begin."""
        pause = _FIRST_PAUSE * 2 ** (post.tries - 1) if post.tries else 0.0
        if len(post.tried) < _MOST_TRIES:
            return pause
        now = asyncio.get_running_loop().time()
        return max(pause, post.tried[0] + _WINDOW_SECONDS - now)

    # for the admin routes

    def find(self, *, instance: str = "", account: str = "") -> Post:
        """Return the post of an instance or an account; of the only one if neither is named.

        Raises:
            LingmaError: there is none, or it is not clear which is meant.
        """
        named = self._named(instance, account)
        if not named:
            raise LingmaError(
                ErrorKind.NOT_FOUND, "no engine of this server is called so, or has this account"
            )
        # Several engines of one account have the same login.
        if len(named) > 1 and not account:
            raise LingmaError(
                ErrorKind.INVALID_REQUEST,
                "there are several instances",
                hint="name one with `?instance=NAME` or `?account=NAME`",
            )
        return named[0]

    async def recruit(self, account: str) -> Post | None:
        """Return a post for an account that came after the start; its engine is yet to be added.

        Raises:
            LingmaError: the vault does not open.
        """
        if not account or self._named("", account):
            return None
        post = await asyncio.to_thread(self._recruit, account)
        if post is None or self._named("", account):
            return None
        self._posts[post.slot.engine.name] = post
        return post

    def _named(self, instance: str, account: str) -> list[Post]:
        return [
            post
            for post in self._posts.values()
            if (not instance or post.slot.engine.name == instance)
            and (not account or post.slot.account == account)
        ]

    def views(self) -> list[LoginView]:
        """Return what is known of every login."""
        return [self.view(post) for post in self._posts.values()]

    def view(self, post: Post) -> LoginView:
        """Return what is known of one login."""
        slot = post.slot
        state = slot.engine.login.value if slot.state is EngineState.READY else slot.state.value
        trouble = post.last_error or slot.last_error
        return LoginView(
            instance=slot.engine.name,
            account=slot.account,
            state="logging_in" if slot.is_logging_in else state,
            method=post.method,
            tries=post.tries,
            last_error=trouble.message if trouble is not None else "",
            next_step=slot.login_hint if post.is_out and not slot.is_logging_in else "",
        )

    async def start(self, *, instance: str = "", account: str = "") -> Sequence[LoginView]:
        """Begin a login of an instance, or of all engines of an account; see `find`.

        Raises:
            LingmaError: nobody is meant, or the vault does not answer.
        """
        first = self.find(instance=instance, account=account)
        meant = self._named(instance, account) if account else [first]
        return [await self._start(post) for post in meant]

    async def _start(self, post: Post) -> LoginView:
        """Begin one with what the vault has got since, else with the password."""
        keeper = post.keeper
        if keeper is not None and await asyncio.to_thread(keeper.has_news):
            post.is_told, post.tries, post.last_error = False, 0, None
            post.slot.again.set()
        elif post.is_out and post.log_in is not None and not post.is_attended:
            post.is_told, post.tries = False, 0
            self._registry.wake()
        return self.view(post)

    async def export(self, post: Post) -> Bundle:
        """Return the login of an engine.

        Raises:
            LingmaError: it is not logged in.
        """
        bundle = await asyncio.to_thread(post.read) if post.is_in else None
        if bundle is None:
            raise LingmaError(
                ErrorKind.CONFLICT,
                f"the instance `{post.slot.engine.name}` is not logged in",
                hint=post.slot.login_hint or None,
            )
        return bundle
