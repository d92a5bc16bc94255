"""What opens a block, decided as soon as it can be."""

from __future__ import annotations

import pytest

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.tool_dialects import Dialect
from lingma_cli.transforms.tool_fit import Offer
from lingma_cli.transforms.tool_openings import (
    UNDECIDED,
    Opening,
    fence_dialect,
    opening_fence,
    opening_tag,
)

OFFER = Offer([Tool(name="ls")])
FENCES = {
    "```json action\n": Dialect.ACTION,
    "```JSON  Action \r\n": Dialect.ACTION,
    "````json_action\n": Dialect.ACTION,
    "```json\n": Dialect.JSON,
    "``` tool_code\n": Dialect.PYTHON,
}
TAGS = {
    "<tool_call>": Dialect.TOOL_CALL,
    "<function=ls>": Dialect.FUNCTION,
    '<function="LS" >': Dialect.FUNCTION,
    "<function_calls>": Dialect.INVOKES,
}


def _ticks(text: str) -> int:
    return len(text) - len(text.lstrip("`"))


@pytest.mark.parametrize(("text", "dialect"), FENCES.items())
def test_a_fence_opens_with_its_line(text: str, dialect: Dialect) -> None:
    """It stays open as long as it may come, and holds its whole line."""
    found = opening_fence(f"{text}x", 0, _ticks(text))

    assert Opening(dialect=dialect, source=text, ticks="`" * _ticks(text)) == found
    for end in range(1, len(text)):
        begun = text[:end]
        assert opening_fence(begun, 0, _ticks(begun)) is UNDECIDED


@pytest.mark.parametrize("text", ["``j", "```p", "```json x", "```\n", f"```{' ' * 64}", "`" * 65])
def test_other_fences_open_nothing(text: str) -> None:
    """And are let go with the character that tells."""
    assert opening_fence(text, 0, _ticks(text)) is None


@pytest.mark.parametrize(("text", "dialect"), TAGS.items())
def test_a_tag_opens_with_its_end(text: str, dialect: Dialect) -> None:
    """It stays open as long as it may come."""
    assert Opening(dialect=dialect, source=text) == opening_tag(f"a{text}x", 1, OFFER)
    for end in range(1, len(text)):
        assert opening_tag(text[:end], 0, OFFER) is UNDECIDED


@pytest.mark.parametrize("text", ["<b", "<tool_calls", "<function=rm>", "<function=a\n", "</"])
def test_other_tags_open_nothing(text: str) -> None:
    """And are let go with the character that tells."""
    assert opening_tag(text, 0, OFFER) is None
    assert opening_tag(text[:-1], 0, OFFER) is UNDECIDED


def test_a_name_without_end_is_none() -> None:
    """Text is not held back for ever."""
    assert opening_tag(f"<function={'x' * 100}", 0, OFFER) is None


def test_info_strings() -> None:
    """White space and case do not matter."""
    assert fence_dialect(" Json\taction") is Dialect.ACTION
    assert fence_dialect("python") is None
