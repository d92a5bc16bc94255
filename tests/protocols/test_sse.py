"""Server-sent events on the caller's side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.protocols.sse import SseReader
from tests.support.strategies import byte_cuts

STREAM = (
    b": hello\n\ndata: one\n\nevent: x\nid: 7\ndata: two\ndata:three\n\n"
    b": ping\n\ndata: \xe5\xa5\xbd\n\n"
)
EXPECTED = [b"one", b"two\nthree", "好".encode()]


def test_events_are_read() -> None:
    """Data lines are joined, a space after the colon and all other lines dropped."""
    assert list(SseReader().feed(STREAM)) == EXPECTED


@given(st.data(), st.sampled_from((b"\n", b"\r\n")))
def test_any_cut_reads_alike(data: st.DataObject, line_end: bytes) -> None:
    """The network may cut anywhere, inside characters and inside line ends too."""
    reader = SseReader()
    pieces = data.draw(byte_cuts(STREAM.replace(b"\n", line_end)))

    assert [frame for piece in pieces for frame in reader.feed(piece)] == EXPECTED


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_byte_by_byte(line_end: bytes) -> None:
    """The smallest pieces are pieces like others."""
    stream, reader = STREAM.replace(b"\n", line_end), SseReader()
    pieces = [stream[place : place + 1] for place in range(len(stream))]

    assert [frame for piece in pieces for frame in reader.feed(piece)] == EXPECTED


def test_an_unfinished_event_is_not_told() -> None:
    """Half a frame waits for its other half."""
    assert list(SseReader().feed(b"data: half\n")) == []


def test_a_ping_is_no_event() -> None:
    """Keep-alives pass unseen."""
    assert list(SseReader().feed(b": ping\n\n")) == []
