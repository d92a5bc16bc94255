"""HTTP on loopback: one request a connection, loopback names only.

Source: Lingma local protocol, sections 3 and 6. Owns reading a request and writing the response;
which paths there are is told by whoever opens the door.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, urlsplit

_HEAD_LIMIT = 16_384
_BODY_LIMIT = 65_536
_FLAGS = re.IGNORECASE | re.MULTILINE
_HOST = re.compile(rb"^host:[ \t]*(localhost|127\.0\.0\.1)(:\d{1,5})?[ \t]*$", _FLAGS)
_LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,9})[ \t]*$", _FLAGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; `fields` are those of the query and of a form in the body."""

    method: str
    path: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """One response; a `location` makes it a redirect."""

    status: int = 200
    body: str = ""
    location: str = ""
    kind: str = "text/html"


# Returns nothing for a request that never gets an answer.
Answer = Callable[[Request], Response | None]


class HttpDoor(asyncio.Protocol):
    """One connection: reads a request, answers it after `delay` seconds and closes."""

    def __init__(self, answer: Answer, delay: float = 0.0) -> None:
        self._answer = answer
        self._delay = delay
        self._came = b""
        self._is_done = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Collect the request and answer it."""
        self._came += data
        if self._is_done or not _is_whole(self._came):
            return
        self._is_done = True
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, self._respond)
        else:
            self._respond()

    def _respond(self) -> None:
        response = respond(self._came, self._answer)
        if response is not None:
            self._transport.write(response)
            self._transport.close()


def _is_whole(came: bytes) -> bool:
    head, mark, body = came.partition(b"\r\n\r\n")
    if not mark:
        return len(came) > _HEAD_LIMIT
    length = _LENGTH.search(head.replace(b"\r\n", b"\n"))
    return length is None or len(body) >= min(int(length[1]), _BODY_LIMIT)


def respond(came: bytes, answer: Answer) -> bytes | None:
    """Return the whole response to a request, or nothing if there shall be none."""
    head, _, body = came.partition(b"\r\n\r\n")
    if not _HOST.search(head.replace(b"\r\n", b"\n")):
        return _render(Response(status=403, body="403 Forbidden\n", kind="text/plain"))
    response = answer(_read(head, body))
    return None if response is None else _render(response)


def not_found() -> Response:
    """Return the response of a path that does not exist."""
    return Response(status=404, body="404 Not Found\n", kind="text/plain")


def _read(head: bytes, body: bytes) -> Request:
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    method, target = (*words, "", "")[:2]
    parts = urlsplit(target)
    fields = parse_qsl(parts.query, keep_blank_values=True)
    fields += parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    return Request(method=method, path=parts.path, fields=dict(fields))


def _render(response: Response) -> bytes:
    status = 303 if response.location else response.status
    body = response.body.encode()
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {response.kind}; charset=utf-8",
        "Connection: close",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        f"Content-Length: {len(body)}",
    ]
    if response.location:
        head.append(f"Location: {response.location}")
    return "\r\n".join([*head, "", ""]).encode() + body
