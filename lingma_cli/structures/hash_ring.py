"""Consistent hashing: when one of N members comes or goes, about one key in N moves.

Theory: each member stands at many points of a ring of 64-bit numbers; a key belongs to the first
point at or after its own. A member that comes back stands where it stood, so it has its keys again,
and whoever knows the same members finds the same one.

Source: D. Karger et al., "Consistent hashing and random trees", STOC 1997.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

REPLICAS: Final = 150


def position(key: str) -> int:
    """Return where `key` stands, 0…2⁶⁴-1: the same in every process."""
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


class HashRing:
    """Members around the ring.

    Args:
        replicas: the points of each member; more of them share the keys more evenly.
    """

    def __init__(self, replicas: int = REPLICAS) -> None:
        self._replicas = replicas
        self._members: frozenset[str] = frozenset()
        self._points: list[int] = []
        self._at: list[str] = []

    def update(self, members: Iterable[str]) -> None:
        """Let exactly `members` stand on the ring; nothing to do when they do already."""
        wanted = frozenset(members)
        if wanted == self._members:
            return
        self._members = wanted
        stands = sorted(
            (position(f"{member}#{number}"), member)
            for member in wanted
            for number in range(self._replicas)
        )
        self._points = [point for point, _ in stands]
        self._at = [member for _, member in stands]

    def walk(self, key: str) -> Iterator[str]:
        """Yield every member once, clockwise from where `key` stands."""
        start = bisect_left(self._points, position(key))
        met: set[str] = set()
        for step in range(len(self._at)):
            member = self._at[(start + step) % len(self._at)]
            if member not in met:
                met.add(member)
                yield member
                if len(met) == len(self._members):
                    return
