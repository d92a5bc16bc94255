"""What every handler needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lingma_cli.control.logins import Logins
from lingma_cli.core.ids import NewId
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.server.exchange_response import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The gateway, the logins of its engines, and the few values around them.

    Attributes:
        body_limit: bytes of a request body.
        new_id: makes ids of responses.
        wall_clock: seconds since the epoch.
    """

    gateway: Gateway
    logins: Logins
    body_limit: int
    new_id: NewId
    wall_clock: Callable[[], float]
    patience: Patience = Patience()
