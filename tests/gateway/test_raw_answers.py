"""Answers that pass as they are, in whole events."""

from __future__ import annotations

import pytest

from lingma_cli.core.events import Usage
from lingma_cli.errors import ErrorKind
from lingma_cli.gateway.errands import Completions
from tests.support.passing_engine import WHOLE, Passing, Piece, completer, event, refused
from tests.support.virtual_time import run


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_events_pass_whole(size: int, newline: bytes) -> None:
    """However an engine cuts its stream, something can stand between any two chunks."""
    stream = WHOLE.replace(b"\n", newline)
    pieces: list[Piece] = [stream[at : at + size] for at in range(0, len(stream), size)]

    chunks = run(Passing(completer(pieces)).complete())

    assert b"".join(chunks) == stream
    assert all(chunk.endswith(newline * 2) for chunk in chunks)


def test_a_last_event_without_its_blank_line_counts() -> None:
    """Some servers close at once."""
    chunks = run(Passing(completer([event("a"), b"data: [DONE]\n"])).complete())

    assert b"".join(chunks) == event("a") + b"data: [DONE]\n\n\n"


@pytest.mark.parametrize("last", [[], [b'data: {"choices": [{"te']])
def test_a_stream_that_just_ends_was_broken_off(last: list[Piece]) -> None:
    """Nothing said that it is whole; half an event is not passed on."""
    house, chunks = Passing(completer([event("a"), *last])), []

    async def main() -> None:
        async with house.forwarding.open(
            Completions(), {"prompt": ""}, request_id="r", caller="c", headers={}
        ) as forward:
            while chunk := await forward.next_chunk():
                chunks.append(chunk)

    assert refused(main).kind is ErrorKind.ENGINE_FAILED
    assert chunks == [event("a")]
    assert house.record.end == "engine_failed"
    assert house.record.attempts[0].error == "engine_failed"
    house.assert_nothing_is_held()


def test_a_failure_that_the_engine_tells_itself_passes() -> None:
    """And is one for the record."""
    failure = b'data: {"error": {"message": "no memory"}}\n\n'
    house = Passing(completer([event("a"), failure]))

    assert run(house.complete()) == [event("a"), failure]
    assert (house.record.end, house.record.attempts[0].error) == ("engine_failed", "engine_failed")
    assert house.registry.slots[0].answered == 0


def test_what_is_no_stream_passes_as_a_whole() -> None:
    """In one piece, however it came."""
    body = b'{"choices": [{"text": "a", "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}'
    slot = completer([body[:9], body[9:]], content_type="application/json")
    house = Passing(slot)

    assert run(house.complete()) == [body]
    assert (house.record.end, house.record.usage) == (
        "stop",
        Usage(input_tokens=1, output_tokens=0),
    )


def test_what_is_no_json_is_a_failure() -> None:
    """A page of a proxy, or half an answer."""
    half = completer([b'{"choices": ['], content_type="application/json")

    assert refused(Passing(half).complete).kind is ErrorKind.ENGINE_FAILED
