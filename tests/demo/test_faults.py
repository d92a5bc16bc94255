"""Garbage for the byte stream."""

import pytest

from lingma_cli.demo.directives import GARBAGE
from lingma_cli.demo.faults import garbage
from lingma_cli.demo.wire import Inbox, Stray


@pytest.mark.parametrize("kind", GARBAGE)
def test_every_kind_is_made(kind: str) -> None:
    """Each kind gives either a message or raw bytes."""
    rubbish = garbage(kind, "R")

    assert (rubbish.message is None) == bool(rubbish.raw)


@pytest.mark.parametrize("kind", ["bytes", "length", "nolength", "negative"])
def test_header_garbage_is_no_frame(kind: str) -> None:
    """A reader of frames finds strays only."""
    message = garbage(kind, "R").message

    assert message is not None
    assert all(isinstance(item, Stray) for item in Inbox().feed(message.payload))


@pytest.mark.parametrize("kind", ["json", "utf8", "array", "deep", "params", "types"])
def test_body_garbage_is_well_framed(kind: str) -> None:
    """The frame is right, what is inside is not."""
    message = garbage(kind, "R").message

    assert message is not None
    assert len(Inbox().feed(message.payload)) == 1


def test_a_wrong_text_message_is_not_utf8() -> None:
    """The WebSocket library of the client must notice this one."""
    message = garbage("text", "R").message

    assert message is not None
    assert message.is_text
    with pytest.raises(UnicodeDecodeError):
        message.payload.decode()
