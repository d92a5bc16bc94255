"""A map that forgets what nobody has used for a while, and the least recently used when full."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TtlMap(Generic[K, V]):
    """Entries in the order of their last use.

    Args:
        clock: seconds, never going back.
        ttl: seconds without use after which an entry is gone.
        max_entries: how many there may be, at least one.
        on_drop: told each entry that is forgotten; not one that `put` replaces.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        ttl: float,
        max_entries: int,
        on_drop: Callable[[K, V], None] | None = None,
    ) -> None:
        self._clock = clock
        self._ttl = ttl
        self._max_entries = max_entries
        self._on_drop = on_drop
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return what is kept under `key`, which counts as a use; `None` if nothing is."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        used, value = entry
        now = self._clock()
        if now - used >= self._ttl:
            del self._entries[key]
            self._dropped(key, value)
            return None
        self._entries[key] = (now, value)
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        """Keep `value` under `key`; the least recently used makes room for it."""
        self._entries[key] = (self._clock(), value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._drop_oldest()

    def expire(self) -> None:
        """Forget all entries whose time is up."""
        now = self._clock()
        while self._entries:
            used, _ = next(iter(self._entries.values()))
            if now - used < self._ttl:
                return
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        key, (_, value) = self._entries.popitem(last=False)
        self._dropped(key, value)

    def _dropped(self, key: K, value: V) -> None:
        if self._on_drop is not None:
            self._on_drop(key, value)
