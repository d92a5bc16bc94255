"""Server-sent events: their content type, and a reader for the caller's side.

Source: the WHATWG HTML standard, section "server-sent events".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# A comment: readers skip it, and the connection is not silent.
COMMENT: Final = b": keep-alive\n\n"
CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"


class SseReader:
    """Splits a byte stream into the `data` of its events, however it is cut."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes; comments are skipped."""
        self._buffer = (self._buffer + chunk).replace(b"\r\n", b"\n")
        *frames, self._buffer = self._buffer.split(b"\n\n")
        for frame in frames:
            lines = [
                line[5:].removeprefix(b" ")
                for line in frame.split(b"\n")
                if line.startswith(b"data:")
            ]
            if lines:
                yield b"\n".join(lines)
