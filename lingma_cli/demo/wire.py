"""Framing of the Lingma local protocol (section 3), without I/O.

Owns header blocks inside WebSocket payloads in both directions: one byte stream over text and
binary messages. Knows nothing of JSON.
"""

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

MessageKind = Literal["text", "binary", "mixed"]
HeaderStyle = Literal["plain", "lower", "upper", "typed"]
Separator = Literal["crlf", "lf"]

_HEADER_LIMIT = 4_096
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """How frames leave: cut into `cut` bytes (0: whole), `coalesce` frames to a message."""

    cut: int = 0
    coalesce: int = 1
    message: MessageKind = "text"
    header: HeaderStyle = "plain"
    separator: Separator = "crlf"


PLAIN = Wire()


class Message(NamedTuple):
    """One WebSocket message: text or binary, and its payload."""

    is_text: bool
    payload: bytes


class Stray(NamedTuple):
    """Bytes that are no frame; the binary ignores them with a log line."""

    payload: bytes


def frame(body: bytes, wire: Wire = PLAIN) -> bytes:
    """Put a header block before a body; the length counts bytes."""
    lines = [b"Content-Length: %d" % len(body)]
    match wire.header:
        case "lower":
            lines = [b"content-length: %d" % len(body)]
        case "upper":
            lines = [b"CONTENT-LENGTH:%d" % len(body)]
        case "typed":
            lines.insert(0, b"Content-Type: application/vscode-jsonrpc; charset=utf-8")
        case "plain":
            pass
    end_of_line = b"\r\n" if wire.separator == "crlf" else b"\n"
    return end_of_line.join([*lines, b"", body])


class Outbox:
    """Turns frames into messages: cut, coalesced, text, binary or in turns."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._wire = PLAIN
        self._turn = False

    @property
    def is_waiting(self) -> bool:
        """Whether frames are held back to share a message."""
        return bool(self._waiting)

    def put(self, framed: bytes, wire: Wire = PLAIN) -> list[Message]:
        """Take one frame and return the messages that are due."""
        if wire is PLAIN and not self._waiting:
            return [Message(is_text=True, payload=framed)]
        due = self.flush() if wire != self._wire else []
        self._wire = wire
        self._waiting.append(framed)
        if len(self._waiting) >= wire.coalesce:
            due += self.flush()
        return due

    def flush(self) -> list[Message]:
        """Return what is held back."""
        stream = b"".join(self._waiting)
        self._waiting.clear()
        return [self._message(piece) for piece in cut(stream, self._wire.cut)]

    def _message(self, piece: bytes) -> Message:
        self._turn = not self._turn
        wanted = self._wire.message
        is_text = wanted == "text" or (wanted == "mixed" and self._turn)
        return Message(is_text and _is_utf8(piece), piece)


def cut(stream: bytes, size: int) -> list[bytes]:
    """Cut a byte string into pieces of `size` bytes; 0 leaves it whole, empty gives nothing."""
    step = size or len(stream) or 1
    return [stream[start : start + step] for start in range(0, len(stream), step)]


def _is_utf8(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True


class Inbox:
    """Collects incoming payloads as one byte stream and gives whole bodies back."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._body_length = -1

    def feed(self, payload: bytes) -> list[bytes | Stray]:
        """Add a message's payload; return complete bodies, and strays where no header was found."""
        self._buffer += payload
        found: list[bytes | Stray] = []
        while (item := self._next()) is not None:
            found.append(item)
        return found

    def _next(self) -> bytes | Stray | None:
        if self._body_length < 0:
            stray = self._read_header()
            if stray is not None or self._body_length < 0:
                return stray
        if len(self._buffer) < self._body_length:
            return None
        body = bytes(self._buffer[: self._body_length])
        del self._buffer[: self._body_length]
        self._body_length = -1
        return body

    def _read_header(self) -> Stray | None:
        end, skip = self._header_end()
        if end < 0:
            hopeless = len(self._buffer) > _HEADER_LIMIT or not self._may_be_header()
            return self._discard(len(self._buffer)) if hopeless and self._buffer else None
        lines = bytes(self._buffer[:end]).replace(b"\r\n", b"\n").split(b"\n")
        lengths = [int(match[1]) for line in lines if (match := _LENGTH.match(line))]
        if not lengths or not self._may_be_header():
            return self._discard(end + skip if self._may_be_header() else len(self._buffer))
        del self._buffer[: end + skip]
        self._body_length = lengths[-1]
        return None

    def _header_end(self) -> tuple[int, int]:
        crlf = self._buffer.find(b"\r\n\r\n", 0, _HEADER_LIMIT)
        lf = self._buffer.find(b"\n\n", 0, _HEADER_LIMIT if crlf < 0 else crlf)
        return (crlf, 4) if lf < 0 else (lf, 2)

    def _may_be_header(self) -> bool:
        return self._buffer[:1].isalpha()

    def _discard(self, length: int) -> Stray:
        stray = Stray(bytes(self._buffer[:length]))
        del self._buffer[:length]
        return stray
