"""One client connection: WebSocket bytes in, JSON-RPC messages out, acknowledgements counted.

Owns the handshake rules, the binary's own id space and write order. Knows no method by name.
Source: Lingma local protocol, section 3.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from lingma_cli.demo import rpc
from lingma_cli.demo.switches import Sides
from lingma_cli.demo.wire import Inbox, Message, Outbox, Stray, Wire, frame

_MESSAGE_LIMIT = 256 * 2**20
_COALESCE_WAIT = 0.02
_LINGER = 1.0

OnReply = Callable[[rpc.Answer], None]


class Desk(Protocol):
    """What a connection tells the simulator; while it is muted nothing goes in or out."""

    muted: bool

    def opened(self, connection: "Connection", path: str, headers: "Seen") -> None:
        """Take a connection that passed the handshake."""

    def refused(self, path: str, headers: "Seen", reason: str) -> None:
        """Take note of a handshake that did not pass."""

    def received(self, connection: "Connection", message: rpc.Incoming) -> None:
        """Take one message that is no answer to a push still waited for."""

    def strayed(self, payload: bytes) -> None:
        """Take bytes without a header."""

    def unanswered(self, method: str, identity: int) -> None:
        """Take note of a push that was never acknowledged."""

    def closed(self, connection: "Connection") -> None:
        """Forget a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Which telling headers a handshake carried, without their values."""

    machine_token: bool
    origin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    method: str
    deadline: float
    on_reply: OnReply | None


class Connection(asyncio.Protocol):
    """One TCP connection of the WebSocket port."""

    def __init__(self, desk: Desk, sides: Sides, machine_token: str, wire: Wire) -> None:
        self._desk = desk
        self._sides = sides
        self._machine_token = machine_token
        self._wire = wire
        self._ws = ServerProtocol(max_size=_MESSAGE_LIMIT)
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox()
        self._outbox = Outbox()
        self._fragments: list[bytes] = []
        self._next_id = 1
        self._waiting: dict[int, _Waiting] = {}
        self._sweeping = False
        self._flushing = False
        self._is_open = False
        self._dropped = False
        self._writable = asyncio.Event()
        self._writable.set()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Feed the WebSocket and take its events."""
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame):
                self._take_frame(event)
        self.flush()

    def eof_received(self) -> None:
        """Tell the WebSocket that the client has gone."""
        self._ws.receive_eof()
        self.flush()

    def pause_writing(self) -> None:
        """Hold the streams back."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let the streams go on."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was waited for."""
        del exc
        self._writable.set()
        self._waiting.clear()
        if self._is_open:
            self._is_open = False
            self._desk.closed(self)

    # WebSocket

    def _shake_hands(self, request: Request) -> None:
        token = request.headers.get("Cosy-MachineToken")
        seen = Seen(machine_token=token is not None, origin="Origin" in request.headers)
        path = request.path.partition("?")[0]
        status, reason = self._refusal(path, token, seen)
        if status:
            self._desk.refused(path, seen, reason)
            self._ws.send_response(self._ws.reject(status, f"{reason}\n"))
            return
        response = self._ws.accept(request)
        self._ws.send_response(response)
        if self._ws.state is State.OPEN:
            self._is_open = True
            self._desk.opened(self, path, seen)

    def _refusal(self, path: str, token: str | None, seen: Seen) -> tuple[int, str]:
        if seen.origin and self._sides.origin == "refuse":
            return 403, "origin refused"
        if self._sides.path == "ws":
            if path != "/ws":
                return 404, "no such path"
            if token != self._machine_token:
                return 403, "machine token refused"
        elif path != "/":
            return 404, "no such path"
        return 0, ""

    def _take_frame(self, message: Frame) -> None:
        if message.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        self._fragments.append(bytes(message.data))
        if message.fin:
            payload = b"".join(self._fragments)
            self._fragments.clear()
            for item in self._inbox.feed(payload):
                self._take_body(item)

    def _take_body(self, item: bytes | Stray) -> None:
        if self._desk.muted:
            return
        if isinstance(item, Stray):
            self._desk.strayed(item.payload)
            return
        message = rpc.read(item)
        if isinstance(message, rpc.Answer) and isinstance(message.id, int):
            waiting = self._waiting.pop(message.id, None)
            if waiting is not None:
                if waiting.on_reply is not None:
                    waiting.on_reply(message)
                return
        self._desk.received(self, message)

    # messages out

    @property
    def is_open(self) -> bool:
        """Whether messages still go out."""
        return self._is_open and not self._dropped and self._ws.state is State.OPEN

    def push(
        self,
        method: str,
        params: object,
        *,
        on_reply: OnReply | None = None,
        wire: Wire | None = None,
        demand: bool = False,
        patience: float | None = None,
    ) -> None:
        """Send a push; it carries an id unless the notification side is played.

        A `demand` is a request by nature and always carries one. Its answer is overdue after
        `patience` seconds, `ack_wait` unless given.
        """
        identity: int | None = None
        if demand or self._sides.pushes == "requests":
            identity = self._next_id
            self._next_id += 1
            wait = self._sides.ack_wait if patience is None else patience
            deadline = self._loop.time() + wait
            self._waiting[identity] = _Waiting(method=method, deadline=deadline, on_reply=on_reply)
            self._sweep_later()
        self.send(rpc.request(identity, method, params), wire)

    def send(self, body: bytes, wire: Wire | None = None) -> None:
        """Send one framed body."""
        if self.is_open and not self._desk.muted:
            chosen = wire or self._wire
            self.send_messages(self._outbox.put(frame(body, chosen), chosen))
            if self._outbox.is_waiting:
                self._loop.call_later(_COALESCE_WAIT, self._flush_outbox)

    def send_messages(self, messages: list[Message]) -> None:
        """Send WebSocket messages as they are."""
        if not self.is_open:
            return
        for message in messages:
            if message.is_text:
                self._ws.send_text(message.payload)
            else:
                self._ws.send_binary(message.payload)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def _flush_outbox(self) -> None:
        self.send_messages(self._outbox.flush())

    def flush(self) -> None:
        """Write what the WebSocket has ready."""
        self._flushing = False
        pieces = self._ws.data_to_send()
        if self._dropped or self._transport.is_closing():
            return
        stream = b"".join(pieces)
        if stream:
            self._transport.write(stream)
        if pieces and not pieces[-1]:  # the WebSocket asks for the end of the TCP stream
            self._transport.close()

    def send_raw(self, raw: bytes) -> None:
        """Write bytes beneath the WebSocket framing."""
        self.flush()
        self._transport.write(raw)

    async def writable(self) -> None:
        """Wait until the client has read enough; always lets others run."""
        await asyncio.sleep(0)
        await self._writable.wait()

    async def drain(self) -> None:
        """Wait until everything has left this process."""
        self._flush_outbox()
        self.flush()
        self._transport.set_write_buffer_limits(high=0)
        await self._writable.wait()
        self._transport.set_write_buffer_limits()

    def close(self, code: int) -> None:
        """Close the WebSocket politely."""
        if self.is_open:
            self._flush_outbox()
            self._ws.send_close(code, "simulated")
            self.flush()

    def finish(self) -> None:
        """Close the TCP connection once everything is written."""
        self._transport.close()

    def drop(self, *, reset: bool) -> None:
        """End the TCP stream without a word: as a reset, or after everything has been read."""
        self._dropped = True
        if reset or not self._transport.can_write_eof():
            self._transport.abort()
        else:
            self._transport.write_eof()
            self._loop.call_later(_LINGER, self._transport.abort)

    # acknowledgements

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(self._sides.ack_wait, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        now = self._loop.time()
        overdue = [identity for identity, item in self._waiting.items() if item.deadline <= now]
        for identity in overdue:
            self._desk.unanswered(self._waiting.pop(identity).method, identity)
        if self._waiting:
            self._sweep_later()
