"""One WebSocket connection to the binary: bytes in, messages dispatched in the read callback.

The sans-IO core of `websockets` under an asyncio protocol of ours: one read callback handles all
frames that arrived, and everything it has to send back (the acknowledgement of each push) leaves
in one write. Knows JSON-RPC and framing; must not know what a chat is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from lingma_cli.engines.lingma import jsonrpc
from lingma_cli.engines.lingma.codec import FrameDecoder, FramingError, frame
from lingma_cli.engines.lingma.endings import failure
from lingma_cli.errors import ErrorKind, LingmaError

MAX_MESSAGE: Final = 64 * 1024 * 1024
# Seconds of silence until the other side is asked for a sign of life, and what it gets for it.
_SILENCE_SECONDS: Final = 20.0
_PATIENCE_SECONDS: Final = 20.0
_CLOSE_SECONDS: Final = 1.0
_MAX_ID_DIGITS: Final = 20

OnCall = Callable[[jsonrpc.Call], Any]
# What `OnCall` returns for a request that is answered later, by `Link.respond`.
DEFERRED: Final = object()
# Told of the answer to a request of ours; `None` when the connection was lost before it came.
OnReply = Callable[[jsonrpc.Response | jsonrpc.ErrorResponse | None], None]


class HandshakeRefusedError(Exception):
    """The server refused the WebSocket upgrade; `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the WebSocket handshake was refused with status {status}")
        self.status = status


@dataclass(slots=True, kw_only=True, eq=False)
class _Doubt:
    """A wait for a sign of life."""

    drop: asyncio.TimerHandle
    on_sign: Callable[[], None] | None
    spoken: bool


class Link(asyncio.Protocol):
    """A connection that answers every request of the binary and routes the rest.

    Args:
        path: `/` or `/ws`.
        port: the port on 127.0.0.1.
        headers: extra handshake headers; no `Origin` is ever sent.
        on_call: told of every push and request of the binary, in order; returns the result
            with which a request is answered, or `DEFERRED`.
    """

    def __init__(
        self, *, path: str, port: int, headers: Mapping[str, str], on_call: OnCall
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._headers = headers
        self._on_call = on_call
        self._ws = ClientProtocol(
            parse_uri(f"ws://127.0.0.1:{port}{path}"), max_size=MAX_MESSAGE, extensions=[]
        )
        self._decoder = FrameDecoder(MAX_MESSAGE)
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, OnReply] = {}
        self._next_id = 0
        self._last_heard = loop.time()
        self._probe: asyncio.TimerHandle | None = None
        self._doubts: list[_Doubt] = []
        self._next_heard: asyncio.Future[None] | None = None
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._answers_ping = self._answers_pong = False
        self._dropped = False
        self.unresponsive = False
        self.reason = "the connection was closed"

    @property
    def is_open(self) -> bool:
        """Whether messages can be exchanged."""
        return self._ws.state is State.OPEN and not self.closed.done()

    # what the owner calls

    def send(
        self,
        method: str,
        params: Any,
        on_reply: OnReply | None = None,
    ) -> int:
        """Send a request and go on; `on_reply` hears of its answer, if one ever comes.

        Returns:
            The request's id, to `forget` it when its answer no longer matters.

        Raises:
            LingmaError: the connection is lost.
        """
        if not self.is_open:
            raise self.lost()
        self._next_id += 1
        if on_reply is not None:
            self._waiting[self._next_id] = on_reply
        self._write_bodies([jsonrpc.request(self._next_id, method, params)])
        return self._next_id

    def forget(self, id_: int) -> None:
        """Stop listening for the answer to `id_`; `chat/ask` may never get one."""
        self._waiting.pop(id_, None)

    def notify(self, method: str, params: Any) -> None:
        """Send a notification."""
        self._write_bodies([jsonrpc.notification(method, params)])

    def respond(self, id_: jsonrpc.MessageId, result: Any) -> None:
        """Answer a request of the binary that was `DEFERRED`; nothing happens once it is gone."""
        if self.is_open:
            self._write_bodies([jsonrpc.response(id_, result)])

    async def call(self, method: str, params: Any, within: float) -> bytes:
        """Send a request and return its undecoded result.

        Args:
            method: the method's name.
            params: a JSON object.
            within: seconds to wait.

        Raises:
            LingmaError: the connection is lost, the call is refused, or time is up.
        """
        future: asyncio.Future[bytes] = self._loop.create_future()

        def settle(reply: jsonrpc.Response | jsonrpc.ErrorResponse | None) -> None:
            match reply:
                case _ if future.done():
                    return
                case jsonrpc.Response(result=result):
                    future.set_result(result)
                case jsonrpc.ErrorResponse(code=jsonrpc.METHOD_NOT_FOUND):
                    unknown = f"this Lingma runtime does not know `{method}`"
                    future.set_exception(LingmaError(ErrorKind.ENGINE_UNSUPPORTED, unknown))
                case jsonrpc.ErrorResponse(code=code, message=text):
                    future.set_exception(failure(code, f"`{method}` was refused: {text}"))
                case None:
                    future.set_exception(self.lost())

        id_ = self.send(method, params, settle)
        try:
            async with asyncio.timeout(within):
                return await future
        except TimeoutError:
            raise LingmaError(
                ErrorKind.ENGINE_TIMEOUT, f"Lingma did not answer `{method}` in {within:g} s"
            ) from None
        finally:
            self.forget(id_)

    def want_sign_of_life(
        self, within: float, on_sign: Callable[[], None] | None = None, *, spoken: bool = True
    ) -> None:
        """Ask whether anybody is there, and drop the connection as `unresponsive` if not.

        Args:
            within: seconds to wait for a sign.
            on_sign: told as soon as one has come.
            spoken: only a JSON-RPC message counts; else any byte does, such as a WebSocket pong.
        """
        if not self.is_open:
            return
        drop = self._loop.call_later(within, self._drop_unresponsive, within)
        # Who never answered the method `ping` is not blamed for its silence now.
        spoken = spoken and self._answers_ping
        self._doubts.append(_Doubt(drop=drop, on_sign=on_sign, spoken=spoken))
        self.ping()

    async def is_alive(self, within: float) -> bool:
        """Tell whether anything is heard in `within` seconds; unlike a doubt, it ends nothing."""
        if not self.is_open:
            return False
        if self._loop.time() - self._last_heard < within:
            return True
        if self._next_heard is None:
            self._next_heard = self._loop.create_future()
        self.ping()
        await asyncio.wait(
            [self._next_heard, self.closed], timeout=within, return_when="FIRST_COMPLETED"
        )
        return not self.closed.done() and self._loop.time() - self._last_heard < within

    def ping(self) -> None:
        """Ask for a sign of life in both ways and learn which of them this build answers."""
        self._ws.send_ping(b"")
        self.send("ping", {}, self._hear_pong)

    async def close(self) -> None:
        """Close the connection and return when it is gone; what waits fails."""
        if self._transport is None:
            return
        if self._ws.state is State.OPEN and not self._transport.is_closing():
            self._ws.send_close()
            self._flush()
            self._transport.close()
        else:
            self._transport.abort()
        await asyncio.wait([self.closed], timeout=_CLOSE_SECONDS)
        # A frozen peer takes nothing off the wire, and a polite close would wait for it.
        self._transport.abort()
        await self.closed

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        request = self._ws.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._ws.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Handle everything that arrived, then write every reply at once."""
        self._last_heard = self._loop.time()
        if self._next_heard is not None:
            self._next_heard.set_result(None)
            self._next_heard = None
        if self._doubts:
            self._dispel_doubts(spoken=False)
        self._ws.receive_data(data)
        replies: list[bytes] = []
        for event in self._ws.events_received():
            if self._dropped:
                return
            if isinstance(event, Frame):
                self._read_frame(event, replies)
            else:
                self._finish_handshake()
        if self._ws.handshake_exc is not None:
            # Bytes that are no HTTP at all bring no event.
            self._finish_handshake()
        self._write_bodies(replies)
        if self._ws.state is not State.OPEN and self.opened.done():
            self._drop(self._ws_reason())

    def eof_received(self) -> None:
        """The server half-closed."""
        self._ws.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail everything that waits."""
        if exc is not None:
            self.reason = f"the connection broke: {exc}"
        if self._probe is not None:
            self._probe.cancel()
        for doubt in self._doubts:
            doubt.drop.cancel()
        if not self.opened.done():
            self.opened.set_exception(ConnectionError(self.reason))
        if not self.closed.done():
            self.closed.set_result(None)
        waiting, self._waiting = self._waiting, {}
        for on_reply in waiting.values():
            on_reply(None)

    def lost(self) -> LingmaError:
        """Return the error of everything that was under way on this connection."""
        kind = ErrorKind.ENGINE_TIMEOUT if self.unresponsive else ErrorKind.ENGINE_FAILED
        return LingmaError(kind, f"the connection to Lingma was lost: {self.reason}")

    # inside

    def _finish_handshake(self) -> None:
        if self.opened.done():
            return
        refused = self._ws.handshake_exc
        if refused is None:
            self.opened.set_result(None)
            self._schedule_probe()
        elif isinstance(refused, InvalidStatus):
            self.opened.set_exception(HandshakeRefusedError(refused.response.status_code))
        else:
            self.opened.set_exception(ConnectionError(str(refused)))

    def _read_frame(self, event: Frame, replies: list[bytes]) -> None:
        if event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._answers_pong = self._answers_pong or event.opcode is Opcode.PONG
            return
        try:
            for body in self._decoder.feed(bytes(event.data)):
                self._dispatch(jsonrpc.decode(body), replies)
        except (
            FramingError,
            jsonrpc.MessageError,
            msgspec.MsgspecError,
            UnicodeDecodeError,
            RecursionError,
        ) as error:
            # A piece of some answer is lost: better one clear failure than a silent gap.
            self._drop(str(error))

    def _dispatch(self, message: jsonrpc.Incoming, replies: list[bytes]) -> None:
        if self._doubts:
            self._dispel_doubts(spoken=True)
        match message:
            case jsonrpc.Call(id=id_):
                result = self._on_call(message)
                if id_ is not None and result is not DEFERRED:
                    replies.append(jsonrpc.response(id_, result))
            case jsonrpc.Response() | jsonrpc.ErrorResponse():
                self._settle(message)

    def _settle(self, message: jsonrpc.Response | jsonrpc.ErrorResponse) -> None:
        # quirk: a server may echo an integer id as text.
        id_ = message.id
        number = int(id_) if id_ and len(str(id_)) < _MAX_ID_DIGITS and str(id_).isdecimal() else 0
        on_reply = self._waiting.pop(number, None)
        if on_reply is not None:
            on_reply(message)

    def _write_bodies(self, bodies: list[bytes]) -> None:
        # One frame per message: the only form that every source agrees on.
        if self._ws.state is State.OPEN:
            for body in bodies:
                self._ws.send_text(frame(body))
        self._flush()

    def _flush(self) -> None:
        pieces = self._ws.data_to_send()
        if pieces and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(pieces))

    def _ws_reason(self) -> str:
        if self._ws.parser_exc is not None:
            return str(self._ws.parser_exc)
        return "Lingma closed the connection"

    def _drop(self, reason: str) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._dropped = True
            self.reason = reason
            self._transport.abort()

    def _hear_pong(self, reply: jsonrpc.Response | jsonrpc.ErrorResponse | None) -> None:
        self._answers_ping = self._answers_ping or reply is not None

    def _dispel_doubts(self, *, spoken: bool) -> None:
        dispelled = [doubt for doubt in self._doubts if spoken or not doubt.spoken]
        self._doubts = [doubt for doubt in self._doubts if doubt not in dispelled]
        for doubt in dispelled:
            doubt.drop.cancel()
            if doubt.on_sign is not None:
                self._loop.call_soon(doubt.on_sign)

    def _drop_unresponsive(self, within: float) -> None:
        self.unresponsive = True
        self._drop(f"Lingma gave no sign of life in {within:g} s")

    def _schedule_probe(self) -> None:
        # Lazily re-armed: nothing is rescheduled while messages flow.
        due = self._last_heard + _SILENCE_SECONDS
        self._probe = self._loop.call_at(due, self._probe_if_silent)

    def _probe_if_silent(self) -> None:
        if self._loop.time() - self._last_heard < _SILENCE_SECONDS:
            self._schedule_probe()
            return
        if not self._answers_ping and not self._answers_pong:
            # It never showed that it answers either: its silence means nothing.
            self.ping()
            self._probe = self._loop.call_later(_SILENCE_SECONDS, self._probe_if_silent)
            return
        self.want_sign_of_life(_PATIENCE_SECONDS, self._schedule_probe, spoken=False)
