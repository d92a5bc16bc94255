"""`/sessions`: the caller's stored conversations, as chats with a title.

A session is a conversation of `/v1/conversations` in another shape: same id, same items, and its
title stands in the metadata. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.core.chat import (
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.protocols.fields import invalid
from lingma_cli.protocols.openai_responses_input import read_items
from lingma_cli.server.bodies import read_object
from lingma_cli.server.doors import caller_of
from lingma_cli.server.engine_views import moment
from lingma_cli.server.house import House
from lingma_cli.server.replies import json_app
from lingma_cli.server.threads import not_kept, unknown
from lingma_cli.sessions.memory import NoStore
from lingma_cli.sessions.stored import Json, ListedConversation, ResponseStore, StoredConversation

MAX_TITLE: Final = 60
_UNTITLED: Final = "New Chat"
_IDLE_MINUTES: Final = "30"
# The last second of the year 9999.
_END_OF_TIME: Final = 253_402_300_799
_MINUTES: Final = re.compile(r"[0-9]{1,9}")


class SessionRoutes:
    """The handlers of `/sessions` and what lies below it.

    Args:
        house: what every handler needs.
        store: where conversations are kept; `None` keeps none.
    """

    def __init__(self, house: House, store: ResponseStore | None) -> None:
        self._house = house
        self._keeps = store is not None
        self._store = store if store is not None else NoStore()

    async def list(self, request: Request) -> ASGIApp:
        """List the caller's sessions, the one used last first."""
        listed = await self._store.conversations(caller_of(request))
        total = sum(one.item_count for one in listed)
        return json_app(
            {
                "sessions": [_row(one) for one in listed],
                "stats": {"total_sessions": len(listed), "total_messages": total},
            }
        )

    async def create(self, request: Request) -> ASGIApp:
        """Begin a session."""
        body = await read_object(request, self._house.body_limit)
        title = _UNTITLED if body.get("title") is None else _title(body)
        if not self._keeps:
            raise not_kept()
        session = StoredConversation(
            id=f"conv_{self._house.new_id()}",
            owner=caller_of(request),
            created=int(self._house.wall_clock()),
            metadata={"title": title or _UNTITLED},
        )
        await self._store.create_conversation(session)
        return await self._shown(session.owner, session.id)

    async def get(self, request: Request) -> ASGIApp:
        """Return one session with all its messages."""
        return await self._shown(*_key(request))

    async def delete(self, request: Request) -> ASGIApp:
        """Forget a session."""
        owner, session_id = _key(request)
        if not await self._store.delete_conversation(owner, session_id):
            raise unknown(session_id)
        return json_app({"status": "deleted", "session_id": session_id})

    async def clear(self, request: Request) -> ASGIApp:
        """Forget the messages of a session."""
        owner, session_id = _key(request)
        if not await self._store.clear_conversation(owner, session_id):
            raise unknown(session_id)
        return json_app({"status": "cleared", "session_id": session_id})

    async def rename(self, request: Request) -> ASGIApp:
        """Give a session another title."""
        owner, session_id = _key(request)
        title = _title(await read_object(request, self._house.body_limit))
        if not title:
            raise invalid("must not be empty", param="title")
        session = await self._store.conversation(owner, session_id)
        metadata = {**session.metadata, "title": title} if session is not None else {}
        if await self._store.update_conversation(owner, session_id, metadata) is None:
            raise unknown(session_id)
        return json_app({"status": "updated", "session_id": session_id, "title": title})

    async def cleanup(self, request: Request) -> ASGIApp:
        """Forget the caller's sessions that were not used for some minutes."""
        minutes = request.query_params.get("max_age_minutes", _IDLE_MINUTES)
        if not _MINUTES.fullmatch(minutes):
            raise invalid("must be a whole number of minutes", param="max_age_minutes")
        removed = await self._store.delete_idle_conversations(caller_of(request), int(minutes) * 60)
        return json_app({"status": "cleaned", "removed_sessions": removed})

    async def _shown(self, owner: str, session_id: str) -> ASGIApp:
        items = await self._store.items(owner, session_id)
        found = await self._store.conversations(owner, session_id)
        if items is None or not found:
            raise unknown(session_id)
        (listed,) = found
        return json_app(_whole(listed, items))


def _key(request: Request) -> tuple[str, str]:
    return caller_of(request), request.path_params["session_id"]


def _title(body: Mapping[str, Any]) -> str:
    title = body.get("title")
    if not isinstance(title, str):
        raise invalid("must be a text", param="title")
    return title.strip()[:MAX_TITLE].rstrip()


def _row(listed: ListedConversation) -> Mapping[str, Any]:
    session = listed.conversation
    return {
        "id": session.id,
        "title": _title_of(session),
        "created_at": moment(session.created),
        "last_active": moment(listed.last_active),
        "message_count": listed.item_count,
    }


def _whole(listed: ListedConversation, items: Sequence[Json]) -> Mapping[str, Any]:
    session = listed.conversation
    return {
        "id": session.id,
        "messages": [_message(item) for item in items],
        "created_at": moment(session.created),
        "last_active": moment(listed.last_active),
        "metadata": {**session.metadata, "title": _title_of(session)},
    }


def _title_of(session: StoredConversation) -> str:
    # Whoever began it as a conversation may have put anything there, or nothing.
    title = session.metadata.get("title")
    return title[:MAX_TITLE] if isinstance(title, str) and title else _UNTITLED


def _message(item: Json) -> Mapping[str, Any]:
    """Return an item as a message: calls are the assistant's, with what is called as metadata."""
    turns = read_items([item], ()).messages
    turn = turns[0] if turns else Message(role=Role.ASSISTANT, parts=())
    metadata: dict[str, Any] = {"id": item.get("id"), "type": item.get("type")}
    for part in turn.parts:
        metadata |= _details(part)
    return {
        "role": turn.role.value,
        "content": "".join(map(_text, turn.parts)),
        "timestamp": moment(created) if _is_time(created := item.get("created_at")) else None,
        "metadata": metadata,
    }


def _details(part: Part) -> Mapping[str, Any]:
    match part:
        case ToolUsePart(call_id=call_id, name=name, arguments=arguments):
            return {"call_id": call_id, "name": name, "arguments": arguments}
        case ToolOutputPart(call_id=call_id):
            return {"call_id": call_id}
        case _:
            return {}


def _text(part: Part) -> str:
    match part:
        case TextPart(text=text) | ReasoningPart(text=text) | ToolOutputPart(text=text):
            return text
        case MediaPart(kind=kind):
            return f"[{kind.value}]"
        case ToolUsePart():
            return ""


def _is_time(value: object) -> TypeGuard[int]:
    # Items may be a client's own, with anything in any field.
    return isinstance(value, int) and 0 <= value <= _END_OF_TIME
