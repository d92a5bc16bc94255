"""What a login asks of the process that is to be logged in.

Source: Lingma local protocol, "Login and account". Whoever drives a process implements it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lingma_cli.core.login import LoginStatus, LoginUrl, Organisation
from lingma_cli.secret import Secret


class LoginCalls(Protocol):
    """The account of one process.

    Every call raises `LingmaError`: `ENGINE_UNSUPPORTED` when the build does not know it,
    `LOGIN_REQUIRED` when it refuses, any other when there is no answer.
    """

    async def status(self) -> LoginStatus:
        """Ask whether and as whom the process is logged in."""
        ...

    async def new_url(self, dedicated: bool) -> LoginUrl:  # noqa: FBT001 - of the protocol
        """Begin a try with a browser; each one needs an address of its own."""
        ...

    async def callback(self, nonce: Secret, auth: Secret, token: Secret) -> None:
        """Hand in what the login page gave; success means taken, not yet logged in."""
        ...

    async def with_token(self, token: Secret, organisation: str) -> None:
        """Log in by personal token; `organisation` is an id or empty."""
        ...

    async def with_access_key(self, key: Secret, secret: Secret, organisation: str) -> None:
        """Log in by access key; `organisation` is an id or empty."""
        ...

    async def organisations(self) -> Sequence[Organisation]:
        """List those that the account, or the login that waits for a choice, may work for."""
        ...

    async def choose(self, organisation_id: str) -> None:
        """Work for one of them; ends a login that waits for the choice."""
        ...

    async def logout(self) -> None:
        """End the login."""
        ...
