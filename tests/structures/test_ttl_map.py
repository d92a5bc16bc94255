"""The map that forgets."""

from __future__ import annotations

from lingma_cli.structures.ttl_map import TtlMap
from tests.support.routing import Watch


def _map(watch: Watch, dropped: list[tuple[str, int]] | None = None) -> TtlMap[str, int]:
    log = dropped if dropped is not None else []
    return TtlMap(watch, ttl=10, max_entries=2, on_drop=lambda key, value: log.append((key, value)))


def test_what_was_put_is_there() -> None:
    """An entry is found under its key, and the last value counts."""
    entries = _map(Watch())
    entries.put("a", 1)
    entries.put("a", 2)

    assert (entries.get("a"), entries.get("b"), len(entries)) == (2, None, 1)


def test_an_unused_entry_is_gone_in_time() -> None:
    """At its time to live it is gone, whether or not anything has tidied up."""
    watch = Watch()
    entries = _map(watch)
    entries.put("a", 1)
    watch.now += 9.9

    assert entries.get("a") == 1
    watch.now += 9.9
    assert entries.get("a") == 1
    watch.now += 10
    assert entries.get("a") is None


def test_the_least_recently_used_makes_room() -> None:
    """Reading counts as use."""
    dropped: list[tuple[str, int]] = []
    entries = _map(Watch(), dropped)
    entries.put("a", 1)
    entries.put("b", 2)
    entries.get("a")
    entries.put("c", 3)

    assert dropped == [("b", 2)]
    assert (entries.get("a"), entries.get("b"), entries.get("c")) == (1, None, 3)


def test_expire_forgets_the_old_ones_only() -> None:
    """What is used again after others stays, and each loss is told once."""
    watch, dropped = Watch(), list[tuple[str, int]]()
    entries = _map(watch, dropped)
    entries.put("a", 1)
    entries.put("b", 2)
    watch.now += 6
    entries.get("a")
    watch.now += 4
    entries.expire()

    assert (dropped, len(entries)) == ([("b", 2)], 1)
    watch.now += 10
    entries.get("a")
    entries.expire()
    assert dropped == [("b", 2), ("a", 1)]


def test_nobody_need_be_told() -> None:
    """Without a listener entries are dropped all the same."""
    entries: TtlMap[str, int] = TtlMap(Watch(), ttl=10, max_entries=1)
    entries.put("a", 1)
    entries.put("b", 2)

    assert len(entries) == 1
