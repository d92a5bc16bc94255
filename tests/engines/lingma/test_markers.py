"""Markers in answer text."""

from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.events import BlockKind
from lingma_cli.engines.lingma.markers import MarkerReader, Piece
from tests.support.strategies import text_cuts, texts

TEXT, REASONING = BlockKind.TEXT, BlockKind.REASONING


def _read(*deltas: str) -> list[Piece]:
    """Return the pieces of deltas, neighbours of one kind joined."""
    reader = MarkerReader()
    pieces = [piece for delta in deltas for piece in reader.feed(delta)] + reader.close()
    return [
        (kind, "".join(text for _, text in group))
        for kind, group in groupby(pieces, key=lambda piece: piece[0])
    ]


CASES: dict[str, tuple[str, list[Piece]]] = {
    "nothing": ("", []),
    "plain": ("Hello", [(TEXT, "Hello")]),
    "leading line breaks": ("\n\nHello\n", [(TEXT, "\n\nHello\n")]),
    "only line breaks": ("\n\n", [(TEXT, "\n\n")]),
    "tags": ("<think>hm</think>\n\nHello", [(REASONING, "hm"), (TEXT, "Hello")]),
    "tags in the middle": (
        "One <think>hm</think>two",
        [(TEXT, "One "), (REASONING, "hm"), (TEXT, "two")],
    ),
    "tags twice": (
        "<think>a</think>b<think>c</think>d",
        [(REASONING, "a"), (TEXT, "b"), (REASONING, "c"), (TEXT, "d")],
    ),
    "tags left open": ("<think>hm", [(REASONING, "hm")]),
    "tags around nothing": ("<think></think>Hello", [(TEXT, "Hello")]),
    "tags around markup": ("<think>a<b></think>c", [(REASONING, "a<b>"), (TEXT, "c")]),
    "tag begun": ("a <thi", [(TEXT, "a <thi")]),
    "closing tag alone": ("a </think> b", [(TEXT, "a </think> b")]),
    "tag in backticks": ("use `<think>` here", [(TEXT, "use `<think>` here")]),
    "less than": ("1 < 2 <t <thinking>", [(TEXT, "1 < 2 <t <thinking>")]),
    "block": (
        "\n````think::{THINK_TIME}\nhm\nhm\n````\nHello",
        [(REASONING, "hm\nhm"), (TEXT, "Hello")],
    ),
    "block with time": ("````think::12\nhm\n````\n\nHello", [(REASONING, "hm"), (TEXT, "Hello")]),
    "block with a fence inside": (
        "````think::1\n```py\nx\n```\n````\nHello",
        [(REASONING, "```py\nx\n```"), (TEXT, "Hello")],
    ),
    "block left open": ("````think::1\nhm", [(REASONING, "hm")]),
    "block closed by the end": ("````think::1\nhm\n````", [(REASONING, "hm")]),
    "empty block": ("````think::1\n````\nHello", [(TEXT, "Hello")]),
    "backticks inside a line do not close a block": (
        "````think::1\na ```` b\n````\nc",
        [(REASONING, "a ```` b"), (TEXT, "c")],
    ),
    "tool call": (
        "a\n```toolCall::read_file::id::RUNNING\n{}\n```\nb",
        [(TEXT, "a\nb")],
    ),
    "tool call left open": ("a\n```toolCall::x::y::INIT\n{}", [(TEXT, "a\n")]),
    "edit block": (
        "```python|CODE_EDIT_BLOCK|/a/b.py\nx = 1\n```\n",
        [(TEXT, "```python\nx = 1\n```\n")],
    ),
    "code fence": (
        "a\n```py\n<think>x</think>\n```\nb",
        [(TEXT, "a\n```py\n<think>x</think>\n```\nb")],
    ),
    "code fence first": ("\n\n```py\nx\n```\n", [(TEXT, "\n\n```py\nx\n```\n")]),
    "code fence with a bar": ("``` a|b \nx\n```\n", [(TEXT, "``` a|b \nx\n```\n")]),
    "code fence left open": ("```\n<think>", [(TEXT, "```\n<think>")]),
    "indented code fence": (
        "- see\n  ```html\n  <think>x</think>\n  ```\nb",
        [(TEXT, "- see\n  ```html\n  <think>x</think>\n  ```\nb")],
    ),
    "fence of five in a fence of four": (
        "````md\n```toolCall::a::b::INIT\n```\n````\nb",
        [(TEXT, "````md\n```toolCall::a::b::INIT\n```\n````\nb")],
    ),
    "fence inside a line": ("a ```think::1\nb", [(TEXT, "a ```think::1\nb")]),
    "after a code fence a marker counts again": (
        "```\nx\n```\n<think>hm</think>b",
        [(TEXT, "```\nx\n```\n"), (REASONING, "hm"), (TEXT, "b")],
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_markers_vanish_and_text_stays(text: str, expected: list[Piece]) -> None:
    """The same whether the text comes at once or a character at a time."""
    assert expected == _read(text)
    assert expected == _read(*text)


snippets = st.lists(
    st.sampled_from(
        (
            *("<think>", "</think>", "<thi", "````think::{THINK_TIME}\n", "````", "```", "`"),
            *("```toolCall::f::1::INIT\n", "```py|CODE_EDIT_BLOCK|/a\n", "~~~", "  ", "\t", "<"),
            *("\n", "\n", "\n\n", "a", "好😀", "```py\n", "|", "\r\n", "x" * 600),
        )
    ),
    max_size=12,
).map("".join)


@given(snippets, st.data())
def test_any_cut_reads_alike(text: str, data: st.DataObject) -> None:
    """Where the binary cuts its deltas has no meaning."""
    assert _read(text) == _read(*data.draw(text_cuts(text)))


@given(texts.filter(lambda text: "`" not in text and "<" not in text))
def test_plain_text_passes_unchanged(text: str) -> None:
    """What can be no marker is what it was."""
    assert text == "".join(piece for _, piece in _read(text))


@given(texts, st.integers(3, 5))
def test_what_stands_in_a_code_fence_is_untouched(text: str, ticks: int) -> None:
    """An answer can talk about markers."""
    inside = f"<think>{text.replace('`', '')}</think>"
    answer = f"a\n{'`' * ticks}x\n{inside}\n{'`' * ticks}\n"

    assert [(TEXT, answer)] == _read(answer)


@pytest.mark.parametrize("length", [510, 511, 512, 513, 600])
def test_a_long_info_string_reads_alike(length: int) -> None:
    """Text is held back for a while only, and what was let go is no fence afterwards either."""
    text = f"```{'x' * length}\n<think>a</think>\n```\nb"

    assert _read(text) == _read(*text)


def test_nothing_is_held_back_longer_than_needed() -> None:
    """Text goes out at once, up to what may still become a marker."""
    reader = MarkerReader()

    assert reader.feed("Hello <th") == [(TEXT, "Hello ")]
    assert reader.feed("1") == [(TEXT, "<th1")]
    assert reader.feed("a\n") == [(TEXT, "a\n")]
    assert reader.feed("``") == []
    assert reader.feed("x") == [(TEXT, "``x")]
