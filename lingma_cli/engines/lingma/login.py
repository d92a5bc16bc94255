"""Whether the binary has a login: what `auth/status` says or not, and when to look again.

Source: Lingma local protocol, "Login and account": `status` 2 is logged in, 1 is not; another
value with an `id` means "not known yet", without one it means logged out.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import msgspec

from lingma_cli.core.login import LoginState, LoginStatus
from lingma_cli.engines.lingma.endings import failure
from lingma_cli.engines.lingma.link import Link
from lingma_cli.engines.lingma.pushes import ChatPush
from lingma_cli.errors import ErrorKind, LingmaError

_SETTLE_SECONDS: Final = 0.5
_UNKNOWN: Final = LoginStatus(state=LoginState.UNKNOWN)
# quirk: a member of `auth/status` by this name tells whether the account may use the service.
_WHITELISTED: Final = 3

# Pushes after which the login may be another one.
LOGIN_PUSHES: Final = frozenset({"auth/report", "auth/syncTokenUpdate"})


class _Status(msgspec.Struct):
    status: Any = None
    id: Any = None
    name: Any = None
    orgName: Any = None  # noqa: N815 - the protocol's spelling, here and below
    userType: Any = None  # noqa: N815
    expireTime: Any = None  # noqa: N815
    whitelist: Any = None


async def ask_login(link: Link, within: float) -> LoginStatus:
    """Ask once; whatever is no answer is an unknown state.

    Args:
        link: an open connection.
        within: seconds to wait for the answer.

    Raises:
        LingmaError: the connection was lost.
    """
    try:
        # Never log this answer: it holds live tokens.
        answer = await link.call("auth/status", {}, within)
    except LingmaError as error:
        if not link.is_open:
            raise
        is_out = error.kind is ErrorKind.LOGIN_REQUIRED
        return LoginStatus(state=LoginState.OUT) if is_out else _UNKNOWN
    return read_status(answer)


async def settle_login(link: Link, within: float) -> LoginStatus:
    """Ask until the state is known, for at most `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while (login := await ask_login(link, within)).state is LoginState.UNKNOWN:
        if loop.time() + _SETTLE_SECONDS > deadline:
            break
        await asyncio.sleep(_SETTLE_SECONDS)
    return login


def read_status(answer: bytes) -> LoginStatus:
    """Return what an answer to `auth/status` says; fields of a wrong type say nothing."""
    try:
        said = msgspec.json.decode(answer, type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _UNKNOWN
    match str(said.status):
        case "2":
            state = LoginState.IN
        case "1":
            state = LoginState.OUT
        case _:
            state = LoginState.UNKNOWN if said.id else LoginState.OUT
    if state is LoginState.OUT:
        return LoginStatus(state=state)
    return LoginStatus(
        state=state,
        name=text(said.name),
        user_id=text(said.id),
        organisation=text(said.orgName),
        kind=text(said.userType),
        expires=_milliseconds(said.expireTime),
        is_allowed=said.whitelist in (None, _WHITELISTED, str(_WHITELISTED)),
    )


def text(value: Any) -> str:
    """Return a text, or a number as one; nothing for everything else."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _milliseconds(value: Any) -> float:
    try:
        return max(0.0, float(value) / 1000)
    except (TypeError, ValueError, OverflowError):
        return 0.0


class LoginWatch:
    """What is known of an engine's login, and whether it is time to look again.

    Attributes:
        state: the last that was heard.

    Args:
        work_dir: the data folder with the login record in it.
    """

    def __init__(self, work_dir: Path) -> None:
        self.state = LoginState.UNKNOWN
        self._record = work_dir / "cache" / "user"
        self._seen = self._mark()
        self._is_suspected = False
        self._waiter: asyncio.Future[None] | None = None

    def learn(self, status: LoginStatus) -> None:
        """Take a state that was asked for; one that turns calls for a closer look."""
        before, self.state = self.state, status.state
        if LoginState.UNKNOWN not in (before, status.state) and before is not status.state:
            self.suspect()

    def ends_with(self, push: ChatPush) -> bool:
        """Tell whether the end of an answer is the end of a login that was believed in."""
        was_out = self.state is LoginState.OUT
        if push.statusCode not in (None, 200):
            error = failure(push.statusCode, push.reason or "")
            if error.kind is ErrorKind.LOGIN_REQUIRED:
                # What the binary says of itself may be older than its service's word.
                self.state = LoginState.OUT
        return self.state is LoginState.OUT and not was_out

    def suspect(self) -> None:
        """Say that the login may be another one."""
        self._is_suspected = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def suspicion(self) -> asyncio.Future[None]:
        """Return what is done as soon as somebody suspects something."""
        self._waiter = asyncio.get_running_loop().create_future()
        if self._is_suspected:
            self._waiter.set_result(None)
        return self._waiter

    def wants_a_look(self) -> bool:
        """Tell, once, whether somebody suspects something or the record is another one."""
        before, self._seen = self._seen, self._mark()
        suspected, self._is_suspected = self._is_suspected, False
        return suspected or before != self._seen

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._record.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
