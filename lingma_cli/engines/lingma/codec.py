"""Content-Length frames in a byte stream, without I/O.

Source: Lingma local protocol, "Transport": the framing of the Language Server Protocol inside
WebSocket payloads; the length counts UTF-8 bytes. WebSocket message borders mean nothing: a
message may hold part of a frame, one frame or several.
"""

from __future__ import annotations

import re
from typing import Final

_MAX_HEAD: Final = 8 * 1024
_LENGTH: Final = re.compile(rb"(?im)^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$")
_HEAD: Final = re.compile(rb"(?:[!-9;-~]+:[^\r\n]*(?:\r?\n|\r?$))+")
_WHOLE: Final = re.compile(rb"Content-Length: (\d{1,12})\r\n\r\n")
# quirk: some writers end the head with two bare line feeds.
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")


class FramingError(Exception):
    """The byte stream is out of step; nothing after this point can be trusted."""


def frame(body: bytes) -> bytes:
    """Return `body` with its head in front."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


class FrameDecoder:
    """Cuts a byte stream into frame bodies, however it arrives.

    Args:
        max_body: largest body in bytes.
    """

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._buffer = bytearray()
        self._wanted: int | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the bodies that `chunk` completes.

        Raises:
            FramingError: a head is malformed or too long, or a body too large.
        """
        whole = None if self._buffer or self._wanted is not None else _WHOLE.match(chunk)
        if whole is not None and len(chunk) - whole.end() == int(whole[1]) <= self._max_body:
            # The usual case: one message, one frame.
            return [chunk[whole.end() :]]
        self._buffer += chunk
        bodies: list[bytes] = []
        start = 0
        while True:
            if self._wanted is None:
                found = _HEAD_END.search(self._buffer, start)
                if found is None:
                    self._check_head(start)
                    break
                self._wanted = self._length(bytes(self._buffer[start : found.start()]))
                start = found.end()
            if len(self._buffer) - start < self._wanted:
                break
            bodies.append(bytes(self._buffer[start : start + self._wanted]))
            start += self._wanted
            self._wanted = None
        del self._buffer[:start]
        return bodies

    def _length(self, head: bytes) -> int:
        found = _LENGTH.findall(head)
        if len(found) != 1 or len(head) > _MAX_HEAD or not _HEAD.fullmatch(head):
            raise FramingError("a frame came without one valid Content-Length")
        length = int(found[0])
        if length > self._max_body:
            raise FramingError(f"a frame of {length} bytes is larger than {self._max_body}")
        return length

    def _check_head(self, start: int) -> None:
        # Without this, garbage without a line end would be buffered for ever.
        if len(self._buffer) - start > _MAX_HEAD:
            raise FramingError("a frame head does not end")
