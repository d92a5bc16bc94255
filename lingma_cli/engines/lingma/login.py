"""Whether the binary has a login: what `auth/status` says, and what its silence means.

Source: Lingma local protocol, "Login and account": `status` 2 is logged in, 1 is not; another
value with an `id` means "not known yet", without one it means logged out.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any, Final

import msgspec

from lingma_cli.engines.lingma.link import Link
from lingma_cli.errors import ErrorKind, LingmaError

_SETTLE_SECONDS: Final = 0.5


class Login(Enum):
    """What is known; in doubt an ask is sent, and its own end tells."""

    IN = "in"
    OUT = "out"
    UNKNOWN = "unknown"


class _Status(msgspec.Struct):
    status: Any = None
    id: Any = None


async def ask_login(link: Link, within: float) -> Login:
    """Ask once.

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
        return Login.OUT if error.kind is ErrorKind.LOGIN_REQUIRED else Login.UNKNOWN
    try:
        said = msgspec.json.decode(answer, type=_Status)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Login.UNKNOWN
    match str(said.status):
        case "2":
            return Login.IN
        case "1":
            return Login.OUT
        case _:
            return Login.UNKNOWN if said.id else Login.OUT


async def settle_login(link: Link, within: float) -> Login:
    """Ask until the state is known, for at most `within` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while (login := await ask_login(link, within)) is Login.UNKNOWN:
        if loop.time() + _SETTLE_SECONDS > deadline:
            break
        await asyncio.sleep(_SETTLE_SECONDS)
    return login
