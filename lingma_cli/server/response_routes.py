"""`/v1/responses`: answers that are remembered, continued, looked at, cancelled and deleted.

Source: OpenAI API reference, "Responses" (create, get, delete, cancel, list input items).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.core.chat import ChatRequest, Thread
from lingma_cli.core.collect import Collector
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.exchange import Exchange
from lingma_cli.protocols import openai_responses
from lingma_cli.protocols.openai_responses_input import continued, references, stored_items
from lingma_cli.protocols.openai_responses_object import (
    Status,
    response_object,
    response_of,
    status_of,
)
from lingma_cli.server.bodies import read_body
from lingma_cli.server.doors import caller_of
from lingma_cli.server.exchange_response import Envelope, ExchangeResponse
from lingma_cli.server.house import House
from lingma_cli.server.pages import page_of
from lingma_cli.server.replies import json_app
from lingma_cli.server.threads import history_of, kept, unknown
from lingma_cli.sessions.stored import Json, ResponseStore, StoredResponse

# A cancel waits so long for the end, which a client that does not read can hold up.
_END_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A response under way; `created` is seconds since the epoch.

    `ended` becomes its answer once that is stored, or `None` if nobody waited for its end.
    """

    exchange: Exchange
    asked: ChatRequest
    created: int
    ended: asyncio.Future[Collector | None]


class ResponseRoutes:
    """The handlers of `/v1/responses` and what lies below it.

    Args:
        house: what every handler needs.
        store: where responses are kept; `None` keeps none.
    """

    def __init__(self, house: House, store: ResponseStore | None) -> None:
        self._house = house
        self._store = store
        self._running: dict[tuple[str, str], _Running] = {}

    async def create(self, request: Request) -> ASGIApp:
        """Answer, going on from what is stored and storing what comes of it."""
        house, owner = self._house, caller_of(request)
        body = await read_body(request.scope, request.receive, house.body_limit)
        asked = await self._continued(openai_responses.parse(body), owner)
        response_id, created = house.new_id(), int(house.wall_clock())
        key = (owner, f"resp_{response_id}")

        @asynccontextmanager
        async def opened() -> AsyncIterator[Exchange]:
            async with house.gateway.open(
                asked,
                request_id=request.scope["state"]["request_id"],
                protocol=openai_responses.NAME,
                caller=owner,
                headers=request.headers,
            ) as exchange:
                ended = asyncio.get_running_loop().create_future()
                self._running[key] = _Running(
                    exchange=exchange, asked=asked, created=created, ended=ended
                )
                try:
                    yield exchange
                finally:
                    del self._running[key]
                    if not ended.done():
                        ended.set_result(None)

        async def remember(answer: Collector) -> None:
            if answer.error is None or asked.stream:
                await self._remember(asked, answer, owner, response_id, created)
            self._running[key].ended.set_result(answer)

        envelope = Envelope(
            protocol=openai_responses.PROTOCOL,
            request=asked,
            response_id=response_id,
            created=created,
            remember=remember,
        )
        return ExchangeResponse(opened, envelope, house.patience)

    async def get(self, request: Request) -> ASGIApp:
        """Return a stored response."""
        return json_app((await self._stored(request)).body)

    async def delete(self, request: Request) -> ASGIApp:
        """Forget a stored response."""
        owner, response_id = self._key(request)
        if self._store is None or not await self._store.delete_response(owner, response_id):
            raise unknown(response_id)
        return json_app({"id": response_id, "object": "response", "deleted": True})

    async def cancel(self, request: Request) -> ASGIApp:
        """Stop a response under way, and return what became of it; so too one that has ended."""
        owner, response_id = self._key(request)
        running = self._running.get((owner, response_id))
        if running is None:
            return json_app((await self._stored(request)).body)
        running.exchange.abort(LingmaError(ErrorKind.CANCELLED, "the response was cancelled"))
        # The end may have come first, and what is told here is what is stored.
        await asyncio.wait([running.ended], timeout=_END_SECONDS)
        answer = running.ended.result() if running.ended.done() else None
        body = response_object(
            running.asked,
            answer,
            response_id=response_id.removeprefix("resp_"),
            created=running.created,
            status=Status.CANCELLED if answer is None else status_of(answer),
        )
        return json_app(body)

    async def input_items(self, request: Request) -> ASGIApp:
        """List what a response was an answer to, the turns before it included."""
        owner, response_id = self._key(request)
        chain = await self._store.chain(owner, response_id) if self._store else None
        if chain is None:
            raise unknown(response_id)
        items = [*_history(chain[:-1]), *chain[-1].input_items]
        return json_app(page_of(items, request.query_params))

    # continuation

    async def _continued(self, asked: ChatRequest, owner: str) -> ChatRequest:
        """Return `asked` after everything that is stored of its conversation."""
        thread = asked.thread or Thread()
        history: Sequence[Json] = ()
        if thread.previous_id is not None:
            chain = await self._store.chain(owner, thread.previous_id) if self._store else None
            if chain is None:
                raise unknown(thread.previous_id, "previous_response_id")
            history = _history(chain)
        elif thread.conversation_id is not None:
            history = await history_of(self._store, owner, thread.conversation_id, "conversation")
        known = {item.get("id") for item in history}
        wanted = [item_id for item_id in references(asked) if item_id not in known]
        referenced = {item_id: await self._item(owner, item_id) for item_id in wanted}
        asked = continued(
            asked, history, {key: item for key, item in referenced.items() if item is not None}
        )
        if self._store is None and asked.thread is not None and asked.thread.store:
            asked = replace(
                asked,
                thread=replace(asked.thread, store=False),
                notes=(*asked.notes, Note.of(NoteCode.NOT_STORED)),
            )
        return asked

    async def _item(self, owner: str, item_id: str) -> Json | None:
        """Find an item of a stored answer by its id, which names the response."""
        response_id = response_of(item_id)
        if self._store is None or response_id is None:
            return None
        found = await self._store.response(owner, response_id)
        output: Any = found.body.get("output", ()) if found is not None else ()
        return next((item for item in output if item.get("id") == item_id), None)

    async def _remember(
        self, asked: ChatRequest, answer: Collector, owner: str, response_id: str, created: int
    ) -> None:
        """Store a whole answer, before its end is told to anybody."""
        thread, store = asked.thread, self._store
        if thread is None or store is None:
            return
        body = response_object(
            asked, answer, response_id=response_id, created=created, status=status_of(answer)
        )
        items = stored_items(thread.items, self._house.new_id)
        added = [*items, *body["output"]] if thread.conversation_id and not answer.error else []
        running = self._running.get((owner, body["id"]))
        exchange = running.exchange if running is not None else None
        if thread.store:
            stored = StoredResponse(
                id=body["id"],
                owner=owner,
                created=created,
                body=body,
                input_items=items,
                previous_id=thread.previous_id,
                conversation_id=thread.conversation_id,
            )
            await kept(store.save(stored, added), exchange)
        elif thread.conversation_id:
            await kept(store.add_items(owner, thread.conversation_id, added), exchange)

    def _key(self, request: Request) -> tuple[str, str]:
        return caller_of(request), request.path_params["response_id"]

    async def _stored(self, request: Request) -> StoredResponse:
        owner, response_id = self._key(request)
        found = await self._store.response(owner, response_id) if self._store else None
        if found is None:
            raise unknown(response_id)
        return found


def _history(chain: Sequence[StoredResponse]) -> list[Mapping[str, Any]]:
    """Return the items of stored turns, each turn's input before its output."""
    items: list[Mapping[str, Any]] = []
    for stored in chain:
        output: Any = stored.body.get("output", ())
        items += [*stored.input_items, *output]
    return items
