"""Stored conversations around an exchange: read before it, added to once it has ended well.

What is added is written in one step, before the answer's end is told to anybody. Of requests that
go on with one conversation at a time each sees what was there when it began, and adds its own turn
as a whole when it ends.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Collector
from lingma_cli.core.ids import NewId
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.exchange import Exchange
from lingma_cli.protocols import openai_chat_session
from lingma_cli.protocols.openai_responses_input import stored_items
from lingma_cli.server.exchange_response import Remember
from lingma_cli.sessions.stored import Json, ResponseStore

_log: Final = logging.getLogger(__name__)

Opening = AbstractAsyncContextManager[Exchange]


async def history_of(
    store: ResponseStore | None, owner: str, conversation_id: str, param: str
) -> Sequence[Json]:
    """Return the items of a conversation that a request goes on with.

    Raises:
        LingmaError: the owner has none of this id; `param` is where the request names it.
    """
    found = await store.items(owner, conversation_id) if store is not None else None
    if found is None:
        raise unknown(conversation_id, param)
    return found


async def kept(write: Awaitable[object], exchange: Exchange | None) -> None:
    """Finish `write`; a failure becomes a note, as the answer is good and its client waits."""
    try:
        await write
    except LingmaError as error:
        _log.warning("an answer could not be stored: %s", error)
        if exchange is not None:
            exchange.remark(Note(code=NoteCode.NOT_STORED, text=error.message))


def unknown(id_: str, param: str | None = None) -> LingmaError:
    """Return the error for an id under which this caller has nothing."""
    return LingmaError(
        ErrorKind.NOT_FOUND, f"nothing is stored under `{id_[:100]}` for this key", param=param
    )


def not_kept(param: str | None = None) -> LingmaError:
    """Return the error for wanting a session where nothing is stored."""
    return LingmaError(
        ErrorKind.INVALID_REQUEST,
        "this server stores nothing, so it has no sessions",
        hint="start it with `--response-store sqlite` or `--response-store memory`",
        param=param,
    )


class Turn:
    """A request that stands by itself.

    Attributes:
        request: what the gateway is asked.
        remember: what is done with the whole answer before its end is told, if anything.
    """

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self.remember: Remember | None = None

    def within(self, opening: Opening) -> Opening:
        """Return what opens the turn's exchange."""
        return opening


class _SessionTurn(Turn):
    """A request that goes on with a stored conversation."""

    def __init__(
        self, asked: ChatRequest, history: Sequence[Json], key: tuple[str, str], threads: Threads
    ) -> None:
        super().__init__(openai_chat_session.after(asked, history))
        self.remember = self._remember
        self._asked = asked
        self._is_first = not history
        self._key = key
        self._threads = threads
        self._began = threads.now()
        self._exchange: Exchange | None = None

    def within(self, opening: Opening) -> Opening:
        return self._watched(opening)

    @asynccontextmanager
    async def _watched(self, opening: Opening) -> AsyncIterator[Exchange]:
        async with opening as exchange:
            self._exchange = exchange
            yield exchange

    async def _remember(self, answer: Collector) -> None:
        if answer.error is not None:
            return
        asked, said = openai_chat_session.added(self._asked, answer, is_first=self._is_first)
        items = [*_dated(asked, self._began), *_dated(said, self._threads.now())]
        await kept(self._threads.add(*self._key, items), self._exchange)


class Threads:
    """Begins the turns of chat requests.

    Args:
        store: where conversations are kept; `None` keeps none.
        new_id: makes ids of items.
        wall_clock: seconds since the epoch.
    """

    def __init__(
        self, store: ResponseStore | None, *, new_id: NewId, wall_clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._new_id = new_id
        self._wall_clock = wall_clock

    async def turn(self, asked: ChatRequest, owner: str) -> Turn:
        """Return the turn that `asked` is, after what is stored of its session if it names one.

        Raises:
            LingmaError: there is no such session, or there can be none.
        """
        session_id = asked.thread.conversation_id if asked.thread is not None else None
        if session_id is None:
            return Turn(asked)
        if self._store is None:
            raise not_kept("session_id")
        history = await history_of(self._store, owner, session_id, "session_id")
        return _SessionTurn(asked, history, (owner, session_id), self)

    async def add(self, owner: str, session_id: str, items: Sequence[Json]) -> None:
        """Add to a session.

        Raises:
            LingmaError: it is gone, or has become too large, or the store failed.
        """
        added = stored_items(items, self._new_id)
        if self._store is None or not await self._store.add_items(owner, session_id, added):
            raise unknown(session_id)

    def now(self) -> int:
        """Return the time in seconds since 1970."""
        return int(self._wall_clock())


def _dated(items: Sequence[Json], moment: int) -> list[Json]:
    return [{**item, "created_at": moment} for item in items]
