"""What a protocol is to the server: five functions and a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent
from lingma_cli.errors import LingmaError


class StreamEncoder(Protocol):
    """Writes one sealed stream, or one after another for each of a request's choices."""

    def feed(self, events: Sequence[ChatEvent]) -> bytes:
        """Return the frames of `events`."""
        ...


class MakeEncoder(Protocol):
    """Makes the encoder of one stream."""

    def __call__(self, request: ChatRequest, *, response_id: str, created: int) -> StreamEncoder:
        """Return a fresh encoder; `created` is seconds since the epoch."""
        ...


class Render(Protocol):
    """Writes one whole answer."""

    def __call__(
        self, answers: Sequence[Collector], request: ChatRequest, *, response_id: str, created: int
    ) -> bytes:
        """Return the body of finished answers, one for each of `request.choices`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WireProtocol:
    """One protocol of the caller's side.

    Attributes:
        name: for records and `extras`.
        paths: where its requests arrive.
        parse: body to request; raises `LingmaError` with the path of what is wrong.
        encoder: events to server-sent frames.
        render: a collected answer to a body.
        encode_error: an error to its body.
        ping: the frame that keeps a silent stream alive.
    """

    name: str
    paths: tuple[str, ...]
    parse: Callable[[bytes], ChatRequest]
    encoder: MakeEncoder
    render: Render
    encode_error: Callable[[LingmaError], bytes]
    ping: bytes
