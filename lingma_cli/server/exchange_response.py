"""The HTTP response that owns its exchange.

It opens the exchange itself and races the pump against the client's disconnect, so whatever was
taken is given back by one `async with`, whoever ends it. A failure before anything was sent
becomes an HTTP status; later ones are events of the stream.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from starlette.types import Scope, Send

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.core.grammar import Seal, failed_early
from lingma_cli.core.notes import Note
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.exchange import Exchange
from lingma_cli.protocols.wire import WireProtocol
from lingma_cli.server.pumped_response import PumpedResponse, notes_header
from lingma_cli.server.replies import send_error, send_json

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


class ExchangeResponse(PumpedResponse[Exchange]):
    """Sends one answer, as a stream or as a whole.

    Args:
        open_exchange: opens an exchange; called inside the response, once for each choice.
        envelope: see `Envelope`.
        patience: see `Patience`.
    """

    def __init__(self, open_exchange: OpenExchange, envelope: Envelope, patience: Patience) -> None:
        super().__init__(
            stall_timeout=patience.stall_timeout,
            ping_interval=patience.ping_interval,
            ping=envelope.protocol.ping if envelope.request.stream else None,
        )
        self._open_exchange = open_exchange
        self._envelope = envelope

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
                    self._open(exchange)
                    batch = await exchange.next_batch()
                    if not self._begun and (early := failed_early(batch)) is not None:
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
                self._source = None
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
