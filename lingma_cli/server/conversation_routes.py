"""`/v1/conversations`: conversations that responses are added to.

Source: OpenAI API reference, "Conversations" (create, retrieve, update, delete, and their items).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.protocols.fields import invalid
from lingma_cli.protocols.openai_responses_input import normalised, read_items, stored_items
from lingma_cli.server.bodies import read_object
from lingma_cli.server.doors import caller_of
from lingma_cli.server.house import House
from lingma_cli.server.pages import page_of
from lingma_cli.server.replies import json_app
from lingma_cli.server.threads import unknown
from lingma_cli.sessions.stored import Json, ResponseStore, StoredConversation


class ConversationRoutes:
    """The handlers of `/v1/conversations` and what lies below it.

    Args:
        house: what every handler needs.
        store: where conversations are kept.
    """

    def __init__(self, house: House, store: ResponseStore) -> None:
        self._house = house
        self._store = store

    async def create(self, request: Request) -> ASGIApp:
        """Begin a conversation, perhaps with items."""
        body = await read_object(request, self._house.body_limit)
        conversation = StoredConversation(
            id=f"conv_{self._house.new_id()}",
            owner=caller_of(request),
            created=int(self._house.wall_clock()),
            metadata=_metadata(body),
        )
        await self._store.create_conversation(conversation, self._items(body))
        return json_app(_shown(conversation))

    async def get(self, request: Request) -> ASGIApp:
        """Return one conversation."""
        found = await self._store.conversation(*_key(request))
        return json_app(_shown(_found(found, request)))

    async def update(self, request: Request) -> ASGIApp:
        """Replace the metadata of a conversation."""
        metadata = _metadata(await read_object(request, self._house.body_limit))
        found = await self._store.update_conversation(*_key(request), metadata)
        return json_app(_shown(_found(found, request)))

    async def delete(self, request: Request) -> ASGIApp:
        """Forget a conversation; its responses stay."""
        owner, conversation_id = _key(request)
        if not await self._store.delete_conversation(owner, conversation_id):
            raise unknown(conversation_id)
        return json_app({"id": conversation_id, "object": "conversation.deleted", "deleted": True})

    async def items(self, request: Request) -> ASGIApp:
        """List the items of a conversation."""
        found = await self._store.items(*_key(request))
        return json_app(page_of(_found(found, request), request.query_params))

    async def add_items(self, request: Request) -> ASGIApp:
        """Add items to a conversation."""
        items = self._items(await read_object(request, self._house.body_limit))
        if not items:
            raise invalid("at least one item is needed", param="items")
        owner, conversation_id = _key(request)
        if not await self._store.add_items(owner, conversation_id, items):
            raise unknown(conversation_id)
        return json_app(page_of(items, {"order": "asc", "limit": "100"}))

    async def item(self, request: Request) -> ASGIApp:
        """Return one item."""
        item_id = request.path_params["item_id"]
        found = await self._store.item(*_key(request), item_id)
        if found is None:
            raise unknown(item_id)
        return json_app(found)

    async def delete_item(self, request: Request) -> ASGIApp:
        """Remove one item; the conversation as it is then is the answer."""
        item_id = request.path_params["item_id"]
        if not await self._store.delete_item(*_key(request), item_id):
            raise unknown(item_id)
        return await self.get(request)

    def _items(self, body: Mapping[str, Any]) -> Sequence[Json]:
        items = [] if body.get("items") is None else body["items"]
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise invalid("must be a list of items", param="items")
        wanted = normalised(items)
        # A malformed item is refused now, not by every later turn.
        read_items(wanted, ())
        return stored_items(wanted, self._house.new_id)


def _key(request: Request) -> tuple[str, str]:
    return caller_of(request), request.path_params["conversation_id"]


def _metadata(body: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = {} if body.get("metadata") is None else body["metadata"]
    if not isinstance(metadata, dict):
        raise invalid("must be an object", param="metadata")
    return metadata


def _shown(conversation: StoredConversation) -> Mapping[str, Any]:
    return {
        "id": conversation.id,
        "object": "conversation",
        "created_at": conversation.created,
        "metadata": conversation.metadata,
    }


T = TypeVar("T")


def _found(found: T | None, request: Request) -> T:
    if found is None:
        raise unknown(request.path_params["conversation_id"])
    return found
