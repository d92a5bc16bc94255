"""The tables and the statements on them, in words that every SQL database knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa

from lingma_cli.sessions.stored import (
    MAX_CHAIN,
    MAX_ID,
    Json,
    Limits,
    ListedConversation,
    StoredConversation,
    StoredResponse,
    chain_too_long,
    milliseconds,
    object_from,
    objects_from,
    text_size,
)

SCHEMA_VERSION: Final = 1
_PAGE: Final = 100
RESPONSE: Final = "response"
CONVERSATION: Final = "conversation"

metadata = sa.MetaData()
schema = sa.Table("lingma_schema", metadata, sa.Column("version", sa.Integer, primary_key=True))
# One row a response and one a conversation, so that both age and count alike. `body` is the
# response object or the metadata, `turn` the order of writes, `written` in milliseconds.
_entries = sa.Table(
    "lingma_entries",
    metadata,
    sa.Column("entry", sa.Integer, primary_key=True),
    sa.Column("owner", sa.String(MAX_ID), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("id", sa.String(MAX_ID), nullable=False),
    sa.Column("turn", sa.BigInteger, nullable=False),
    sa.Column("written", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("previous_id", sa.String(MAX_ID)),
    sa.Column("conversation_id", sa.String(MAX_ID)),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("input_items", sa.Text),
    sa.UniqueConstraint("owner", "kind", "id", name="lingma_entries_key"),
    # Holds all that pruning reads, so that it never touches the texts.
    sa.Index("lingma_entries_age", "turn", "written", "size"),
)
_items = sa.Table(
    "lingma_items",
    metadata,
    sa.Column("entry", sa.ForeignKey(_entries.c.entry, ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(MAX_ID), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.UniqueConstraint("entry", "id", name="lingma_items_key"),
)


class Tables:
    """What can be done within one transaction, at one moment."""

    def __init__(self, connection: sa.Connection, limits: Limits, now: float) -> None:
        self._connection = connection
        self._limits = limits
        self._now = milliseconds(now)
        self._cutoff = limits.cutoff(now)

    def response(self, owner: str, response_id: str) -> StoredResponse | None:
        """Return one response."""
        row = self._find(owner, RESPONSE, response_id)
        return None if row is None else _response(row)

    def conversation(self, owner: str, conversation_id: str) -> StoredConversation | None:
        """Return one conversation."""
        row = self._find(owner, CONVERSATION, conversation_id)
        return None if row is None else _conversation(row)

    def conversations(
        self, owner: str, conversation_id: str | None
    ) -> tuple[ListedConversation, ...]:
        """Return all of an owner's conversations, or that one, in one query."""
        wanted = [self._is_found(owner, CONVERSATION)]
        if conversation_id is not None:
            wanted.append(_entries.c.id == conversation_id)
        within = _items.c.entry == _entries.c.entry
        count = sa.select(sa.func.count()).where(within).scalar_subquery().label("item_count")
        query = sa.select(_entries, count).where(*wanted).order_by(_entries.c.turn.desc())
        return tuple(
            ListedConversation(
                conversation=_conversation(row),
                last_active=row.written / 1000,
                item_count=row.item_count,
            )
            for row in self._connection.execute(query)
        )

    def chain(self, owner: str, response_id: str) -> tuple[StoredResponse, ...] | None:
        """Return a response and all before it, in one query."""
        first = (
            sa.select(_entries.c.entry, _entries.c.previous_id, sa.literal(1).label("depth"))
            .where(self._is_found(owner, RESPONSE), _entries.c.id == response_id)
            .cte("links", recursive=True)
        )
        # One more than allowed, to see that there are more.
        earlier = sa.select(_entries.c.entry, _entries.c.previous_id, first.c.depth + 1).where(
            self._is_found(owner, RESPONSE),
            _entries.c.id == first.c.previous_id,
            first.c.depth <= MAX_CHAIN,
        )
        links = first.union_all(earlier)
        query = (
            sa.select(_entries)
            .join(links, links.c.entry == _entries.c.entry)
            .order_by(links.c.depth.desc())
        )
        rows = self._connection.execute(query).all()
        if len(rows) > MAX_CHAIN:
            raise chain_too_long()
        if not rows or rows[0].previous_id is not None:
            return None
        return tuple(_response(row) for row in rows)

    def items(self, owner: str, conversation_id: str) -> tuple[Json, ...] | None:
        """Return the items of a conversation in their order."""
        row = self._find(owner, CONVERSATION, conversation_id)
        if row is None:
            return None
        query = (
            sa.select(_items.c.body).where(_items.c.entry == row.entry).order_by(_items.c.position)
        )
        return tuple(map(object_from, self._connection.scalars(query)))

    def item(self, owner: str, conversation_id: str, item_id: str) -> Json | None:
        """Return one item."""
        row = self._find(owner, CONVERSATION, conversation_id)
        if row is None:
            return None
        text = self._connection.scalar(
            sa.select(_items.c.body).where(_items.c.entry == row.entry, _items.c.id == item_id)
        )
        return None if text is None else object_from(text)

    def put(self, **values: Any) -> None:
        """Write an entry in place of the one with its key; `values` are columns."""
        self._limits.check(values["size"])
        same = (_entries.c[name] == values[name] for name in ("owner", "kind", "id"))
        self._connection.execute(sa.delete(_entries).where(*same))
        stamp = {"turn": self._next_turn(), "written": self._now}
        self._connection.execute(sa.insert(_entries).values(**values, **stamp))

    def remove(self, owner: str, kind: str, entry_id: str) -> bool:
        """Remove an entry that can still be found; tell whether there was one."""
        found = (self._is_found(owner, kind), _entries.c.id == entry_id)
        return self._connection.execute(sa.delete(_entries).where(*found)).rowcount > 0

    def remove_idle(self, owner: str, seconds: float) -> int:
        """Remove the conversations not written for so long; return how many they were."""
        latest = self._now - milliseconds(seconds)
        idle = (self._is_found(owner, CONVERSATION), _entries.c.written <= latest)
        return self._connection.execute(sa.delete(_entries).where(*idle)).rowcount

    def clear(self, owner: str, conversation_id: str) -> bool:
        """Remove all items of a conversation; tell whether it exists."""
        row = self._find(owner, CONVERSATION, conversation_id)
        if row is None:
            return False
        self._connection.execute(sa.delete(_items).where(_items.c.entry == row.entry))
        self._touch(row, text_size(row.body) - row.size)
        return True

    def update(self, owner: str, conversation_id: str, body: str) -> StoredConversation | None:
        """Replace a conversation's metadata by the JSON text `body`."""
        row = self._find(owner, CONVERSATION, conversation_id)
        if row is None:
            return None
        growth = text_size(body) - text_size(row.body)
        self._limits.check(row.size + growth)
        self._touch(row, growth, body=body)
        return self.conversation(owner, conversation_id)

    def add_items(self, owner: str, conversation_id: str, added: Mapping[str, str]) -> bool:
        """Add or replace items, JSON text by id."""
        conversation = self._find(owner, CONVERSATION, conversation_id)
        if conversation is None:
            return False
        if added:
            self._add(conversation, added)
        return True

    def _add(self, conversation: sa.Row[Any], added: Mapping[str, str]) -> None:
        within = _items.c.entry == conversation.entry
        query = sa.select(_items.c.id, _items.c.position, _items.c.size).where(within)
        known = {row.id: row for row in self._connection.execute(query)}
        replaced = [known[item_id] for item_id in added if item_id in known]
        last = max((row.position for row in known.values()), default=0)
        rows = [
            {
                "entry": conversation.entry,
                "position": known[item_id].position if item_id in known else last + index,
                "id": item_id,
                "size": text_size(text),
                "body": text,
            }
            for index, (item_id, text) in enumerate(added.items(), start=1)
        ]
        if replaced:
            one = sa.delete(_items).where(within, _items.c.id == sa.bindparam("item"))
            self._connection.execute(one, [{"item": row.id} for row in replaced])
        self._connection.execute(sa.insert(_items), rows)
        growth = sum(row["size"] for row in rows) - sum(row.size for row in replaced)
        self._limits.check(conversation.size + growth)
        self._touch(conversation, growth)

    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Remove an item; tell whether it was there."""
        conversation = self._find(owner, CONVERSATION, conversation_id)
        if conversation is None:
            return False
        item = (_items.c.entry == conversation.entry, _items.c.id == item_id)
        size = self._connection.scalar(sa.select(_items.c.size).where(*item))
        if size is None:
            return False
        self._connection.execute(sa.delete(_items).where(*item))
        self._touch(conversation, -size)
        return True

    def prune(self) -> None:
        """Remove what `Limits` says has to go."""
        totals = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_entries.c.size), 0))
        entries, size = self._connection.execute(totals.select_from(_entries)).one()
        gone = self._limits.surplus(self._oldest(), entries=entries, size=size, cutoff=self._cutoff)
        last = max(gone, default=None)
        if last is not None:
            self._connection.execute(sa.delete(_entries).where(_entries.c.turn <= last))

    def _oldest(self) -> Iterator[tuple[int, int, int]]:
        age = (_entries.c.turn, _entries.c.written, _entries.c.size)
        seen = 0
        while page := self._connection.execute(
            sa.select(*age).where(_entries.c.turn > seen).order_by(_entries.c.turn).limit(_PAGE)
        ).all():
            for turn, written, size in page:
                yield turn, written, size
                seen = turn

    def _is_found(self, owner: str, kind: str) -> sa.ColumnElement[bool]:
        return sa.and_(
            _entries.c.owner == owner, _entries.c.kind == kind, _entries.c.written > self._cutoff
        )

    def _find(self, owner: str, kind: str, entry_id: str) -> sa.Row[Any] | None:
        query = sa.select(_entries).where(self._is_found(owner, kind), _entries.c.id == entry_id)
        return self._connection.execute(query).one_or_none()

    def _next_turn(self) -> int:
        last = self._connection.scalar(sa.select(sa.func.max(_entries.c.turn)))
        return (last or 0) + 1

    def _touch(self, conversation: sa.Row[Any], growth: int, **values: str) -> None:
        self._connection.execute(
            sa.update(_entries)
            .where(_entries.c.entry == conversation.entry)
            .values(
                size=conversation.size + growth,
                turn=self._next_turn(),
                written=self._now,
                **values,
            )
        )


def _conversation(row: sa.Row[Any]) -> StoredConversation:
    return StoredConversation(
        id=row.id, owner=row.owner, created=row.created, metadata=object_from(row.body)
    )


def _response(row: sa.Row[Any]) -> StoredResponse:
    return StoredResponse(
        id=row.id,
        owner=row.owner,
        created=row.created,
        body=object_from(row.body),
        input_items=objects_from(row.input_items),
        previous_id=row.previous_id,
        conversation_id=row.conversation_id,
    )
