"""The store as the rest of the program sees it, and the thread in which all its SQL runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.sessions.sql.database import Database
from lingma_cli.sessions.sql.tables import CONVERSATION, RESPONSE, Tables
from lingma_cli.sessions.stored import (
    Json,
    Limits,
    ListedConversation,
    StoredConversation,
    StoredResponse,
    items_by_id,
    text_size,
    to_json,
)

_Result = TypeVar("_Result")


class SqlStore:
    """A `ResponseStore` in a database; what a call has written survives the end of the process.

    The file of an SQLite database is made for the user alone and refused if others may open it.

    Args:
        url: as SQLAlchemy writes it; `sqlite_url` makes one.
        limits: how much is kept.
        clock: seconds since 1970.
        patience: seconds to wait for another program that locks an SQLite database.

    Raises:
        LingmaError: the URL names no kind of database that can be used here.
    """

    def __init__(
        self, url: str, limits: Limits, clock: Callable[[], float], *, patience: float = 5.0
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._database = Database(url, patience)
        # One thread: calls run in their order, and SQLite has but one writer anyway.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    async def open(self) -> None:
        """Make or check the tables; without it the first other call does so."""
        await self._read(lambda _: None)

    async def close(self) -> None:
        """Finish what is under way and let go of the database."""
        try:
            job = self._worker.submit(self._database.close)
        except RuntimeError:
            return
        self._worker.shutdown(wait=False)
        await _finished(job)

    async def save(self, response: StoredResponse, conversation_items: Sequence[Json] = ()) -> None:
        """Store `response` and what it adds to its conversation."""
        body, input_items = to_json(response.body), to_json(response.input_items)
        added = items_by_id(conversation_items)

        def work(tables: Tables) -> None:
            # Before the response, which is what has to stay if there is no room for both.
            if added and response.conversation_id is not None:
                tables.add_items(response.owner, response.conversation_id, added)
            tables.put(
                owner=response.owner,
                kind=RESPONSE,
                id=response.id,
                size=text_size(body, input_items),
                created=response.created,
                previous_id=response.previous_id,
                conversation_id=response.conversation_id,
                body=body,
                input_items=input_items,
            )

        await self._write(work)

    async def response(self, owner: str, response_id: str) -> StoredResponse | None:
        """Return one response."""
        return await self._read(lambda tables: tables.response(owner, response_id))

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """Remove a response."""
        return await self._write(lambda tables: tables.remove(owner, RESPONSE, response_id))

    async def chain(self, owner: str, response_id: str) -> tuple[StoredResponse, ...] | None:
        """Return a response and all before it, oldest first."""
        return await self._read(lambda tables: tables.chain(owner, response_id))

    async def create_conversation(
        self, conversation: StoredConversation, items: Sequence[Json] = ()
    ) -> None:
        """Store a new conversation."""
        body, added = to_json(conversation.metadata), items_by_id(items)

        def work(tables: Tables) -> None:
            tables.put(
                owner=conversation.owner,
                kind=CONVERSATION,
                id=conversation.id,
                size=text_size(body),
                created=conversation.created,
                body=body,
            )
            tables.add_items(conversation.owner, conversation.id, added)

        await self._write(work)

    async def conversation(self, owner: str, conversation_id: str) -> StoredConversation | None:
        """Return one conversation."""
        return await self._read(lambda tables: tables.conversation(owner, conversation_id))

    async def conversations(
        self, owner: str, conversation_id: str | None = None
    ) -> tuple[ListedConversation, ...]:
        """Return all of an owner's conversations, or that one."""
        return await self._read(lambda tables: tables.conversations(owner, conversation_id))

    async def update_conversation(
        self, owner: str, conversation_id: str, metadata: Json
    ) -> StoredConversation | None:
        """Replace the metadata."""
        body = to_json(metadata)
        return await self._write(lambda tables: tables.update(owner, conversation_id, body))

    async def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove a conversation and its items."""
        return await self._write(lambda tables: tables.remove(owner, CONVERSATION, conversation_id))

    async def delete_idle_conversations(self, owner: str, seconds: float) -> int:
        """Remove those not written for so long."""
        return await self._write(lambda tables: tables.remove_idle(owner, seconds))

    async def clear_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove all items."""
        return await self._write(lambda tables: tables.clear(owner, conversation_id))

    async def items(self, owner: str, conversation_id: str) -> tuple[Json, ...] | None:
        """Return the items, the first one added first."""
        return await self._read(lambda tables: tables.items(owner, conversation_id))

    async def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> bool:
        """Add or replace items."""
        added = items_by_id(items)
        return await self._write(lambda tables: tables.add_items(owner, conversation_id, added))

    async def item(self, owner: str, conversation_id: str, item_id: str) -> Json | None:
        """Return one item."""
        return await self._read(lambda tables: tables.item(owner, conversation_id, item_id))

    async def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Remove an item."""
        return await self._write(lambda tables: tables.delete_item(owner, conversation_id, item_id))

    async def _read(self, work: Callable[[Tables], _Result]) -> _Result:
        return await self._run(work, reads=True)

    async def _write(self, work: Callable[[Tables], _Result]) -> _Result:
        def pruned(tables: Tables) -> _Result:
            result = work(tables)
            tables.prune()
            return result

        return await self._run(pruned, reads=False)

    async def _run(self, work: Callable[[Tables], _Result], *, reads: bool) -> _Result:
        now = self._clock()

        def job() -> _Result:
            return self._database.transaction(
                lambda connection: work(Tables(connection, self._limits, now)), reads=reads
            )

        try:
            future = self._worker.submit(job)
        except RuntimeError as error:
            raise LingmaError(ErrorKind.SHUTTING_DOWN, "the store is closed") from error
        return await _finished(future)


async def _finished(future: Future[_Result]) -> _Result:
    # A caller that is cancelled leaves at once; its job runs all the same.
    return await asyncio.shield(asyncio.wrap_future(future))
