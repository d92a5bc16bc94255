"""The local HTTP port: answers 404 to loopback names and 403 to every other Host.

Source: Lingma local protocol, sections 3 and 6. A WebSocket handshake here gets 404 as well.
"""

import asyncio
import re
from typing import cast

_HEAD_LIMIT = 16_384
_FLAGS = re.IGNORECASE | re.MULTILINE
_HOST = re.compile(rb"^host:[ \t]*(localhost|127\.0\.0\.1)(:\d{1,5})?[ \t]*$", _FLAGS)


class HttpDoor(asyncio.Protocol):
    """One connection: reads a request head, answers once and closes."""

    def __init__(self) -> None:
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Collect the head and answer it."""
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > _HEAD_LIMIT:
            self._transport.write(respond(self._head))
            self._transport.close()


def respond(head: bytes) -> bytes:
    """Return the whole response to a request head."""
    lines = head.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")
    status = b"404 Not Found" if _HOST.search(lines) else b"403 Forbidden"
    body = status + b"\n"
    fields = b"Content-Type: text/plain\r\nConnection: close\r\nContent-Length: %d" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\n\r\n" + body
