"""What every handler needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lingma_cli.core.ids import NewId
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.server.exchange_response import Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The gateway and the few values around it.

    Attributes:
        body_limit: bytes of a request body.
        new_id: makes ids of responses.
        wall_clock: seconds since the epoch.
    """

    gateway: Gateway
    body_limit: int
    new_id: NewId
    wall_clock: Callable[[], float]
    patience: Patience = Patience()
