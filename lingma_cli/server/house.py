"""What every handler needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lingma_cli.control.fleet import Fleet
from lingma_cli.control.logins import Logins
from lingma_cli.core.ids import NewId
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.server.exchange_response import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The gateway, its engines and their logins, and the few values around them.

    Attributes:
        body_limit: bytes of a request body.
        is_guarded: the admin tier asks for a token.
        is_demo: the logins are a simulator's, of no worth to anybody.
        policy: which one chooses engines; empty for what suits them.
        new_id: makes ids of responses.
        wall_clock: seconds since the epoch.
    """

    gateway: Gateway
    fleet: Fleet
    logins: Logins
    body_limit: int
    new_id: NewId
    wall_clock: Callable[[], float]
    is_guarded: bool = True
    is_demo: bool = False
    policy: str = ""
    patience: Patience = Patience()

    def check_trust(self, what: str) -> None:
        """See that a change that acts with the user's own rights comes from the user.

        Raises:
            LingmaError: this server asks nobody for a token, other users of the machine neither.
        """
        if not self.is_guarded:
            raise LingmaError(
                ErrorKind.FORBIDDEN,
                f"a server without an admin token does not {what}",
                hint="set `LINGMA_ADMIN_TOKEN` for it and for this command, and start it again",
            )
