"""What a store keeps and promises; every kind of store passes the same tests.

Must not know: how a kind keeps things, or what a response and an item look like inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError

Json = Mapping[str, object]

MAX_CHAIN: Final = 1000
MAX_ID: Final = 255
_MAX_EXPIRED_PER_WRITE: Final = 100

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A response as its client may ask for it again.

    Attributes:
        owner: whose it is; an opaque text, never a key.
        created: seconds since 1970.
        body: the response object.
        input_items: what this turn added, not the turns before it.
        previous_id: the response it follows.
        conversation_id: the conversation it belongs to.
    """

    id: str
    owner: str
    created: int
    body: Json
    input_items: tuple[Json, ...] = ()
    previous_id: str | None = None
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConversation:
    """A conversation without its items; `created` is in seconds since 1970."""

    id: str
    owner: str
    created: int
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedConversation:
    """A conversation as a list shows it.

    Attributes:
        last_active: the time of its last write, in seconds since 1970.
        item_count: how many items it has.
    """

    conversation: StoredConversation
    last_active: float
    item_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a store keeps; the entries written longest ago go first.

    An entry is a response, or a conversation with its items. Adding to a conversation and
    changing it count as writing it.

    Attributes:
        retention: seconds after its last write for which an entry is found.
        max_bytes: of JSON text, all entries together.
        max_entries: responses and conversations together.
    """

    retention: float
    max_bytes: int
    max_entries: int

    def cutoff(self, now: float) -> int:
        """Return the time, in milliseconds since 1970, at or before which a write is too old."""
        return milliseconds(now - self.retention)

    def check(self, size: int) -> None:
        """Refuse an entry of `size` bytes that even an empty store could not keep.

        Raises:
            LingmaError: it is larger than `max_bytes`.
        """
        if size > self.max_bytes:
            raise LingmaError(
                ErrorKind.BODY_TOO_LARGE,
                f"too large to be stored: {size} bytes, the store holds {self.max_bytes}",
                hint="start a new conversation, send `store: false` or raise the store's limit",
            )

    def surplus(
        self, oldest: Iterable[tuple[_Key, int, int]], *, entries: int, size: int, cutoff: int
    ) -> Iterator[_Key]:
        """Yield the keys of what has to go.

        What is above a limit goes at once; of what has merely expired, which nobody finds anyway,
        a write removes only so much.

        Args:
            oldest: key, time of the last write and bytes of each entry, in the order of writes.
            entries: how many there are.
            size: their bytes together.
            cutoff: see `Limits.cutoff`.
        """
        expired = 0
        for key, written, bytes_ in oldest:
            if entries <= self.max_entries and size <= self.max_bytes:
                if written > cutoff or expired == _MAX_EXPIRED_PER_WRITE:
                    return
                expired += 1
            entries -= 1
            size -= bytes_
            yield key


class ResponseStore(Protocol):
    """Responses and conversations, each seen by its owner only.

    To everybody else, and once it has expired, an entry does not exist. A write is done, as a
    whole or not at all, when its call returns; it goes on if its caller is cancelled. A second
    entry with the id of a first replaces it.

    Every call raises `LingmaError` when the store fails, writes also (`BODY_TOO_LARGE`) when an
    entry alone exceeds `Limits.max_bytes`.
    """

    async def open(self) -> None:
        """Get ready, so that a store that cannot work says so at the start."""

    async def close(self) -> None:
        """Finish what is under way and let go of everything."""

    async def save(self, response: StoredResponse, conversation_items: Sequence[Json] = ()) -> None:
        """Store `response` and, in the same step, add to its conversation if that still exists."""

    async def response(self, owner: str, response_id: str) -> StoredResponse | None:
        """Return one response."""

    async def delete_response(self, owner: str, response_id: str) -> bool:
        """Remove a response; tell whether it was there."""

    async def chain(self, owner: str, response_id: str) -> tuple[StoredResponse, ...] | None:
        """Return a response and all before it, oldest first; `None` when any of them is missing.

        Raises:
            LingmaError: it is longer than `MAX_CHAIN`.
        """

    async def create_conversation(
        self, conversation: StoredConversation, items: Sequence[Json] = ()
    ) -> None:
        """Store a new conversation with its first items."""

    async def conversation(self, owner: str, conversation_id: str) -> StoredConversation | None:
        """Return one conversation."""

    async def conversations(
        self, owner: str, conversation_id: str | None = None
    ) -> tuple[ListedConversation, ...]:
        """Return all of an owner's conversations, or that one; the one written last comes first."""

    async def update_conversation(
        self, owner: str, conversation_id: str, metadata: Json
    ) -> StoredConversation | None:
        """Replace the metadata; return the conversation as it is now, if it exists."""

    async def delete_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove a conversation and its items, not its responses; tell whether it was there."""

    async def delete_idle_conversations(self, owner: str, seconds: float) -> int:
        """Remove those not written for `seconds`, with their items; return how many they were."""

    async def clear_conversation(self, owner: str, conversation_id: str) -> bool:
        """Remove all items of a conversation; tell whether it exists."""

    async def items(self, owner: str, conversation_id: str) -> tuple[Json, ...] | None:
        """Return the items in the order in which they were added."""

    async def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> bool:
        """Add items, each with its `id`; tell whether the conversation exists.

        An item whose id is there already takes that item's place.

        Raises:
            LingmaError: an item has no usable id.
        """

    async def item(self, owner: str, conversation_id: str, item_id: str) -> Json | None:
        """Return one item."""

    async def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Remove an item; tell whether it was there."""


def milliseconds(seconds: float) -> int:
    """Return `seconds` in whole milliseconds."""
    return int(seconds * 1000)


def to_json(value: Json | Sequence[Json]) -> str:
    """Return `value` as JSON text."""
    return msgspec.json.encode(value).decode()


def object_from(text: str) -> Json:
    """Return the JSON object in `text`.

    Raises:
        msgspec.DecodeError: there is none.
    """
    return msgspec.json.decode(text, type=dict[str, object])


def objects_from(text: str) -> tuple[Json, ...]:
    """Return the list of JSON objects in `text`.

    Raises:
        msgspec.DecodeError: there is none.
    """
    return msgspec.json.decode(text, type=tuple[dict[str, object], ...])


def items_by_id(items: Iterable[Json]) -> dict[str, str]:
    """Return the JSON text of each item by its id; of two with one id, the later.

    Raises:
        LingmaError: an item has no usable id.
    """
    texts = {}
    for index, item in enumerate(items):
        item_id = item.get("id")
        if not isinstance(item_id, str) or not 0 < len(item_id) <= MAX_ID:
            raise LingmaError(
                ErrorKind.INVALID_REQUEST,
                f"an item's id is a text of 1 to {MAX_ID} characters",
                param=f"items[{index}].id",
            )
        texts[item_id] = to_json(item)
    return texts


def text_size(*texts: str) -> int:
    """Return the bytes of `texts` together."""
    return sum(len(text.encode()) for text in texts)


def chain_too_long() -> LingmaError:
    """Return the error for a chain of more than `MAX_CHAIN` responses."""
    return LingmaError(
        ErrorKind.INVALID_REQUEST,
        f"more than {MAX_CHAIN} responses follow each other here",
        hint="send the conversation's text as input of a new response",
        param="previous_response_id",
    )
