"""The HTTP/1.1 protocol class: uvicorn's fast parser with the bounds that it lacks.

Owns: what happens on one connection before and below ASGI: head time-out and size, body time-out,
request targets, framing, and how many connections are open. Must not know: routes, hosts, keys.

A message is in one of three phases. HEAD: bytes of a request line, headers or nothing yet have
come on a connection that owes us a head. BODY: the head is complete and the body is not. IDLE:
the last message is complete. One deadline watches HEAD (unless an earlier answer is still being
written) and BODY; uvicorn's own keep-alive timer watches IDLE.

A refused connection answers once, after the answers that are still owed to earlier requests, and
reads no further request. It is closed in two steps (our half first), because closing a socket
with unread bytes makes the kernel throw the answer away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import ClassVar, Final

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from lingma_cli.errors import FACES, ErrorKind, LingmaError
from lingma_cli.protocols.openai_error import encode_error
from lingma_cli.server.heads import check_head
from lingma_cli.server.replies import JSON, HeaderPair, error_headers

_logger: Final = logging.getLogger(__name__)

_LINGER: Final = 1.0
_MAX_PIPELINED: Final = 16


class _Phase(Enum):
    HEAD = auto()
    BODY = auto()
    IDLE = auto()


class _HeadTooLargeError(LingmaError):
    """Wears status 431, which no other refusal needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    head_timeout: float
    body_timeout: float
    max_head: int


class _Crowd:
    """The open connections of one server, and which of them idles longest."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._members: set[_GuardedHttp] = set()
        self._idle: dict[_GuardedHttp, None] = {}

    def enter(self, newcomer: _GuardedHttp) -> bool:
        """Let it in, for the oldest idle one if there is no room; false when all are busy."""
        if len(self._members) >= self._room:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.hang_up()
        self._members.add(newcomer)
        return True

    def leave(self, member: _GuardedHttp) -> None:
        self._members.discard(member)
        self._idle.pop(member, None)

    def mark(self, member: _GuardedHttp, *, idle: bool) -> None:
        if not idle:
            self._idle.pop(member, None)
        elif member in self._members:
            self._idle.setdefault(member)


def guarded_protocol(
    *,
    head_timeout: float,
    max_connections: int,
    max_head: int = 64 * 1024,
    body_timeout: float = 30.0,
) -> type[HttpToolsProtocol]:
    """Return a protocol class for `uvicorn.Config(http=…)`, to be used by one server.

    Args:
        head_timeout: seconds in which a request head must be complete, else 408.
        max_connections: open connections; one more closes the one that idles longest, or gets
            429 when all are busy.
        max_head: bytes of request line and headers, and of trailers or one chunk extension,
            else 431; one read of the socket more may pass before an unfinished head is noticed.
        body_timeout: seconds in which a body must be complete, else 408. Time in which the
            application does not read does not count.
    """

    class Guarded(_GuardedHttp):
        limits = _Limits(head_timeout=head_timeout, body_timeout=body_timeout, max_head=max_head)
        crowd = _Crowd(max_connections)

    return Guarded


class _GuardedHttp(HttpToolsProtocol):
    limits: ClassVar[_Limits]
    crowd: ClassVar[_Crowd]

    _phase = _Phase.HEAD
    _refusal: LingmaError | None = None
    _running: RequestResponseCycle | None = None
    _deadline: asyncio.TimerHandle | None = None
    _advanced = False
    _unseen = 0

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the head's clock, or turn the connection away when all others are busy."""
        super().connection_made(transport)
        if self.crowd.enter(self):
            self._watch()
            return
        self._refusal = LingmaError(
            ErrorKind.OVERLOADED, "too many open connections", retry_after=1.0
        )
        transport.write(self._render(self._refusal))
        self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks and tell the running request that its client has gone."""
        self.crowd.leave(self)
        self._stop_clocks()
        # quirk: uvicorn tells the newest request only, and with pipelining that is not the one
        # which runs.
        self._disconnect_running()
        super().connection_lost(exc)

    def hang_up(self) -> None:
        """Close; a peer that does not take the last bytes within a second is cut off."""
        self._stop_clocks()
        self.transport.close()
        self._deadline = self.loop.call_later(_LINGER, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and refuse what is not one plain HTTP/1 request after another."""
        if self._refusal is not None:
            return
        self._advanced = False
        try:
            self._feed(data)
            self._count_unseen(len(data))
        except LingmaError as error:
            self._refuse(error)
        except httptools.HttpParserError as error:
            self._refuse(_refusal_of(error))
        else:
            self._watch()

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # quirk: the parser never reads the body of a request that offers an upgrade, and
                # Java's HTTP client offers h2c with every POST. So the head is parsed again
                # without the offer, and the rest follows as what it is.
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
            else:
                return

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _count_unseen(self, size: int) -> None:
        # The parser reports a header when it is complete and a chunk extension never; a read
        # that led to nothing is part of one of them.
        if self._advanced:
            return
        self._unseen += size
        if self._unseen > self.limits.max_head:
            raise self._head_too_large()

    # What the parser found

    def on_message_begin(self) -> None:
        """Enter the phase HEAD; unlike stray line ends, this ends the keep-alive time."""
        super().on_message_begin()
        self._phase = _Phase.HEAD
        self._unset_keepalive_if_required()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is dropped, since the doors have read the headers already."""
        if self._phase is _Phase.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head as a whole and start the request.

        Raises:
            LingmaError: the request must not be answered by the application.
        """
        self._check_head()
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise LingmaError(ErrorKind.INVALID_REQUEST, "too many requests wait on one connection")
        super().on_headers_complete()
        self._enter(_Phase.BODY)

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on."""
        super().on_body(body)
        self._advanced = True
        self._unseen = 0

    def on_message_complete(self) -> None:
        """Enter the phase IDLE."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._enter(_Phase.IDLE)

    def on_response_complete(self) -> None:
        """Start the next waiting request, give the refusal its turn, or wait for more."""
        is_last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._refusal is None:
            self._watch()
        elif is_last:
            self._answer(self._refusal)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._advanced = True
        self._unseen = 0
        self._cancel_deadline()

    def _check_head(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.max_head:
            raise self._head_too_large()
        version = self.parser.get_http_version()
        check_head(self.parser.get_method(), self.url, version, self.headers)

    def _head_too_large(self) -> LingmaError:
        return _HeadTooLargeError(
            ErrorKind.INVALID_REQUEST,
            f"the request line and headers are larger than {self.limits.max_head} bytes",
        )

    # Clocks

    @property
    def _is_serving(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _watch(self) -> None:
        serving = self._is_serving
        self.crowd.mark(self, idle=not serving)
        if self._phase is _Phase.BODY:
            self._unset_keepalive_if_required()
            self._arm(self.limits.body_timeout, self._body_is_late)
        elif serving:
            return
        elif self._phase is _Phase.HEAD:
            self._unset_keepalive_if_required()
            self._arm(self.limits.head_timeout, self._head_is_late)
        elif self.timeout_keep_alive_task is None:
            # quirk: uvicorn starts this timer with the answer only, so a body that ends after
            # its answer would leave the connection unwatched.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _arm(self, delay: float, callback: Callable[[], None]) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(delay, callback)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _stop_clocks(self) -> None:
        self._cancel_deadline()
        self._unset_keepalive_if_required()

    def _head_is_late(self) -> None:
        limit = f"{self.limits.head_timeout:g} seconds"
        message = f"the request head was not complete within {limit}"
        self._refuse(LingmaError(ErrorKind.REQUEST_TIMEOUT, message))

    def _body_is_late(self) -> None:
        self._deadline = None
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            # The client waits for us, not we for the client.
            self._arm(self.limits.body_timeout, self._body_is_late)
            return
        limit = f"{self.limits.body_timeout:g} seconds"
        message = f"the request body was not complete within {limit}"
        self._refuse(LingmaError(ErrorKind.REQUEST_TIMEOUT, message))

    # Refusal

    def _refuse(self, error: LingmaError) -> None:
        _logger.debug("refused a request: %s", error.message)
        self._refusal = error
        self._stop_clocks()
        if self._phase is _Phase.BODY and self.pipeline:
            # The newest waiting request is the one whose body went wrong; earlier ones go on.
            self.pipeline.popleft()
        elif self._phase is _Phase.BODY and self.cycle.response_started:
            self._disconnect_running()
            self.hang_up()
        elif self._phase is _Phase.BODY or not self._is_serving:
            self._disconnect_running()
            self._answer(error)

    def _disconnect_running(self) -> None:
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.waiting_for_100_continue = False
            self._running.message_event.set()

    def _answer(self, error: LingmaError) -> None:
        self._stop_clocks()
        self.crowd.mark(self, idle=True)
        self.transport.write(self._render(error))
        # quirk: a peer that has reset the connection makes asyncio's `write_eof` raise.
        with contextlib.suppress(OSError):
            self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(_LINGER, self.transport.abort)

    def _render(self, error: LingmaError) -> bytes:
        status = 431 if isinstance(error, _HeadTooLargeError) else FACES[error.kind].status
        body = encode_error(error)
        headers: list[HeaderPair] = [
            *self.server_state.default_headers,
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(body)),
            *error_headers(error),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        return STATUS_LINE[status] + head + b"\r\n" + body


def _refusal_of(error: httptools.HttpParserError) -> LingmaError:
    # An exception of a callback arrives as the context of the parser's own.
    if isinstance(error.__context__, LingmaError):
        return error.__context__
    return LingmaError(ErrorKind.INVALID_REQUEST, "invalid HTTP request received")
