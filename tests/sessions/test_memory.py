"""What only the stores without a disk do; the rest is tested for every kind."""

from __future__ import annotations

import asyncio

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.sessions.memory import MemoryStore, NoStore
from tests.support.stores import ROOMY, Clock, conversation, item, opened, response


def test_no_store_finds_nothing() -> None:
    """The store that is none takes everything and knows nothing."""

    async def main() -> None:
        async with opened(NoStore()) as store:
            await store.save(response("a", text="x" * 10_000), [item("i")])
            await store.create_conversation(conversation("c"), [item("i")])
            assert await store.response("ann", "a") is None
            assert await store.chain("ann", "a") is None
            assert not await store.delete_response("ann", "a")
            assert await store.conversation("ann", "c") is None
            assert await store.update_conversation("ann", "c", {}) is None
            assert not await store.add_items("ann", "c", [item("j")])
            assert await store.items("ann", "c") is None
            assert await store.item("ann", "c", "i") is None
            assert not await store.delete_item("ann", "c", "i")
            assert await store.conversations("ann") == ()
            assert not await store.clear_conversation("ann", "c")
            assert await store.delete_idle_conversations("ann", 0) == 0
            assert not await store.delete_conversation("ann", "c")

    asyncio.run(main())


def test_no_store_still_wants_ids() -> None:
    """What is wrong with a request does not depend on the kind of store."""
    with pytest.raises(LingmaError) as caught:
        asyncio.run(NoStore().add_items("ann", "c", [{}]))
    assert caught.value.kind is ErrorKind.INVALID_REQUEST


def test_memory_ends_with_the_store() -> None:
    """A closed store has forgotten everything."""

    async def main() -> None:
        store = MemoryStore(ROOMY, Clock())
        async with opened(store):
            await store.save(response("a"))
        assert await store.response("ann", "a") is None

    asyncio.run(main())
