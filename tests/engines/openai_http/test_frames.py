"""Server-sent events, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given

from lingma_cli.engines.openai_http.frames import FrameReader, FrameTooLargeError
from tests.support.strategies import byte_cuts

STREAM = (
    ': hello\n\nevent: x\ndata: {"a":"é🙂"}\nid: 1\n\n\n\ndata:two\ndata: lines\n\n'
    'error: {"code":500}\n\ndata\n\ndata: [DONE]\n\n'
)
FRAMES = ['{"a":"é🙂"}', "two\nlines", '{"code":500}', "", "[DONE]"]


def read(pieces: list[bytes], limit: int = 10_000) -> list[str]:
    """Return all frames of `pieces`, to the end."""
    reader = FrameReader(limit)
    frames = [frame for piece in pieces for frame in reader.feed(piece)]
    return [frame.decode() for frame in [*frames, *reader.end()]]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_every_cut_and_line_ending_gives_the_same_frames(ending: str) -> None:
    """Neither where the bytes are cut nor how lines end changes what is read."""
    stream = STREAM.replace("\n", ending).encode()

    @given(byte_cuts(stream))
    def check(pieces: list[bytes]) -> None:
        assert read(pieces) == FRAMES

    check()
    assert read([stream[at : at + 1] for at in range(len(stream))]) == FRAMES


def test_the_end_of_the_stream_ends_an_event() -> None:
    """A server that closes after its last line has said it."""
    assert read([b"data: a\n\ndata: b"]) == ["a", "b"]
    assert read([b"data: a\n"]) == ["a"]
    assert read([b""]) == []


@pytest.mark.parametrize(
    "endless", [b"data: aaaaaaaaaaaaaaa", b"data: aaaaaaaaaaaaaa\n", b"data:\n", b": aaaaa"]
)
def test_an_event_without_an_end_is_given_up(endless: bytes) -> None:
    """Memory is bounded, whether lines or events do not end."""
    with pytest.raises(FrameTooLargeError):
        read([endless] * 100, limit=90)


def test_many_events_are_no_long_event() -> None:
    """The bound is for one event, not for the stream."""
    assert len(read([b"data: aaaaaaaaaa\n\n"] * 1000, limit=20)) == 1000
    assert len(read([b"data: aaaaaaaaaa\n\nda", b"ta: b\n\n"] * 1000, limit=20)) == 2000
