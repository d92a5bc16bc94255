"""Stores of every kind, a clock that stands still, and things to store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lingma_cli.sessions.memory import MemoryStore
from lingma_cli.sessions.sql import SqlStore, sqlite_url
from lingma_cli.sessions.stored import (
    Json,
    Limits,
    ResponseStore,
    StoredConversation,
    StoredResponse,
)

Play = Callable[..., None]
"""Runs a scene on a fresh store, with limits of its own if it wants them."""

ROOMY: Final = Limits(retention=1000, max_bytes=1_000_000, max_entries=10_000)


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


Scene = Callable[[ResponseStore, Clock], Awaitable[None]]
OpenStore = Callable[[Path, Limits, Callable[[], float]], ResponseStore]

STORES: Final[Mapping[str, OpenStore]] = MappingProxyType(
    {
        "memory": lambda _, limits, clock: MemoryStore(limits, clock),
        "sqlite": lambda folder, limits, clock: SqlStore(
            sqlite_url(folder / "responses.db"), limits, clock
        ),
        "sqlite in memory": lambda _, limits, clock: SqlStore("sqlite://", limits, clock),
    }
)


@asynccontextmanager
async def opened(store: ResponseStore) -> AsyncIterator[ResponseStore]:
    """Open `store` for this context."""
    try:
        await store.open()
        yield store
    finally:
        await store.close()


def response(
    response_id: str, previous_id: str | None = None, *, owner: str = "ann", text: str = "hello"
) -> StoredResponse:
    """Return a response with some text."""
    return StoredResponse(
        id=response_id,
        owner=owner,
        created=1_700_000_000,
        body={"id": response_id, "output": [{"type": "message", "text": text}]},
        input_items=({"type": "message", "role": "user", "content": "hi"},),
        previous_id=previous_id,
    )


def conversation(conversation_id: str, *, owner: str = "ann") -> StoredConversation:
    """Return a conversation about nothing."""
    return StoredConversation(
        id=conversation_id, owner=owner, created=1_700_000_000, metadata={"topic": "none"}
    )


def item(item_id: str, text: str = "hello") -> Json:
    """Return a message with an id."""
    return {"id": item_id, "type": "message", "content": [{"type": "input_text", "text": text}]}


async def ids(store: ResponseStore, *wanted: str, owner: str = "ann") -> str:
    """Return those of `wanted` that `owner` finds, as one text."""
    found = [await store.response(owner, name) for name in wanted]
    return "".join(one.id for one in found if one is not None)


async def item_ids(store: ResponseStore, conversation_id: str) -> list[object] | None:
    """Return the ids of a conversation's items."""
    items = await store.items("ann", conversation_id)
    return None if items is None else [one["id"] for one in items]
