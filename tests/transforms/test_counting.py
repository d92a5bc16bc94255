"""Token counts where the engine gives none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import (
    ChatRequest,
    MediaKind,
    MediaPart,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Usage,
    UsageReported,
)
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.transforms.counting import (
    MEDIA_TOKENS,
    TokenEstimate,
    UsageCounter,
    count_tokens,
    estimate_input,
)
from tests.support.strategies import cuts, loose_streams, text_cuts, texts

STOP = Finished(reason=FinishReason.STOP)


def _tokens(*pieces: str) -> int:
    total = TokenEstimate()
    for piece in pieces:
        total.add(piece)
    return total.tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("a" * 400, 100),
        ("你" * 400, 300),
        ("a" * 200 + "你" * 200, 200),
        ("é" * 8, 4),
        ("😀" * 100, 100),
    ],
)
def test_estimates(text: str, tokens: int) -> None:
    """Four narrow characters are one token, four Chinese ones three."""
    assert tokens == _tokens(text)


@given(texts, st.data())
def test_how_a_text_is_cut_does_not_matter(text: str, data: st.DataObject) -> None:
    """A stream counts as much as the whole answer."""
    assert _tokens(text) == _tokens(*data.draw(text_cuts(text)))


@given(texts, texts)
def test_more_text_is_never_fewer_tokens(text: str, more: str) -> None:
    """Estimates grow."""
    assert _tokens(text) <= _tokens(text, more)


IMAGE = MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64," + "A" * 10**5)


def test_all_turns_are_counted() -> None:
    """System text, text, reasoning, calls and outputs count by their length."""
    four = "a" * 16
    parts = (
        TextPart(text=four),
        ReasoningPart(text=four),
        ToolUsePart(call_id="x", name=four, arguments=four),
        ToolOutputPart(call_id="x", text=four),
    )
    system = Message(role=Role.SYSTEM, parts=(TextPart(text=four),))

    assert estimate_input([system, Message(role=Role.USER, parts=parts)]) == 24


def test_media_have_a_price_of_their_own() -> None:
    """An image costs the same however long its data are, in a turn and in a tool's result."""
    output = ToolOutputPart(call_id="x", text="", media=(IMAGE,))
    messages = [Message(role=Role.USER, parts=(IMAGE, output))]

    assert estimate_input(messages) == 2 * MEDIA_TOKENS


def test_tools_are_counted() -> None:
    """Name, description and every word of the schema."""
    schema = {"type": "object", "properties": {"city": {"enum": ["Oslo", "Rome", 5, None]}}}
    words = "weather tells the weather type object properties city enum Oslo Rome 5 None"
    tool = Tool(name="weather", description="tells the weather", parameters=schema)

    assert _tokens(words) <= estimate_input([], [tool]) <= 2 * _tokens(words)
    assert estimate_input([]) == 0


def test_a_schema_may_be_deep() -> None:
    """Counting follows any depth that a body can have, and further."""
    schema: dict[str, Any] = {}
    for _ in range(10_000):
        schema = {"a": [schema]}

    assert estimate_input([], [Tool(name="f", parameters=schema)]) > 10_000


def test_what_the_client_sent_is_counted() -> None:
    """The count of a request is that of its turns and its tools together."""
    messages = (Message(role=Role.USER, parts=(TextPart(text="hello"),)),)
    tools = (Tool(name="f", description="d" * 400),)
    request = ChatRequest(model="m", messages=messages, tools=tools)

    assert estimate_input(messages, tools) == count_tokens(request)
    assert count_tokens(request) > estimate_input(messages) + 99


@pytest.mark.parametrize(
    "end", [STOP, Failed(error=LingmaError(ErrorKind.ENGINE_FAILED, "x"))], ids=["good", "bad"]
)
def test_an_estimate_comes_before_the_end(end: ChatEvent) -> None:
    """Reasoning is part of the output and told apart."""
    events: list[ChatEvent] = [
        BlockDelta(kind=BlockKind.REASONING, text="a" * 8),
        BlockDelta(kind=BlockKind.TEXT, text="a" * 12),
    ]
    usage = Usage(input_tokens=7, output_tokens=5, reasoning_tokens=2, estimated=True)

    assert [*events, UsageReported(usage=usage), end] == UsageCounter(7).feed([*events, end])


def test_real_counts_are_left_alone() -> None:
    """Where the engine counts, nothing is added."""
    events: list[ChatEvent] = [UsageReported(usage=Usage(input_tokens=1, output_tokens=1)), STOP]

    assert events == UsageCounter(7).feed(events)


@given(loose_streams, st.data())
def test_nothing_but_usage_is_added(loose: list[ChatEvent], data: st.DataObject) -> None:
    """All events pass in their order, however they are cut."""
    counter = UsageCounter(0)
    out = [event for batch in data.draw(cuts(loose)) for event in counter.feed(batch)]
    estimates = [e for e in out if isinstance(e, UsageReported) and e not in loose]

    assert loose == [event for event in out if event not in estimates]
