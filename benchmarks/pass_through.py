"""The measuring rod: a proxy on the product's server stack that parses nothing.

A raw ASGI app under uvicorn, httptools and uvloop, which moves bytes between the client and
`benchmarks.sse_upstream`. What the product costs above it is translation. Runs as a program.
"""

import asyncio
import re
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import uvicorn

from benchmarks.port_file import announce

_Receive = Callable[[], Awaitable[dict[str, Any]]]
_Send = Callable[[dict[str, Any]], Awaitable[None]]

_SIZE = re.compile(rb"content-length: (\d+)")
_REQUEST = b"POST / HTTP/1.1\r\nhost: upstream\r\ncontent-length: %d\r\n\r\n%b"
_JSON = [(b"content-type", b"application/json")]
_EVENTS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]


class _Upstream(asyncio.Protocol):
    """A connection to the upstream; what has arrived waits in `_parts` for one `take`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._ended = True
        self._wake()

    def write(self, payload: bytes) -> None:
        if self._transport is not None:
            self._transport.write(payload)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def take(self) -> bytes:
        """Everything that is ready, at least one byte; empty at the end."""
        if not self._parts and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        ready = b"".join(self._parts)
        self._parts.clear()
        return ready

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class PassThrough:
    """The ASGI app; keeps connections whose answer had a known size for the next request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Upstream] = []

    async def __call__(self, scope: dict[str, Any], receive: _Receive, send: _Send) -> None:  # noqa: ARG002
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        upstream = self._idle.pop() if self._idle else await self._connect()
        upstream.write(_REQUEST % (len(body), body))
        head, _, first = (await upstream.take()).partition(b"\r\n\r\n")
        size = _SIZE.search(head)
        if size is None:
            await _stream(upstream, first, send)
        else:
            await _whole(upstream, first, int(size[1]), send)
            self._idle.append(upstream)

    async def _connect(self) -> _Upstream:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(_Upstream, "127.0.0.1", self._port)
        return upstream


async def _whole(upstream: _Upstream, body: bytes, size: int, send: _Send) -> None:
    while len(body) < size:
        body += await upstream.take()
    await send({"type": "http.response.start", "status": 200, "headers": _JSON})
    await send({"type": "http.response.body", "body": body})


async def _stream(upstream: _Upstream, first: bytes, send: _Send) -> None:
    try:
        await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        ready = first or await upstream.take()
        while ready:
            await send({"type": "http.response.body", "body": ready, "more_body": True})
            ready = await upstream.take()
        await send({"type": "http.response.body", "body": b""})
    finally:
        upstream.close()


def main(port_file: Path, upstream_port: int) -> None:
    """Serve on a free port of loopback, named in the file."""
    listener = socket.create_server(("127.0.0.1", 0))
    announce(port_file, listener.getsockname()[1])
    config = uvicorn.Config(
        cast("Any", PassThrough(upstream_port)),
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
