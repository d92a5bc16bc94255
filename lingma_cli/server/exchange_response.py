"""The HTTP response that owns its exchange.

It opens the exchange itself and races the pump against the client's disconnect, so whatever was
taken is given back by one `async with`, whoever ends it. A failure before anything was sent
becomes an HTTP status; later ones are events of the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import BlockDelta, BlockOpened, ChatEvent, Failed
from lingma_cli.core.grammar import Seal
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
# Looked at this often, a stalled write or a silent stream is noticed in good time.
_LOOKS_PER_INTERVAL: Final = 4

OpenExchange = Callable[[], AbstractAsyncContextManager[Exchange]]
Remember = Callable[[Collector], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the body says besides the answer; `created` is seconds since the epoch.

    `remember`, if there is one, is given the whole answer before the last word of it is sent.
    """

    protocol: WireProtocol
    request: ChatRequest
    response_id: str
    created: int
    remember: Remember | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds that one write may take, and of silence until a stream is kept alive."""

    stall_timeout: float = 60.0
    ping_interval: float = 8.0


class ExchangeResponse:
    """Sends one answer, as a stream or as a whole.

    Args:
        open_exchange: opens an exchange; called inside the response, once for each choice.
        envelope: see `Envelope`.
        patience: see `Patience`.
    """

    def __init__(self, open_exchange: OpenExchange, envelope: Envelope, patience: Patience) -> None:
        self._open_exchange = open_exchange
        self._envelope = envelope
        self._patience = patience
        self._exchange: Exchange | None = None
        self._sending_since: float | None = None
        self._last_sent = 0.0
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pump until the end, the client's leave or the server's."""
        async with asyncio.TaskGroup() as group:
            pump = group.create_task(self._pump(scope, send))
            leave = group.create_task(_client_left(receive))
            pump.add_done_callback(lambda _: leave.cancel())
            leave.add_done_callback(lambda _: pump.cancel())
            with self._watch(pump, lambda: group.create_task(self._ping(send))):
                await asyncio.wait([pump])

    async def _pump(self, scope: Scope, send: Send) -> None:
        streams = self._envelope.request.stream
        failure = await (self._stream(send) if streams else self._whole(send))
        if failure is not None:
            await send_error(scope, send, failure)

    async def _stream(self, send: Send) -> LingmaError | None:
        """Send the stream; return an error that came before anything was sent."""
        envelope = self._envelope
        encoder = envelope.protocol.encoder(
            envelope.request, response_id=envelope.response_id, created=envelope.created
        )
        for _ in range(envelope.request.choices):
            answer = Collector()
            try:
                async with self._open_exchange() as exchange:
                    self._exchange, self._last_sent = exchange, self._now()
                    batch = await exchange.next_batch()
                    if not self._begun and (early := _failed_early(batch)) is not None:
                        return early
                    while batch:
                        await self._hear(answer, batch)
                        await self._write(send, encoder.feed(batch))
                        batch = await exchange.next_batch()
            except LingmaError as error:
                if not self._begun:
                    return error
                await self._write(send, encoder.feed(Seal("").close(error)))
                break
            finally:
                self._exchange = None
            if answer.error is not None:
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None

    async def _whole(self, send: Send) -> LingmaError | None:
        """Send the folded answers, or return the error that one ended with."""
        envelope = self._envelope
        answers: list[Collector] = []
        notes: list[Note] = []
        for _ in range(envelope.request.choices):
            answer = Collector()
            try:
                async with self._open_exchange() as exchange:
                    while batch := await exchange.next_batch():
                        await self._hear(answer, batch)
                    notes += exchange.notes
            except LingmaError as error:
                return error
            if answer.error is not None:
                return answer.error
            answers.append(answer)
        body = envelope.protocol.render(
            answers, envelope.request, response_id=envelope.response_id, created=envelope.created
        )
        await send_json(send, 200, body, notes_header(notes))
        return None

    async def _hear(self, answer: Collector, batch: Sequence[ChatEvent]) -> None:
        """Collect `batch`; an answer that is whole is remembered before anybody hears its end."""
        if self._envelope.remember is None and self._envelope.request.stream:
            if isinstance(batch[-1], Failed):
                answer.feed(batch[-1:])
            return
        answer.feed(batch)
        if self._envelope.remember is not None and answer.has_ended:
            await self._envelope.remember(answer)

    async def _write(self, send: Send, frames: bytes) -> None:
        if not self._begun:
            self._begun = True
            notes = self._exchange.notes if self._exchange is not None else ()
            headers = [*_STREAM_HEADERS, *notes_header(notes)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._sending_since = self._now()
        await send({"type": "http.response.body", "body": frames, "more_body": True})
        self._sending_since, self._last_sent = None, self._now()

    async def _ping(self, send: Send) -> None:
        """Break a silence, if the engine is verifiably alive and nothing has come meanwhile."""
        exchange, silent_since = self._exchange, self._last_sent
        if exchange is None or not await exchange.is_alive():
            return
        if self._exchange is exchange and self._last_sent == silent_since:
            await self._write(send, self._envelope.protocol.ping)

    @contextmanager
    def _watch(self, pump: asyncio.Task[None], ping: Callable[[], object]) -> Iterator[None]:
        """Give up on a client that takes nothing off the wire, and keep a silent stream alive."""
        loop, patience = asyncio.get_running_loop(), self._patience
        streams = self._envelope.request.stream
        pause = min(
            patience.stall_timeout / _LOOKS_PER_INTERVAL,
            patience.ping_interval / _LOOKS_PER_INTERVAL if streams else patience.stall_timeout,
        )

        watch: asyncio.TimerHandle

        def look() -> None:
            nonlocal watch
            now, since = loop.time(), self._sending_since
            if since is not None and now - since >= patience.stall_timeout:
                pump.cancel()
                return
            is_waiting = streams and since is None and self._exchange is not None
            if is_waiting and now - self._last_sent >= patience.ping_interval:
                ping()
            watch = loop.call_later(pause, look)

        watch = loop.call_later(pause, look)
        try:
            yield
        finally:
            watch.cancel()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


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
