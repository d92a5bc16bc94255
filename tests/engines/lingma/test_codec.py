"""Content-Length frames in a byte stream."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.engines.lingma.codec import FrameDecoder, FramingError, frame
from tests.support.strategies import byte_cuts

MAX = 1000


def _decode(*chunks: bytes) -> list[bytes]:
    decoder = FrameDecoder(MAX)
    return [body for chunk in chunks for body in decoder.feed(chunk)]


def test_a_frame_counts_bytes() -> None:
    """The length is that of the UTF-8 bytes, not of the characters."""
    assert frame("你好".encode()) == b"Content-Length: 6\r\n\r\n\xe4\xbd\xa0\xe5\xa5\xbd"


@given(st.lists(st.binary(max_size=40), max_size=5), st.data())
def test_any_cut_decodes_alike(bodies: list[bytes], data: st.DataObject) -> None:
    """Where the transport cuts the stream has no meaning."""
    stream = b"".join(map(frame, bodies))

    assert bodies == _decode(*data.draw(byte_cuts(stream)))


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 2\r\n\r\n",
        b"Content-Length: 2\n\n",
        b"content-length:2\r\n\r\n",
        b"CONTENT-LENGTH:\t2 \r\n\r\n",
        b"Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 2\r\nContent-Type: x\r\n\r\n",
        b"Content-Length: 2\nX-More: \n\n",
        b"Content-Length: 002\r\n\r\n",
    ],
)
def test_heads_that_are_understood(head: bytes) -> None:
    """Names in any case, further headers and bare line feeds, cut anywhere."""
    stream = head + b"{}" + frame(b"[]")

    assert _decode(stream) == [b"{}", b"[]"]
    assert _decode(*(bytes([byte]) for byte in stream)) == [b"{}", b"[]"]


BROKEN = {
    "garbage": b"\x00\x01\xff no head at all\r\n\r\n",
    "blank": b"\r\n\r\n",
    "bare JSON": b'{"jsonrpc":"2.0"}\r\n\r\n',
    "no length": b"Content-Type: application/json\r\n\r\n{}",
    "word": b"Content-Length: many\r\n\r\n{}",
    "empty": b"Content-Length: \r\n\r\n{}",
    "negative": b"Content-Length: -5\r\n\r\n{}",
    "plus": b"Content-Length: +2\r\n\r\n{}",
    "fraction": b"Content-Length: 2.0\r\n\r\n{}",
    "hexadecimal": b"Content-Length: 0x2\r\n\r\n{}",
    "foreign digits": "Content-Length: ２\r\n\r\n{}".encode(),
    "two": b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two that differ": b"Content-Length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "huge": b"Content-Length: 999999999999\r\n\r\n{}",
    "beyond all digits": b"Content-Length: " + b"9" * 400 + b"\r\n\r\n{}",
    "a byte too large": b"Content-Length: %d\r\n\r\n{}" % (MAX + 1),
    "line without colon": b"Content-Length: 2\r\nhello\r\n\r\n{}",
    "folded line": b"Content-Length: 2\r\n X: y\r\n\r\n{}",
    "long head": b"X: " + b"x" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("stream", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_head_is_an_error(stream: bytes) -> None:
    """What cannot be trusted is refused, at once and when it comes byte by byte."""
    with pytest.raises(FramingError):
        _decode(stream)
    with pytest.raises(FramingError):
        _decode(*(bytes([byte]) for byte in stream))


def test_a_head_that_does_not_end_is_an_error() -> None:
    """Garbage without a line end is not gathered for ever."""
    with pytest.raises(FramingError):
        _decode(*[b"x" * 100] * 1000)


def test_the_largest_body_passes() -> None:
    """The limit itself is allowed."""
    assert _decode(frame(b"x" * MAX)) == [b"x" * MAX]


@given(st.binary(max_size=60).flatmap(byte_cuts))
def test_any_bytes_are_frames_or_an_error(chunks: list[bytes]) -> None:
    """Nothing else comes out of the decoder."""
    with suppress(FramingError):
        assert isinstance(_decode(*chunks), list)
