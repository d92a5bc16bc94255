"""`manual`: a routing key stays where it was first sent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lingma_cli.routing.loads import eligible
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.routing.policy import (
    NOBODY,
    Branch,
    Candidate,
    Choice,
    Clock,
    Draw,
    PolicyKind,
    RoutingRequest,
)
from lingma_cli.structures.hash_ring import position
from lingma_cli.structures.ttl_map import TtlMap

_MAX_KEYS: Final = 16_384
_HOMES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pin:
    """A key's engines, the oldest first, and the one that served it last."""

    homes: tuple[str, ...]
    serving: str


class Manual:
    """Remembers keys, by their hashes: they come from clients and may be long or private."""

    needs_text = False

    def __init__(self, options: PolicyOptions, clock: Clock, draw: Draw) -> None:
        self._mode = options.assignment_mode
        self._interval = options.eviction_interval_secs or math.inf
        self._clock = clock
        self._draw = draw
        self._next_eviction = clock() + self._interval
        self._keys_of: Counter[str] = Counter()
        self._pins: TtlMap[int, _Pin] = TtlMap(
            clock,
            ttl=options.max_idle_secs if options.eviction_interval_secs else math.inf,
            max_entries=_MAX_KEYS,
            on_drop=self._forget,
        )

    def choose(self, candidates: Sequence[Candidate], request: RoutingRequest) -> Choice:
        """Choose the key's engine, and give a new key one."""
        self._evict()
        able = eligible(candidates)
        if not able:
            return NOBODY
        if not request.routing_key:
            return Choice(engine=able[self._draw(len(able))].id, branch=Branch.NO_KEY)
        key = position(request.routing_key)
        pin = self._pins.get(key)
        ids = {candidate.id for candidate in able}
        for home in pin.homes if pin is not None else ():
            if home in ids:
                self._pin(key, pin, home)
                return Choice(engine=home, branch=Branch.OCCUPIED_HIT)
        engine = self._assigned(able)
        self._pin(key, pin, engine)
        branch = Branch.VACANT if pin is None else Branch.OCCUPIED_MISS
        return Choice(engine=engine, branch=branch)

    def _pin(self, key: int, pin: _Pin | None, engine: str) -> None:
        homes = pin.homes if pin is not None else ()
        if engine not in homes:
            homes = (*homes, engine)[-_HOMES:]
        if pin is not None:
            self._forget(key, pin)
        self._keys_of[engine] += 1
        self._pins.put(key, _Pin(homes=homes, serving=engine))

    def _assigned(self, able: Sequence[Candidate]) -> str:
        match self._mode:
            case "min_load":
                loads = [candidate.load for candidate in able]
            case "min_group":
                loads = [self._keys_of[candidate.id] for candidate in able]
            case _:
                loads = [0] * len(able)
        lowest = min(loads)
        equals = [one.id for one, load in zip(able, loads, strict=True) if load == lowest]
        return equals[self._draw(len(equals))]

    def _evict(self) -> None:
        now = self._clock()
        if now >= self._next_eviction:
            self._next_eviction = now + self._interval
            self._pins.expire()

    def _forget(self, _key: int, pin: _Pin) -> None:
        self._keys_of[pin.serving] -= 1
        if not self._keys_of[pin.serving]:
            del self._keys_of[pin.serving]


KIND: Final = PolicyKind(
    name="manual",
    help="a routing key stays on the engine that it was given",
    rules=f"""\
- The key is the header `x-smg-routing-key`; without it, any eligible engine serves.
- A new key gets an engine by `assignment_mode`: any, the one with the fewest requests in
  flight, or the one that serves the fewest keys; equals are drawn. Engines that come later move
  no key.
- If a key's engine is not eligible, the key gets a second one; the first has it back when it
  heals. Of more than two, the oldest is forgotten.
- Keys that nobody has used for `max_idle_secs` are forgotten, and cleaned away every
  `eviction_interval_secs`; if that is 0, they are kept. Of more than {_MAX_KEYS:,} keys, the one
  unused for longest goes.
""",
    options=("assignment_mode", "max_idle_secs", "eviction_interval_secs"),
    build=Manual,
)
