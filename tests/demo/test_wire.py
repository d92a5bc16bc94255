"""Framing in both directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.demo.wire import PLAIN, Inbox, Message, Outbox, Stray, Wire, cut, frame

TYPED = b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\n"
BODY = '{"你好":"🙂"}'.encode()

bodies = st.lists(st.text(max_size=40).map(str.encode), max_size=6)


def test_the_length_counts_bytes() -> None:
    """The header is exactly the one of the protocol notes."""
    assert frame(BODY) == b"Content-Length: 17\r\n\r\n" + BODY


@pytest.mark.parametrize(
    ("wire", "head"),
    [
        (Wire(header="lower"), b"content-length: 17\r\n\r\n"),
        (Wire(header="upper"), b"CONTENT-LENGTH:17\r\n\r\n"),
        (Wire(separator="lf"), b"Content-Length: 17\n\n"),
        (Wire(header="typed"), TYPED + b"Content-Length: 17\r\n\r\n"),
    ],
)
def test_headers_vary(wire: Wire, head: bytes) -> None:
    """Each header style is what its key says."""
    assert frame(BODY, wire) == head + BODY


def test_a_plain_frame_is_one_text_message() -> None:
    """Without wire settings nothing is cut or held back."""
    assert Outbox().put(b"frame") == [Message(is_text=True, payload=b"frame")]


def test_pieces_that_are_not_utf8_are_binary() -> None:
    """A cut inside a character cannot be a text message."""
    sent = Outbox().put("a好".encode(), Wire(cut=2))

    assert sent == [
        Message(is_text=False, payload=b"a\xe5"),
        Message(is_text=False, payload=b"\xa5\xbd"),
    ]


def test_mixed_takes_turns() -> None:
    """Text and binary alternate."""
    assert [sent.is_text for sent in Outbox().put(b"abcd", Wire(cut=1, message="mixed"))] == [
        True,
        False,
        True,
        False,
    ]


def test_frames_share_a_message() -> None:
    """Coalesced frames leave together, or when flushed, or when the settings change."""
    outbox, pair = Outbox(), Wire(coalesce=2, message="binary")

    assert outbox.put(b"1", pair) == []
    assert outbox.put(b"2", pair) == [Message(is_text=False, payload=b"12")]
    assert outbox.put(b"3", pair) == []
    assert outbox.put(b"4", PLAIN) == [
        Message(is_text=False, payload=b"3"),
        Message(is_text=True, payload=b"4"),
    ]
    assert not outbox.is_waiting


@given(
    bodies=bodies,
    size=st.integers(0, 50),
    kind=st.sampled_from(["text", "binary", "mixed"]),
    coalesce=st.integers(1, 4),
    header=st.sampled_from(["plain", "lower", "upper", "typed"]),
    separator=st.sampled_from(["crlf", "lf"]),
    again=st.integers(1, 7),
)
def test_any_cut_reads_back_alike(
    bodies: list[bytes],
    size: int,
    kind: str,
    coalesce: int,
    header: str,
    separator: str,
    again: int,
) -> None:
    """What leaves in any shape is read back as the same bodies, whatever cuts it again."""
    wire = Wire(cut=size, coalesce=coalesce, message=kind, header=header, separator=separator)  # type: ignore[arg-type]
    outbox, inbox = Outbox(), Inbox()
    sent = [message for body in bodies for message in outbox.put(frame(body, wire), wire)]
    sent += outbox.flush()

    stream = b"".join(message.payload for message in sent)
    read = [body for piece in cut(stream, again) for body in inbox.feed(piece)]

    assert read == bodies
    assert all(not message.is_text or message.payload.decode() is not None for message in sent)


@pytest.mark.parametrize(
    "stray",
    [b'{"jsonrpc":"2.0"}', b"\x00\x01", b"Content-Type: text\r\n\r\n", b"x" * 5_000],
)
def test_bytes_without_a_header_are_ignored(stray: bytes) -> None:
    """Bare JSON and rubbish are reported, and the next frame is read."""
    inbox = Inbox()

    assert inbox.feed(stray) == [Stray(stray)]
    assert inbox.feed(frame(BODY)) == [BODY]
