"""Conversations by the list, as every kind of store keeps them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.sessions.stored import Limits, ListedConversation, ResponseStore
from tests.support.stores import Clock, Play, conversation, ids, item, item_ids, response


async def listed(store: ResponseStore, owner: str = "ann") -> list[tuple[str, int]]:
    """Return ids and numbers of items, in the order of the list."""
    found = await store.conversations(owner)
    return [(one.conversation.id, one.item_count) for one in found]


def test_a_list_tells_all_there_is_to_tell(play: Play) -> None:
    """Metadata, times and the number of items, of one conversation or of all."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        assert await store.conversations("ann") == ()
        await store.create_conversation(conversation("c"), [item("i")])
        clock.now += 10.5
        await store.add_items("ann", "c", [item("j"), item("i", "again")])
        await store.create_conversation(conversation("d"))
        of_c = ListedConversation(
            conversation=conversation("c"), last_active=clock.now, item_count=2
        )
        assert await store.conversations("ann", "c") == (of_c,)
        assert await store.conversations("ann") == (
            replace(of_c, conversation=conversation("d"), item_count=0),
            of_c,
        )
        assert await store.conversations("ann", "x") == ()

    play(scene)


def test_the_one_written_last_comes_first(play: Play) -> None:
    """By the order of writes, whatever the clock says; looking is no writing."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        for name in "abcd":
            await store.create_conversation(conversation(name))
        clock.now -= 500
        await store.add_items("ann", "a", [item("i")])
        await store.update_conversation("ann", "b", {})
        await store.items("ann", "c")
        await store.save(replace(response("r"), conversation_id="d"), [item("i")])
        assert await listed(store) == [("d", 1), ("b", 0), ("a", 1), ("c", 0)]

    play(scene)


def test_a_list_is_its_owners(play: Play) -> None:
    """Nobody lists, clears or removes what belongs to somebody else; responses are in no list."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.create_conversation(conversation("c"), [item("i")])
        await store.create_conversation(conversation("b", owner="bob"))
        await store.save(response("r"))
        clock.now += 100
        assert await listed(store, "bob") == [("b", 0)]
        assert await store.conversations("bob", "c") == ()
        assert not await store.clear_conversation("bob", "c")
        assert await store.delete_idle_conversations("bob", 0) == 1
        assert await listed(store) == [("c", 1)]
        assert await ids(store, "r") == "r"

    play(scene)


def test_what_has_expired_is_in_no_list(play: Play) -> None:
    """It does not exist: it is not counted, cleared or removed any more."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.create_conversation(conversation("c"))
        clock.now += 1000
        await store.create_conversation(conversation("d"))
        assert await listed(store) == [("d", 0)]
        assert not await store.clear_conversation("ann", "c")
        assert await store.delete_idle_conversations("ann", 0) == 1

    play(scene)


def test_clearing_leaves_the_conversation(play: Play) -> None:
    """Its items go, its metadata stay, and it can be gone on with; clearing is a write."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.create_conversation(conversation("c"), [item("i"), item("j")])
        clock.now += 600
        assert await store.clear_conversation("ann", "c")
        assert await store.items("ann", "c") == ()
        assert await store.item("ann", "c", "i") is None
        clock.now += 600
        assert await store.conversation("ann", "c") == conversation("c")
        assert await store.clear_conversation("ann", "c")
        await store.add_items("ann", "c", [item("i"), item("k")])
        assert await item_ids(store, "c") == ["i", "k"]
        assert not await store.clear_conversation("ann", "x")

    play(scene)


def test_what_was_cleared_weighs_nothing(play: Play) -> None:
    """A cleared conversation has room for as much again."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.create_conversation(conversation("c"), [item("i", "x" * 700)])
        await store.clear_conversation("ann", "c")
        await store.save(response("a", text="x" * 300))
        await store.add_items("ann", "c", [item("j", "x" * 300)])
        assert await ids(store, "a") == "a"
        assert await item_ids(store, "c") == ["j"]

    play(scene, Limits(retention=1000, max_bytes=1000, max_entries=100))


@pytest.mark.parametrize(
    ("seconds", "left"), [(0, ""), (9.999, ""), (10, "c"), (39.999, "bc"), (40, "abc")]
)
def test_idle_ones_are_removed(play: Play, seconds: float, left: str) -> None:
    """To the millisecond, with all their items, and counted."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        for name in "abc":
            await store.create_conversation(conversation(name), [item("i")])
            clock.now += 10
        await store.add_items("ann", "c", [item("j")])
        clock.now += 9.999
        expected = {"c": 2, "b": 1, "a": 1}
        assert await store.delete_idle_conversations("ann", seconds) == 3 - len(left)
        assert await listed(store) == [(one, expected[one]) for one in reversed(left)]

    play(scene)
