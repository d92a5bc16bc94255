"""The HTTP response that owns its exchange.

It opens the exchange itself and races the pump against the client's disconnect, so whatever was
taken is given back by one `async with`, whoever ends it. A failure before anything was sent
becomes an HTTP status; later ones are events of the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import BlockDelta, BlockOpened, ChatEvent, Failed
from lingma_cli.core.notes import Note, codes
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.exchange import Exchange
from lingma_cli.protocols.sse import CONTENT_TYPE
from lingma_cli.protocols.wire import WireProtocol
from lingma_cli.server.replies import send_error, send_json

_STREAM_HEADERS: Final = (
    (b"content-type", CONTENT_TYPE.encode()),
    (b"cache-control", b"no-cache, no-transform"),
    # Proxies in between must not collect chunks.
    (b"x-accel-buffering", b"no"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the body says besides the answer; `created` is seconds since the epoch."""

    protocol: WireProtocol
    request: ChatRequest
    response_id: str
    created: int


class ExchangeResponse:
    """Sends one answer, as a stream or as a whole.

    Args:
        open_exchange: opens the exchange; called once, inside the response.
        envelope: see `Envelope`.
        stall_timeout: seconds that one write may take.
    """

    def __init__(
        self,
        open_exchange: Callable[[], AbstractAsyncContextManager[Exchange]],
        envelope: Envelope,
        *,
        stall_timeout: float = 60.0,
    ) -> None:
        self._open_exchange = open_exchange
        self._envelope = envelope
        self._stall_timeout = stall_timeout
        self._sending_since: float | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pump until the end, the client's leave or the server's."""
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(scope, send))
            leave = group.create_task(_client_left(receive))
            pump.add_done_callback(lambda _: leave.cancel())
            leave.add_done_callback(lambda _: pump.cancel())
            with self._stall_watch(pump):
                await asyncio.wait([pump])

    async def _pump(self, scope: Scope, send: Send) -> None:
        try:
            async with self._open_exchange() as exchange:
                if self._envelope.request.stream:
                    failure = await self._stream(exchange, send)
                else:
                    failure = await self._whole(exchange, send)
        except LingmaError as error:
            failure = error
        if failure is not None:
            await send_error(scope, send, failure)

    async def _stream(self, exchange: Exchange, send: Send) -> LingmaError | None:
        """Send the stream; return an error that came before anything was sent."""
        batch = await exchange.next_batch()
        if (early := _failed_early(batch)) is not None:
            return early
        envelope = self._envelope
        encoder = envelope.protocol.encoder(
            envelope.request, response_id=envelope.response_id, created=envelope.created
        )
        headers = [*_STREAM_HEADERS, *notes_header(exchange.notes)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        loop = asyncio.get_running_loop()
        while batch:
            frames = encoder.feed(batch)
            self._sending_since = loop.time()
            await send({"type": "http.response.body", "body": frames, "more_body": True})
            self._sending_since = None
            batch = await exchange.next_batch()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    async def _whole(self, exchange: Exchange, send: Send) -> LingmaError | None:
        """Send the folded answer, or return the error that it ended with."""
        answer = Collector()
        while batch := await exchange.next_batch():
            answer.feed(batch)
        if answer.error is not None:
            return answer.error
        envelope = self._envelope
        body = envelope.protocol.render(
            [answer], envelope.request, response_id=envelope.response_id, created=envelope.created
        )
        await send_json(send, 200, body, notes_header(exchange.notes))
        return None

    @contextmanager
    def _stall_watch(self, pump: asyncio.Task[None]) -> Iterator[None]:
        """Give up on a client that takes nothing off the wire: its place is needed."""
        loop = asyncio.get_running_loop()
        watch: asyncio.TimerHandle

        def look() -> None:
            nonlocal watch
            since = self._sending_since
            if since is not None and loop.time() - since >= self._stall_timeout:
                pump.cancel()
                return
            watch = loop.call_later(self._stall_timeout / 4, look)

        watch = loop.call_later(self._stall_timeout, look)
        try:
            yield
        finally:
            watch.cancel()


def notes_header(notes: Sequence[Note]) -> list[tuple[bytes, bytes]]:
    """Return `x-lingma-notes` with the codes in `notes`, or nothing."""
    listed = ",".join(codes(notes))
    return [(b"x-lingma-notes", listed.encode())] if listed else []


def _failed_early(batch: Sequence[ChatEvent]) -> LingmaError | None:
    for event in batch:
        match event:
            case BlockOpened() | BlockDelta():
                return None
            case Failed(error=error):
                return error
            case _:
                pass
    return None


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
