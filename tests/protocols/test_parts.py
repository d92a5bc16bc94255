"""What the protocols read alike."""

from __future__ import annotations

import pytest

from lingma_cli.core.chat import (
    MediaKind,
    MediaPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolOutputPart,
)
from lingma_cli.protocols.parts import BlockSource, by_speaker, tool_output

WORDS = TextPart(text="words")
IMAGE = MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64,AA==")
FIRST = ToolOutputPart(call_id="a", text="1")
SECOND = ToolOutputPart(call_id="b", text="2")


@pytest.mark.parametrize(
    ("source", "reference"),
    [
        (BlockSource(media_type="image/png", data="AA=="), "data:image/png;base64,AA=="),
        (BlockSource(data=""), "data:;base64,"),
        (BlockSource(url="https://example.org/a.png", file_id="f"), "https://example.org/a.png"),
        (BlockSource(file_id="f"), "f"),
        (BlockSource(), ""),
    ],
)
def test_where_the_bytes_are(source: BlockSource, reference: str) -> None:
    """Bytes come first, then an address, then an id."""
    assert reference == source.reference


@pytest.mark.parametrize(
    ("parts", "turns"),
    [
        ([], [(Role.USER, ())]),
        ([WORDS, IMAGE], [(Role.USER, (WORDS, IMAGE))]),
        ([FIRST, SECOND], [(Role.TOOL, (FIRST, SECOND))]),
        (
            [FIRST, WORDS, SECOND],
            [(Role.TOOL, (FIRST,)), (Role.USER, (WORDS,)), (Role.TOOL, (SECOND,))],
        ),
    ],
)
def test_results_are_turns_of_their_own(
    parts: list[Part], turns: list[tuple[Role, tuple[Part, ...]]]
) -> None:
    """The order stays; a turn without parts is a turn all the same."""
    expected = [Message(role=role, parts=parts) for role, parts in turns]

    assert expected == list(by_speaker(Role.USER, iter(parts)))


def test_what_a_tool_answered() -> None:
    """Texts are lines, media stay media; nothing else is an answer."""
    parts: list[Part] = [WORDS, IMAGE, TextPart(text="more"), ReasoningPart(text="hm")]
    expected = ToolOutputPart(call_id="a", text="words\nmore", media=(IMAGE,), is_error=True)

    assert expected == tool_output("a", iter(parts), is_error=True)
    assert tool_output("b", ()) == ToolOutputPart(call_id="b", text="")
