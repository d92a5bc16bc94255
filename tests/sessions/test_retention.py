"""How long every kind of store keeps things, and how many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.sessions.stored import (
    Limits,
    ResponseStore,
    StoredResponse,
    text_size,
    to_json,
)
from tests.support.stores import Clock, Play, conversation, ids, item, item_ids, response


def size(one: StoredResponse) -> int:
    """Return the bytes that count."""
    return text_size(to_json(one.body), to_json(one.input_items))


def test_expired_entries_are_not_found(play: Play) -> None:
    """After the retention nothing finds an entry, to the millisecond."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.save(response("a"))
        await store.create_conversation(conversation("c"), [item("i")])
        clock.now += 999.999
        assert await store.chain("ann", "a") == (response("a"),)
        await store.save(response("b", "a"))
        clock.now += 0.001
        assert await ids(store, "a", "b") == "b"
        assert await store.chain("ann", "b") is None
        assert not await store.delete_response("ann", "a")
        assert await store.conversation("ann", "c") is None
        assert await store.items("ann", "c") is None
        assert await store.item("ann", "c", "i") is None
        assert await store.update_conversation("ann", "c", {}) is None
        assert not await store.add_items("ann", "c", [item("j")])
        assert not await store.delete_item("ann", "c", "i")
        assert not await store.delete_conversation("ann", "c")

    play(scene)


@pytest.mark.parametrize("touch", ["add", "update", "delete", "save"])
def test_using_a_conversation_keeps_it(play: Play, touch: str) -> None:
    """Each change of a conversation begins its retention anew."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.create_conversation(conversation("c"), [item("i")])
        clock.now += 600
        if touch == "add":
            await store.add_items("ann", "c", [item("j")])
        elif touch == "update":
            await store.update_conversation("ann", "c", {})
        elif touch == "delete":
            await store.delete_item("ann", "c", "i")
        else:
            await store.save(replace(response("a"), conversation_id="c"), [item("j")])
        clock.now += 600
        assert await store.conversation("ann", "c") is not None

    play(scene)


def test_adding_nothing_is_no_change(play: Play) -> None:
    """An empty list of items does not make a conversation younger."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.create_conversation(conversation("c"))
        clock.now += 600
        assert await store.add_items("ann", "c", [])
        await store.save(replace(response("a"), conversation_id="c"), [])
        clock.now += 600
        assert await store.conversation("ann", "c") is None

    play(scene)


def test_expired_ids_can_be_used_again(play: Play) -> None:
    """An expired entry that still lies there is in nobody's way."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.create_conversation(conversation("c"), [item("i")])
        await store.save(response("a", text="old"))
        clock.now += 1000
        await store.create_conversation(conversation("c"))
        await store.save(response("a", text="new"))
        assert await store.items("ann", "c") == ()
        assert await store.response("ann", "a") == response("a", text="new")

    play(scene)


def test_the_oldest_go_first_by_number(play: Play) -> None:
    """Above the number of entries those go that were written longest ago."""

    async def scene(store: ResponseStore, clock: Clock) -> None:
        await store.create_conversation(conversation("c"))
        for name in "ab":
            await store.save(response(name))
        # Not even a clock that was set back makes what is new old.
        clock.now -= 500
        await store.add_items("ann", "c", [item("i")])
        await store.save(response("d"))
        assert await ids(store, "a", "b", "d") == "bd"
        assert await item_ids(store, "c") == ["i"]
        await store.save(response("e"))
        await store.save(response("f"))
        assert await ids(store, "a", "b", "d", "e", "f") == "def"
        assert await store.conversation("ann", "c") is None

    play(scene, Limits(retention=1000, max_bytes=10_000, max_entries=3))


def test_the_oldest_go_first_by_size(play: Play) -> None:
    """A large response drives out as many old ones as it takes."""
    small, large = size(response("a")), size(response("d", text="x" * 500))

    async def scene(store: ResponseStore, _: Clock) -> None:
        for name in "abc":
            await store.save(response(name))
        assert await ids(store, *"abc") == "abc"
        await store.save(response("d", text="x" * 500))
        assert await ids(store, *"abcd") == "cd"

    play(scene, Limits(retention=1000, max_bytes=large + small, max_entries=100))


def test_many_small_ones_make_room(play: Play) -> None:
    """However many have to go, the limit holds after the write."""
    small = size(response("r100"))
    names = [f"r{number}" for number in range(100, 400)]

    async def scene(store: ResponseStore, _: Clock) -> None:
        for name in names:
            await store.save(response(name))
        # Exactly as large as 250 small ones.
        await store.save(response("huge", text="x" * (small * 250 - size(response("huge")) + 5)))
        assert await ids(store, *names) == "".join(names[250:])

    play(scene, Limits(retention=1000, max_bytes=small * 300, max_entries=1000))


def test_items_count_as_bytes(play: Play) -> None:
    """A conversation weighs what its items weigh, and less once they are replaced or gone."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(response("a"))
        await store.create_conversation(conversation("c"), [item("i", "x" * 600)])
        await store.add_items("ann", "c", [item("i")])
        await store.add_items("ann", "c", [item("j", "x" * 600)])
        await store.delete_item("ann", "c", "j")
        await store.update_conversation("ann", "c", {"k": "x" * 600})
        await store.update_conversation("ann", "c", {})
        await store.save(response("b", text="x" * 450))
        assert await ids(store, "a", "b") == "ab"
        await store.add_items("ann", "c", [item("k", "x" * 200)])
        assert await ids(store, "a", "b") == "b"

    play(scene, Limits(retention=1000, max_bytes=1000, max_entries=100))


def test_what_fits_in_no_store_is_refused(play: Play) -> None:
    """An entry above the limit alone is an error and drives nothing out."""
    within = replace(response("b"), conversation_id="c")

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(response("a"))
        await store.create_conversation(conversation("c"), [item("i")])
        giant = item("j", "x" * 1000)
        for attempt in (
            store.save(response("b", text="x" * 1000)),
            store.save(within, [giant]),
            store.create_conversation(conversation("c"), [giant]),
            store.add_items("ann", "c", [giant]),
            store.update_conversation("ann", "c", {"k": "x" * 1000}),
        ):
            with pytest.raises(LingmaError) as caught:
                await attempt
            assert caught.value.kind is ErrorKind.BODY_TOO_LARGE
        assert await ids(store, "a", "b") == "a"
        assert await store.conversation("ann", "c") == conversation("c")
        assert await store.items("ann", "c") == (item("i"),)

    play(scene, Limits(retention=1000, max_bytes=1000, max_entries=100))
