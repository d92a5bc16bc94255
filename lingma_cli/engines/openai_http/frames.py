"""Server-sent events from a server that is not trusted to end its lines or itself. Pure.

Source: the WHATWG HTML standard, section "server-sent events". Unlike `protocols.sse` this bounds
what an event may take, reads each byte once, and knows all three line endings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

# quirk: llama.cpp has told errors in a field of this name.
_FIELDS: Final = (b"data", b"error")


class FrameTooLargeError(Exception):
    """An event is longer than is allowed."""


class FrameReader:
    """Splits bytes into the data of events, however they are cut.

    Args:
        limit: bytes that one event may take.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0
        # The last chunk ended with a carriage return: a line feed may belong to it.
        self._cut_end = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes; comments are skipped.

        Raises:
            FrameTooLargeError: an event does not end.
        """
        if b"\n" not in chunk and b"\r" not in chunk and not self._cut_end:
            self._hold(chunk)
            return
        *lines, rest = self._whole(chunk).split(b"\n")
        for line in lines:
            if line:
                self._read(line)
            elif self._data:
                yield self._complete()
        self._hold(rest)

    def _whole(self, chunk: bytes) -> bytes:
        """Return what has waited and `chunk`, with one kind of line ending."""
        if self._rest:
            self._size -= sum(map(len, self._rest))
            chunk = b"".join((*self._rest, chunk))
            self._rest.clear()
        if self._cut_end:
            # The carriage return has been read as the end of its line.
            chunk = chunk.removeprefix(b"\n")
        self._cut_end = chunk.endswith(b"\r") or (self._cut_end and not chunk)
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return chunk

    def end(self) -> Iterator[bytes]:
        """Yield the event that the end of the stream completes, if its line is whole."""
        line = b"".join(self._rest)
        self._rest.clear()
        if line:
            self._read(line)
        if self._data:
            yield self._complete()

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._rest.append(piece)
            self._size += len(piece)
        if self._size > self._limit:
            raise FrameTooLargeError

    def _read(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name in _FIELDS:
            self._data.append(value.removeprefix(b" "))
            # An empty line takes memory too.
            self._size += len(value) + 1

    def _complete(self) -> bytes:
        data = b"\n".join(self._data)
        self._data.clear()
        self._size = 0
        return data
