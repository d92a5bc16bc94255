"""A chat client at the protocol level: it sends a script and stores the answer.

Cheap on purpose, as it shares a CPU with the upstreams. Must not know clocks or checks.
"""

import asyncio
from dataclasses import dataclass
from typing import Self, cast

import httptools
import msgspec

from benchmarks.errors import BenchmarkError
from benchmarks.script import Script

_EVENT = b"data: "
_HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole HTTP response."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """A keep-alive connection with one request at a time; it only stores what comes."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reply: asyncio.Future[Reply] | None = None
        self.parts: list[bytes] = []

    @classmethod
    async def open(cls, port: int) -> Self:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, "127.0.0.1", port)
        return connection

    def post(self, script: Script, *, stream: bool) -> asyncio.Future[Reply]:
        """Send one chat request; the future brings the whole response."""
        message = {"role": "user", "content": script.prompt()}
        body = msgspec.json.encode({"model": "org_auto", "stream": stream, "messages": [message]})
        self.parts = []
        self._reply = asyncio.get_running_loop().create_future()
        cast("asyncio.Transport", self._transport).write(_HEAD % (len(body), body))
        return self._reply

    def close(self) -> None:
        if self._reply is not None:
            self._reply.cancel()
        if self._transport is not None:
            self._transport.close()

    def events_between(self, start: int, end: int) -> int:
        """How many events began in the parts `start` to `end`."""
        before = b"".join(self.parts[:start]).count(_EVENT)
        return b"".join(self.parts[:end]).count(_EVENT) - before

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(BenchmarkError("the server closed an open answer"))

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        if self._reply is not None and not self._reply.done():
            status = self._parser.get_status_code()
            self._reply.set_result(Reply(status=status, body=b"".join(self.parts)))
