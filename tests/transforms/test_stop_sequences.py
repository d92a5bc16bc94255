"""Stop sequences in a stream of text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.collect import Collector
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.core.grammar import Seal
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.transforms.stop_sequences import StopSequences
from tests.support.strategies import cuts, is_sentence, sealed_streams, text_cuts, texts

DONE = Finished(reason=FinishReason.LENGTH)
letters = st.text("ab", max_size=12)
stop_lists = st.lists(st.text("ab", min_size=1, max_size=4), max_size=4)


def _text(text: str) -> BlockDelta:
    return BlockDelta(kind=BlockKind.TEXT, text=text)


def _stopped(text: str, stop: str) -> list[ChatEvent]:
    return [_text(text), Finished(reason=FinishReason.STOP, stop_sequence=stop)]


def _read(stops: list[str], pieces: list[str]) -> tuple[str, Finished | None]:
    """Return the text and the end of a stream of pieces."""
    stopping = StopSequences(stops)
    answer = Collector()
    seal = Seal("m")
    events: list[ChatEvent] = [*map(_text, pieces), DONE]
    for event in events:
        answer.feed(seal.feed(stopping.feed([event])))
    return answer.text(), answer.finished


def _naive(stops: list[str], text: str) -> tuple[str, Finished | None]:
    """Say the same by trying every stop sequence at every place."""
    for at in range(len(text)):
        here = [stop for stop in stops if text.startswith(stop, at)]
        if here:
            return text[:at], Finished(reason=FinishReason.STOP, stop_sequence=max(here, key=len))
    return text, DONE


@given(stop_lists, letters, st.data())
def test_any_cut_reads_alike(stops: list[str], text: str, data: st.DataObject) -> None:
    """The earliest match wins, the longest at the same place, wherever the text is cut."""
    assert _naive(stops, text) == _read(stops, data.draw(text_cuts(text)))


@given(st.lists(texts, max_size=3), texts, st.data())
def test_any_text_and_any_stops(stops: list[str], text: str, data: st.DataObject) -> None:
    """No character means anything to the search but itself; empty sequences stop nothing."""
    expected = _naive([stop for stop in stops if stop], text)

    assert expected == _read(stops, data.draw(text_cuts(text)))


@pytest.mark.parametrize(
    ("pieces", "sent"),
    [
        (["hello"], ["hello"]),
        (["hello E"], ["hello "]),
        (["hello EN"], ["hello "]),
        (["hello EN", "ORMOUS"], ["hello ", "ENORMOUS"]),
        (["EEN"], ["E"]),
    ],
)
def test_only_a_beginning_is_held_back(pieces: list[str], sent: list[str]) -> None:
    """All text goes out at once but for what a stop sequence may begin with."""
    stopping = StopSequences(["END"])

    assert [_text(text) for text in sent] == stopping.feed(map(_text, pieces))


def test_a_match_that_cannot_grow_ends_at_once() -> None:
    """The end does not wait for the engine to say more."""
    stopping = StopSequences(["END"])

    assert _stopped("hello ", "END") == stopping.feed([_text("hello END")])
    assert stopping.ended


def test_nothing_follows_the_end() -> None:
    """The rest of the batch and later ones are dropped, the engine's own end too."""
    stopping = StopSequences(["END"])

    assert _stopped("a", "END") == stopping.feed([_text("aENDb"), _text("c"), DONE])
    assert stopping.feed([_text("d"), DONE]) == []


@pytest.mark.parametrize(
    "event",
    [
        DONE,
        Failed(error=LingmaError(ErrorKind.ENGINE_FAILED, "x")),
        BlockClosed(),
        BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="f"),
        BlockDelta(kind=BlockKind.REASONING, text="hm"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_is_held_back_goes_out_when_the_text_is_over(event: ChatEvent) -> None:
    """An end, another block or another kind: what waited was text, or a shorter match."""
    assert [_text("EN"), event] == StopSequences(["END"]).feed([_text("EN"), event])
    assert _stopped("a", "EN") == StopSequences(["END", "EN"]).feed([_text("aEN"), event])


def test_a_match_does_not_reach_over_other_blocks() -> None:
    """Text before and after a block is not one text."""
    events: list[ChatEvent] = [
        _text("EN"),
        BlockDelta(kind=BlockKind.REASONING, text="hm"),
        _text("D"),
    ]

    assert events == StopSequences(["END"]).feed(events)


@pytest.mark.parametrize("kind", [BlockKind.REASONING, BlockKind.TOOL_CALL])
def test_only_text_is_searched(kind: BlockKind) -> None:
    """Reasoning and arguments may say what they like."""
    events: list[ChatEvent] = [BlockDelta(kind=kind, text="END")]

    assert events == StopSequences(["END"]).feed(events)


def test_a_usage_report_passes() -> None:
    """Counts in the middle of a text do not part it."""
    usage = UsageReported(usage=Usage(input_tokens=1, output_tokens=1))
    expected = [usage, Finished(reason=FinishReason.STOP, stop_sequence="END")]

    assert expected == StopSequences(["END"]).feed([_text("EN"), usage, _text("D")])


@given(sealed_streams, stop_lists, st.data())
def test_a_sealed_stream_stays_sealed(
    events: list[ChatEvent], stops: list[str], data: st.DataObject
) -> None:
    """Brackets are kept, and an early end closes the open block."""
    stopping = StopSequences(stops)

    out = [event for batch in data.draw(cuts(events)) for event in stopping.feed(batch)]

    assert is_sentence(out)


def test_time_is_linear() -> None:
    """A long text of beginnings, one character a piece, against a long stop sequence."""
    stopping = StopSequences(["a" * 2000 + "b"])
    out = stopping.feed([Started(model="m"), *[_text("a")] * 100_000, DONE])

    assert sum(len(event.text) for event in out if isinstance(event, BlockDelta)) == 100_000
