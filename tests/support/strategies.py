"""Hypothesis strategies for event streams: loose ones in any order, sealed ones, and cuts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st

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

# A shared, busy machine must not fail a law for being slow.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

T = TypeVar("T")

# Whatever UTF-8 can carry: lone surrogates cannot come out of a JSON decoder of ours.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
usages = st.builds(
    Usage,
    input_tokens=st.integers(0, 10**6),
    output_tokens=st.integers(0, 10**6),
    reasoning_tokens=st.integers(0, 10**6),
    estimated=st.booleans(),
)
errors = st.builds(LingmaError, st.sampled_from(ErrorKind), texts)
ends = st.one_of(
    st.builds(Finished, reason=st.sampled_from(FinishReason)), st.builds(Failed, error=errors)
)
loose_events: st.SearchStrategy[ChatEvent] = st.one_of(
    st.builds(Started, model=texts),
    st.builds(BlockOpened, kind=st.sampled_from(BlockKind), call_id=texts, name=texts),
    st.builds(BlockDelta, kind=st.sampled_from(BlockKind), text=texts),
    st.just(BlockClosed()),
    st.builds(UsageReported, usage=usages),
    ends,
)
loose_streams = st.lists(loose_events, max_size=24)

_LETTERS = {
    Started: "S",
    BlockOpened: "O",
    BlockDelta: "D",
    BlockClosed: "C",
    UsageReported: "U",
    Finished: "E",
    Failed: "E",
}
_SENTENCE = re.compile(r"S(OD*C|U)*E")


@st.composite
def cuts(draw: st.DrawFn, whole: Sequence[T]) -> list[list[T]]:
    """Cut a sequence into batches at any places; batches may be empty."""
    places = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    borders = [0, *places, len(whole)]
    return [list(whole[start:end]) for start, end in pairwise(borders)]


@st.composite
def byte_cuts(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """Cut bytes into pieces at any places."""
    return [bytes(piece) for piece in draw(cuts(whole))]


@st.composite
def text_cuts(draw: st.DrawFn, whole: str) -> list[str]:
    """Cut a text into pieces at any places."""
    return ["".join(piece) for piece in draw(cuts(whole))]


def seal(batches: Sequence[Sequence[ChatEvent]], model: str = "forgotten") -> list[ChatEvent]:
    """Return what a `Seal` makes of batches and a close."""
    sealing = Seal(model)
    lawful = [event for batch in batches for event in sealing.feed(batch)]
    return [*lawful, *sealing.close()]


sealed_streams: st.SearchStrategy[list[ChatEvent]] = loose_streams.map(lambda loose: seal([loose]))


def is_sentence(events: Sequence[ChatEvent]) -> bool:
    """Tell whether events obey the grammar, each delta inside a block of its own kind."""
    kind: BlockKind | None = None
    for event in events:
        if isinstance(event, BlockOpened):
            kind = event.kind
        elif isinstance(event, BlockDelta) and event.kind is not kind:
            return False
    letters = "".join(_LETTERS[type(event)] for event in events)
    return _SENTENCE.fullmatch(letters) is not None
