"""A response that is pumped: raced against the client's leave, watched, and kept alive.

Owns: the bytes on the wire of a stream, and when a client or a silence is given up on. Must not
know: where its bytes come from.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, Protocol, TypeVar

from starlette.types import Receive, Scope, Send

from lingma_cli.core.notes import Note, codes
from lingma_cli.protocols.sse import CONTENT_TYPE

_STREAM_HEADERS: Final = (
    (b"content-type", CONTENT_TYPE.encode()),
    (b"cache-control", b"no-cache, no-transform"),
    # Proxies in between must not collect chunks.
    (b"x-accel-buffering", b"no"),
)
# Looked at this often, a stalled write or a silent stream is noticed in good time.
_LOOKS_PER_INTERVAL: Final = 4


class Source(Protocol):
    """Where the bytes come from."""

    @property
    def notes(self) -> Sequence[Note]:
        """What was dropped, degraded or estimated so far."""
        ...

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life right now."""
        ...


S = TypeVar("S", bound=Source)


class PumpedResponse(ABC, Generic[S]):
    """Sends what its pump gives it.

    Args:
        stall_timeout: seconds that one write may take.
        ping_interval: seconds of silence until a stream is kept alive.
        ping: what is sent then; `None` for an answer that is sent as a whole.
    """

    def __init__(self, *, stall_timeout: float, ping_interval: float, ping: bytes | None) -> None:
        self._stall_timeout = stall_timeout
        self._ping_interval = ping_interval
        self._ping_frame = ping
        self._source: S | None = None
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

    @abstractmethod
    async def _pump(self, scope: Scope, send: Send) -> None:
        """Send the whole answer."""

    def _open(self, source: S) -> None:
        """Keep the stream alive by what is heard of `source` from now on."""
        self._source, self._last_sent = source, self._now()

    async def _write(self, send: Send, frames: bytes) -> None:
        if not self._begun:
            self._begun = True
            notes = self._source.notes if self._source is not None else ()
            headers = [*_STREAM_HEADERS, *notes_header(notes)]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._sending_since = self._now()
        await send({"type": "http.response.body", "body": frames, "more_body": True})
        self._sending_since, self._last_sent = None, self._now()

    async def _ping(self, send: Send) -> None:
        """Break a silence, if the engine is verifiably alive and nothing has come meanwhile."""
        source, silent_since = self._source, self._last_sent
        if source is None or self._ping_frame is None or not await source.is_alive():
            return
        if self._source is source and self._last_sent == silent_since:
            await self._write(send, self._ping_frame)

    @contextmanager
    def _watch(self, pump: asyncio.Task[None], ping: Callable[[], object]) -> Iterator[None]:
        """Give up on a client that takes nothing off the wire, and keep a silent stream alive."""
        loop, streams = asyncio.get_running_loop(), self._ping_frame is not None
        pause = min(
            self._stall_timeout / _LOOKS_PER_INTERVAL,
            self._ping_interval / _LOOKS_PER_INTERVAL if streams else self._stall_timeout,
        )

        watch: asyncio.TimerHandle

        def look() -> None:
            nonlocal watch
            now, since = loop.time(), self._sending_since
            if since is not None and now - since >= self._stall_timeout:
                pump.cancel()
                return
            is_waiting = streams and since is None and self._source is not None
            if is_waiting and now - self._last_sent >= self._ping_interval:
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


async def _client_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
