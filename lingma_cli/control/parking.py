"""Where an ask waits while its client runs a tool: asks and leases moved out of their exchange.

An ask that wants a tool's result outlives the answer that told the client so. The lot then owns
the ask and its lease, until the client's next request takes both out again or time is up; what is
never fetched is left, which refuses its calls upstream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from lingma_cli.control.registry import Slot
from lingma_cli.core.chat import ToolRoute
from lingma_cli.engines.base import Ask

_SWEEP_SECONDS: Final = 1.0
# Ids of calls that have waited here, kept to tell a client why its conversation is sent again.
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkingLimits:
    """`capacity` 0 parks nothing; `seconds` is how long a client may take to run its tools."""

    capacity: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parked:
    """An ask with everything that must be given back after it.

    Attributes:
        owner: the caller that may fetch it.
        slot: whose engine it runs on.
        model: the model that serves it.
        route: how its tools reached that model.
        held: leaves the ask and returns the lease.
    """

    owner: str
    slot: Slot
    model: str
    route: ToolRoute
    ask: Ask
    held: AsyncExitStack


class ParkingLot:
    """All asks that wait for a client.

    Args:
        limits: see `ParkingLimits`.
        clock: seconds, monotonic.
    """

    def __init__(self, limits: ParkingLimits, clock: Callable[[], float]) -> None:
        self.limits = limits
        self._clock = clock
        self._parked: dict[Parked, float] = {}
        self._towed: list[Parked] = []
        self._owners: dict[str, str] = {}
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._parked)

    def park(self, parked: Parked) -> None:
        """Take over an ask; when the lot is full, the one that waits longest has to go."""
        self._parked[parked] = self._clock() + self.limits.seconds
        self._owners |= dict.fromkeys(parked.ask.pending_calls, parked.owner)
        while len(self._owners) > _REMEMBERED:
            del self._owners[next(iter(self._owners))]
        while len(self._parked) > self.limits.capacity:
            self._tow(next(iter(self._parked)))
        self._wake.set()

    def take(self, owner: str, results: Collection[str], earlier: Collection[str]) -> Parked | None:
        """Return the ask that waits for some of `results`, out of the lot; `None` if none does.

        Args:
            owner: the caller.
            results: ids of the calls that the caller brings results for now.
            earlier: ids of calls further back in its conversation. Who waits for one of these,
                or of `results`, and is not returned has been passed over, and waits in vain.
        """
        found: Parked | None = None
        for parked in [parked for parked in self._parked if parked.owner == owner]:
            pending = parked.ask.pending_calls
            if found is None and not pending.isdisjoint(results):
                found = parked
                del self._parked[parked]
            elif not pending.isdisjoint((*results, *earlier)):
                self._tow(parked)
        return found

    def has_known(self, owner: str, results: Collection[str]) -> bool:
        """Tell whether an ask of `owner` has waited here lately for one of `results`."""
        return any(self._owners.get(call_id) == owner for call_id in results)

    async def run(self) -> None:
        """Clear away what is over, for as long as the server runs; on return the lot is empty."""
        try:
            while True:
                if not self._parked and not self._towed:
                    self._wake.clear()
                    await self._wake.wait()
                now = self._clock()
                for parked, deadline in list(self._parked.items()):
                    if deadline <= now or not parked.ask.pending_calls:
                        self._tow(parked)
                await self._leave_towed()
                await asyncio.sleep(_SWEEP_SECONDS)
        finally:
            await self.clear()

    async def clear(self) -> None:
        """Leave every ask that waits."""
        for parked in list(self._parked):
            self._tow(parked)
        await self._leave_towed()

    def _tow(self, parked: Parked) -> None:
        del self._parked[parked]
        self._towed.append(parked)
        self._wake.set()

    async def _leave_towed(self) -> None:
        while self._towed:
            await self._towed.pop().held.aclose()
