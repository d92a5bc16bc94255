"""Stores that leave nothing on disk: one that forgets at the end, one that never knew."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from lingma_cli.sessions.stored import (
    MAX_CHAIN,
    Json,
    Limits,
    ListedConversation,
    StoredConversation,
    StoredResponse,
    chain_too_long,
    items_by_id,
    milliseconds,
    object_from,
    objects_from,
    text_size,
    to_json,
)

# Kind, owner, id.
_Key = tuple[str, str, str]
_RESPONSE: Final = "response"
_CONVERSATION: Final = "conversation"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A response or a conversation; `body` is the response object or the metadata, as JSON."""

    created: int
    written: int
    body: str
    input_items: str = ""
    previous_id: str | None = None
    conversation_id: str | None = None
    items: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return text_size(self.body, self.input_items, *self.items.values())


class MemoryStore:
    """A `ResponseStore` for as long as this object lives.

    It keeps JSON text, so that what it returns is nobody else's object.

    Args:
        limits: how much is kept.
        clock: seconds since 1970.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        # In the order of their last writes, with their bytes.
        self._entries: dict[_Key, tuple[_Entry, int]] = {}
        self._size = 0

    async def open(self) -> None:
        """Do nothing: memory is ready."""

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._size = 0

    async def save(self, response: StoredResponse, conversation_items: Sequence[Json] = ()) -> None:
        """Store `response` and what it adds to its conversation."""
        writes = {}
        added = items_by_id(conversation_items)
        key = (_CONVERSATION, response.owner, response.conversation_id or "")
        conversation = self._find(key) if added else None
        # Before the response, which is what has to stay if there is no room for both.
        if conversation is not None:
            writes[key] = self._extended(conversation, added)
        writes[_RESPONSE, response.owner, response.id] = _Entry(
            created=response.created,
            written=self._now(),
            body=to_json(response.body),
            input_items=to_json(response.input_items),
            previous_id=response.previous_id,
            conversation_id=response.conversation_id,
        )
        self._write(writes)

    async def response(self, owner: str, response_id: str) -> StoredResponse | None:
        """Return one response."""
        entry = self._find((_RESPONSE, owner, response_id))
        return None if entry is None else _response(owner, response_id, entry)

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """Remove a response."""
        return self._remove((_RESPONSE, owner, response_id))

    async def chain(self, owner: str, response_id: str) -> tuple[StoredResponse, ...] | None:
        """Return a response and all before it, oldest first."""
        links: list[StoredResponse] = []
        next_id: str | None = response_id
        while next_id is not None:
            entry = self._find((_RESPONSE, owner, next_id))
            if entry is None:
                return None
            if len(links) == MAX_CHAIN:
                raise chain_too_long()
            links.append(_response(owner, next_id, entry))
            next_id = entry.previous_id
        return tuple(reversed(links))

    async def create_conversation(
        self, conversation: StoredConversation, items: Sequence[Json] = ()
    ) -> None:
        """Store a new conversation."""
        entry = _Entry(
            created=conversation.created,
            written=self._now(),
            body=to_json(conversation.metadata),
            items=items_by_id(items),
        )
        self._write({(_CONVERSATION, conversation.owner, conversation.id): entry})

    async def conversation(self, owner: str, conversation_id: str) -> StoredConversation | None:
        """Return one conversation."""
        entry = self._find((_CONVERSATION, owner, conversation_id))
        return None if entry is None else _conversation(owner, conversation_id, entry)

    async def conversations(
        self, owner: str, conversation_id: str | None = None
    ) -> tuple[ListedConversation, ...]:
        """Return all of an owner's conversations, or that one."""
        return tuple(
            ListedConversation(
                conversation=_conversation(owner, entry_id, entry),
                last_active=entry.written / 1000,
                item_count=len(entry.items),
            )
            for entry_id, entry in reversed(self._conversations_of(owner))
            if conversation_id in (None, entry_id)
        )

    async def update_conversation(
        self, owner: str, conversation_id: str, metadata: Json
    ) -> StoredConversation | None:
        """Replace the metadata."""
        key = (_CONVERSATION, owner, conversation_id)
        entry = self._find(key)
        if entry is None:
            return None
        changed = replace(entry, body=to_json(metadata), written=self._now())
        self._write({key: changed})
        return _conversation(owner, conversation_id, changed)

    async def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove a conversation and its items."""
        return self._remove((_CONVERSATION, owner, conversation_id))

    async def delete_idle_conversations(self, owner: str, seconds: float) -> int:
        """Remove those not written for so long."""
        latest = self._now() - milliseconds(seconds)
        found = self._conversations_of(owner)
        idle = [entry_id for entry_id, entry in found if entry.written <= latest]
        for entry_id in idle:
            self._drop((_CONVERSATION, owner, entry_id))
        return len(idle)

    async def clear_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove all items."""
        key = (_CONVERSATION, owner, conversation_id)
        entry = self._find(key)
        if entry is None:
            return False
        self._write({key: replace(entry, items={}, written=self._now())})
        return True

    async def items(self, owner: str, conversation_id: str) -> tuple[Json, ...] | None:
        """Return the items, the first one added first."""
        entry = self._find((_CONVERSATION, owner, conversation_id))
        return None if entry is None else tuple(map(object_from, entry.items.values()))

    async def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> bool:
        """Add or replace items."""
        added = items_by_id(items)
        key = (_CONVERSATION, owner, conversation_id)
        entry = self._find(key)
        if entry is None:
            return False
        if added:
            self._write({key: self._extended(entry, added)})
        return True

    async def item(self, owner: str, conversation_id: str, item_id: str) -> Json | None:
        """Return one item."""
        entry = self._find((_CONVERSATION, owner, conversation_id))
        text = None if entry is None else entry.items.get(item_id)
        return None if text is None else object_from(text)

    async def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Remove an item."""
        key = (_CONVERSATION, owner, conversation_id)
        entry = self._find(key)
        if entry is None or item_id not in entry.items:
            return False
        others = {known: text for known, text in entry.items.items() if known != item_id}
        self._write({key: replace(entry, items=others, written=self._now())})
        return True

    def _now(self) -> int:
        return milliseconds(self._clock())

    def _find(self, key: _Key) -> _Entry | None:
        entry, _ = self._entries.get(key, (None, 0))
        if entry is None or entry.written <= self._limits.cutoff(self._clock()):
            return None
        return entry

    def _conversations_of(self, owner: str) -> list[tuple[str, _Entry]]:
        """Return what can be found, by id; the one written last comes last."""
        keys = [key for key in self._entries if key[:2] == (_CONVERSATION, owner)]
        found = ((key[2], self._find(key)) for key in keys)
        return [(entry_id, entry) for entry_id, entry in found if entry is not None]

    def _extended(self, conversation: _Entry, added: Mapping[str, str]) -> _Entry:
        both = {**conversation.items, **added}
        return replace(conversation, items=both, written=self._now())

    def _write(self, writes: Mapping[_Key, _Entry]) -> None:
        sizes = {key: entry.size for key, entry in writes.items()}
        for size in sizes.values():
            self._limits.check(size)
        for key, entry in writes.items():
            self._drop(key)
            self._entries[key] = (entry, sizes[key])
            self._size += sizes[key]
        surplus = self._limits.surplus(
            ((key, entry.written, size) for key, (entry, size) in self._entries.items()),
            entries=len(self._entries),
            size=self._size,
            cutoff=self._limits.cutoff(self._clock()),
        )
        for key in list(surplus):
            self._drop(key)

    def _remove(self, key: _Key) -> bool:
        was_there = self._find(key) is not None
        self._drop(key)
        return was_there

    def _drop(self, key: _Key) -> None:
        _, size = self._entries.pop(key, (None, 0))
        self._size -= size


class NoStore(MemoryStore):
    """The `ResponseStore` that saves nothing and finds nothing."""

    def __init__(self) -> None:
        # Whatever is written is above the limit at once.
        nothing = Limits(retention=0, max_bytes=sys.maxsize, max_entries=0)
        super().__init__(nothing, clock=lambda: 0.0)


def _response(owner: str, response_id: str, entry: _Entry) -> StoredResponse:
    return StoredResponse(
        id=response_id,
        owner=owner,
        created=entry.created,
        body=object_from(entry.body),
        input_items=objects_from(entry.input_items),
        previous_id=entry.previous_id,
        conversation_id=entry.conversation_id,
    )


def _conversation(owner: str, conversation_id: str, entry: _Entry) -> StoredConversation:
    return StoredConversation(
        id=conversation_id,
        owner=owner,
        created=entry.created,
        metadata=object_from(entry.body),
    )
