"""What every kind of store promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.sessions.stored import (
    MAX_CHAIN,
    ResponseStore,
    StoredConversation,
    StoredResponse,
)
from tests.support.stores import Clock, Play, conversation, ids, item, item_ids, response


def test_returns_what_was_saved(play: Play) -> None:
    """A response comes back equal, whatever JSON can hold."""
    saved = StoredResponse(
        id="resp_1",
        owner="ann",
        created=3_000_000_000,
        body={"text": "a\x00b 你好 🎉 \"'\\ %s :x ?", "n": [None, True, 1.5, 2**53], "o": {}},
        input_items=({"a": []}, {"b": "ö"}),
        previous_id="resp_0",
        conversation_id="conv_1",
    )

    async def scene(store: ResponseStore, _: Clock) -> None:
        assert await store.response("ann", "resp_1") is None
        await store.save(saved)
        assert await store.response("ann", "resp_1") == saved

    play(scene)


def test_what_is_returned_is_the_callers_own(play: Play) -> None:
    """Nobody changes a stored response through an object he holds."""
    body: dict[str, Any] = {"output": ["one"]}
    saved = replace(response("a"), body=body)

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(saved)
        body["output"].append("two")
        found = await store.response("ann", "a")
        assert found is not None
        assert found.body == {"output": ["one"]}

    play(scene)


def test_saving_again_replaces(play: Play) -> None:
    """A second save under an id is the one that counts."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(response("a", text="one"))
        await store.save(response("a", text="two"))
        assert await store.response("ann", "a") == response("a", text="two")
        assert await store.delete_response("ann", "a")
        assert await store.response("ann", "a") is None
        assert not await store.delete_response("ann", "a")

    play(scene)


def test_chain_is_oldest_first(play: Play) -> None:
    """A chain begins with the first response; the one asked for is its last."""
    links = [response("a"), response("b", "a"), response("c", "b"), response("x", "b")]

    async def scene(store: ResponseStore, _: Clock) -> None:
        for link in links:
            await store.save(link)
        assert await store.chain("ann", "c") == tuple(links[:3])
        assert await store.chain("ann", "x") == (links[0], links[1], links[3])
        assert await store.chain("ann", "a") == (links[0],)

    play(scene)


def test_chain_with_a_missing_link_is_none(play: Play) -> None:
    """Half a conversation is never returned as a whole one."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        for link in (response("a"), response("b", "a"), response("c", "b")):
            await store.save(link)
        assert await store.chain("ann", "nobody") is None
        await store.delete_response("ann", "a")
        assert await store.chain("ann", "c") is None
        await store.save(response("a", owner="bob"))
        assert await store.chain("ann", "c") is None

    play(scene)


def test_chain_is_bounded(play: Play) -> None:
    """The longest chain comes back whole, a longer one or a circle is refused."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        for index in range(MAX_CHAIN + 1):
            await store.save(response(f"r{index}", f"r{index - 1}" if index else None))
        await store.save(response("circle", "circle"))
        longest = await store.chain("ann", f"r{MAX_CHAIN - 1}")
        assert longest is not None
        assert [link.id for link in longest] == [f"r{index}" for index in range(MAX_CHAIN)]
        for name in (f"r{MAX_CHAIN}", "circle"):
            with pytest.raises(LingmaError) as caught:
                await store.chain("ann", name)
            assert caught.value.kind is ErrorKind.INVALID_REQUEST
            assert caught.value.param == "previous_response_id"

    play(scene)


def test_another_owner_finds_nothing(play: Play) -> None:
    """No call shows or changes what belongs to somebody else."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(response("a"))
        await store.create_conversation(conversation("c"), [item("i")])

        assert await store.response("bob", "a") is None
        assert await store.chain("bob", "a") is None
        assert not await store.delete_response("bob", "a")
        assert await store.conversation("bob", "c") is None
        assert await store.update_conversation("bob", "c", {}) is None
        assert await store.items("bob", "c") is None
        assert await store.item("bob", "c", "i") is None
        assert not await store.add_items("bob", "c", [item("j")])
        assert not await store.delete_item("bob", "c", "i")
        assert not await store.delete_conversation("bob", "c")

        assert await store.response("ann", "a") == response("a")
        assert await store.conversation("ann", "c") == conversation("c")
        assert await store.items("ann", "c") == (item("i"),)

    play(scene)


def test_owners_may_use_the_same_ids(play: Play) -> None:
    """The same id with two owners is two responses."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(response("a", text="ann's"))
        await store.save(response("a", owner="bob", text="bob's"))
        assert await store.delete_response("bob", "a")
        assert await store.response("ann", "a") == response("a", text="ann's")

    play(scene)


def test_ids_are_no_patterns(play: Play) -> None:
    """Ids from outside are compared as they are, whatever they hold."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(response("a"))
        for odd in ("", "%", "_", "*", "A", "a ", "a\x00", "' or 1=1 --", "ä" * 5000):
            assert await store.response("ann", odd) is None
            assert not await store.delete_response("ann", odd)
            assert await store.response(odd, "a") is None

    play(scene)


def test_a_response_is_no_conversation(play: Play) -> None:
    """A response and a conversation with one id do not meet."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.save(response("a"))
        assert await store.conversation("ann", "a") is None
        await store.create_conversation(conversation("a"))
        assert await store.delete_conversation("ann", "a")
        assert await store.response("ann", "a") == response("a")

    play(scene)


def test_conversation_life(play: Play) -> None:
    """A conversation is made, changed and removed with its items."""
    changed = StoredConversation(id="c", owner="ann", created=1_700_000_000, metadata={"k": "v"})

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.create_conversation(conversation("c"))
        assert await store.items("ann", "c") == ()
        assert await store.update_conversation("ann", "c", {"k": "v"}) == changed
        assert await store.conversation("ann", "c") == changed
        assert await store.add_items("ann", "c", [item("i")])
        assert await store.delete_conversation("ann", "c")
        assert await store.items("ann", "c") is None
        assert not await store.add_items("ann", "c", [item("i")])
        await store.create_conversation(conversation("c"))
        assert await store.items("ann", "c") == ()

    play(scene)


def test_items_keep_their_order(play: Play) -> None:
    """Items come in the order of adding; one that is added again keeps its place."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.create_conversation(conversation("c"), [item("z"), item("a")])
        await store.add_items("ann", "c", [item("m"), item("b"), item("a", "new"), item("b", "2")])
        assert await item_ids(store, "c") == ["z", "a", "m", "b"]
        assert await store.item("ann", "c", "a") == item("a", "new")
        assert await store.item("ann", "c", "b") == item("b", "2")
        assert await store.delete_item("ann", "c", "m")
        assert not await store.delete_item("ann", "c", "m")
        assert await store.item("ann", "c", "m") is None
        await store.add_items("ann", "c", [item("m")])
        await store.add_items("ann", "c", [])
        assert await item_ids(store, "c") == ["z", "a", "b", "m"]

    play(scene)


def test_save_adds_to_the_conversation(play: Play) -> None:
    """A response and its items are stored together; a lost conversation does not stop it."""
    within = replace(response("a"), conversation_id="c")

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.create_conversation(conversation("c"), [item("i")])
        await store.save(within, [item("j"), item("k")])
        assert await item_ids(store, "c") == ["i", "j", "k"]
        await store.delete_conversation("ann", "c")
        await store.save(replace(within, id="b"), [item("l")])
        assert await store.items("ann", "c") is None
        assert await ids(store, "a", "b") == "ab"

    play(scene)


@pytest.mark.parametrize("bad", [{}, {"id": 5}, {"id": ""}, {"id": "x" * 256}])
def test_items_need_an_id(play: Play, bad: dict[str, object]) -> None:
    """An item without a usable id is refused by its place, and nothing is written."""

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.create_conversation(conversation("c"))
        with pytest.raises(LingmaError) as caught:
            await store.add_items("ann", "c", [item("i"), bad])
        assert caught.value.kind is ErrorKind.INVALID_REQUEST
        assert caught.value.param == "items[1].id"
        with pytest.raises(LingmaError):
            await store.save(replace(response("a"), conversation_id="c"), [bad])
        assert await store.items("ann", "c") == ()
        assert await store.response("ann", "a") is None

    play(scene)


def test_concurrent_saves_all_arrive(play: Play) -> None:
    """Many tasks at once lose nothing, in one conversation either."""
    names = [f"r{number}" for number in range(50)]

    async def scene(store: ResponseStore, _: Clock) -> None:
        await store.create_conversation(conversation("c"))
        async with asyncio.TaskGroup() as group:
            for name in names:
                within = replace(response(name), conversation_id="c")
                group.create_task(store.save(within, [item(name)]))
        assert await ids(store, *names) == "".join(names)
        assert sorted(map(str, await item_ids(store, "c") or ())) == sorted(names)

    play(scene)
