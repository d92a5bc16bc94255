"""The law of the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
)
from lingma_cli.core.grammar import Seal, failed_early
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.strategies import cuts, is_sentence, loose_streams, seal

STOP = Finished(reason=FinishReason.STOP)
CALLED = Finished(reason=FinishReason.TOOL_CALLS)


def _is_end(event: ChatEvent) -> bool:
    return isinstance(event, Finished | Failed)


@given(loose_streams.flatmap(cuts))
def test_whatever_is_fed_comes_out_as_one_sentence(batches: list[list[ChatEvent]]) -> None:
    """Any events, however they are cut, become one beginning, lawful blocks and one end."""
    sealed = seal(batches)

    assert is_sentence(sealed)
    assert sum(map(_is_end, sealed)) == 1
    assert sum(isinstance(event, Started) for event in sealed) == 1


@given(loose_streams, st.data())
def test_how_it_is_cut_does_not_matter(loose: list[ChatEvent], data: st.DataObject) -> None:
    """Batches are a matter of time only: the sealed stream is the same."""
    whole, pieces = Seal("m"), Seal("m")
    batches = data.draw(cuts(loose))

    expected = whole.feed(loose)

    assert expected == [event for batch in batches for event in pieces.feed(batch)]
    assert whole.ended == pieces.ended


@given(loose_streams)
def test_no_text_before_the_end_is_lost(loose: list[ChatEvent]) -> None:
    """All text up to the first end comes through, in its order; what follows it does not."""
    end = next((place for place, event in enumerate(loose) if _is_end(event)), len(loose))

    assert [text for text in _said(loose[:end]) if text] == _said(seal([loose]))


def _said(events: list[ChatEvent]) -> list[str]:
    deltas = [event for event in events if isinstance(event, BlockDelta)]
    return [delta.text for delta in deltas if delta.kind is not BlockKind.TOOL_CALL]


@pytest.mark.parametrize("stop", [None, "Observation:"])
def test_an_answer_with_calls_ends_with_them(stop: str | None) -> None:
    """A client that reads `stop` would not run its tools; a stop sequence changes nothing."""
    called = BlockOpened(kind=BlockKind.TOOL_CALL, call_id="1", name="f")

    *_, end = Seal("m").feed([called, Finished(reason=FinishReason.STOP, stop_sequence=stop)])

    assert end == CALLED


def test_an_answer_without_calls_does_not_end_with_them() -> None:
    """Where there is nothing to run, the answer is over."""
    *_, end = Seal("m").feed([BlockDelta(kind=BlockKind.TEXT, text="a"), CALLED])

    assert end == STOP


def test_an_answer_that_was_cut_was_cut() -> None:
    """Its last call may be half of one."""
    called = BlockOpened(kind=BlockKind.TOOL_CALL, call_id="1", name="f")
    cut = Finished(reason=FinishReason.LENGTH)

    *_, end = Seal("m").feed([called, cut])

    assert end == cut


def test_a_forgotten_beginning_names_the_requests_model() -> None:
    """Where the engine gave no `Started`, there is one with the model asked for."""
    assert [Started(model="m"), STOP] == Seal("m").feed([STOP])


def test_the_engines_own_beginning_counts() -> None:
    """A model that the engine names is the stream's, and a second beginning is dropped."""
    sealed = Seal("asked").feed([Started(model="served"), Started(model="again"), STOP])

    assert [Started(model="served"), STOP] == sealed


def test_an_engine_that_just_stops_has_failed() -> None:
    """Without an end of its own, a stream ends as a failure of the engine."""
    sealed = Seal("m")
    sealed.feed([BlockDelta(kind=BlockKind.TEXT, text="half")])

    *_, end = sealed.close()

    assert isinstance(end, Failed)
    assert ErrorKind.ENGINE_FAILED is end.error.kind
    assert sealed.ended


def test_closing_with_an_error_ends_with_it() -> None:
    """The reason given to `close` is the one the client reads."""
    error = LingmaError(ErrorKind.SHUTTING_DOWN, "bye")

    *_, end = Seal("m").close(error)

    assert Failed(error=error) == end


def test_after_the_end_there_is_nothing() -> None:
    """Late events and late closings are dropped."""
    sealed = Seal("m")
    sealed.feed([STOP])

    assert sealed.feed([BlockDelta(kind=BlockKind.TEXT, text="late"), STOP]) == []
    assert sealed.close() == []


def test_a_failure_before_a_word() -> None:
    """A beginning is no word; a failure after one, or none at all, is not early."""
    error = LingmaError(ErrorKind.ENGINE_FAILED, "broke")
    started, failed = Started(model="m"), Failed(error=error)
    text = BlockDelta(kind=BlockKind.TEXT, text="a")

    assert failed_early([started, failed]) is error
    batches: list[list[ChatEvent]] = [[], [started], [text, failed], [started, STOP, failed]]
    assert [failed_early(batch) for batch in batches] == [None] * 4
