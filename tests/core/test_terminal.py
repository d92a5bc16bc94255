"""What comes from elsewhere cannot command the terminal."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.terminal import Sanitiser, clean, clean_line

HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

CSI = [
    f"{start}{parameters}{final}"
    for start, parameters, final in itertools.product(
        ["\x1b[", "\x9b"], ["", "2", "1;31", "?1049", "38:2::1:2:3", "0 "], "ABHJKmhlnqrstuc"
    )
]
STRINGS = [
    f"{start}{payload}{end}"
    for start, payload, end in itertools.product(
        ["\x1b]", "\x9d", "\x1bP", "\x90", "\x1b^", "\x9e", "\x1b_", "\x9f", "\x1bX", "\x98"],
        ["0;title", "52;c;cm0gLXJmIH4=", "8;;http://evil.example"],
        ["\x07", "\x1b\\", "\x9c"],
    )
]
OTHERS = [
    *(chr(code) for code in (*range(9), *range(11, 32), *range(127, 160))),
    *(f"\x1b{final}" for final in "c78=>DEHMNOZ"),
    *("\x1b(B", "\x1b#8", "\x1b%G", "\x1b\x1b[2J", "\x1b[\x1b[2J", "\x1b]0;t\x1b[31m"),
    *("\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069"),
    *("\r", "\ud800", "\udfff", "\x18", "\x1a", "\x1b[\x18", "\x1b]\x1a"),
]
CORPUS = [*CSI, *STRINGS, *OTHERS]


def test_the_corpus_is_of_a_size() -> None:
    """At least three hundred sequences are tried."""
    assert len(set(CORPUS)) >= 300


@pytest.mark.parametrize("sequences", [CSI, STRINGS, OTHERS], ids=["csi", "strings", "others"])
def test_no_sequence_gets_through_at_any_cut(sequences: list[str]) -> None:
    """Cut anywhere, a sequence leaves nothing that a terminal obeys, and what follows is kept."""
    for sequence in sequences:
        text = f"before {sequence}\nafter"
        whole = clean(text)
        assert whole.startswith("before ")
        assert whole.endswith("\nafter")
        for cut in range(len(text) + 1):
            sanitiser = Sanitiser()
            pieces = sanitiser.feed(text[:cut]) + sanitiser.feed(text[cut:])
            assert whole == pieces
            assert not HARMFUL.search(pieces), repr(sequence)


@given(st.text(st.sampled_from("a1;?[]\\PX^_mHB(\x07\x1b\x9b\x9d\x9c\n\t\r\x18 中")), st.data())
def test_any_mixture_is_harmless_however_it_is_cut(text: str, data: st.DataObject) -> None:
    """Fragments of sequences in any order and any cut give the same harmless text."""
    cut = data.draw(st.integers(0, len(text)))
    sanitiser = Sanitiser()

    pieces = sanitiser.feed(text[:cut]) + sanitiser.feed(text[cut:])

    assert clean(text) == pieces
    assert not HARMFUL.search(pieces)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        ("red", "\x1b[31mred\x1b[0m"),
        ("link", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\"),
        ("two\nlines", "two\r\nlines"),
        ("overwritten", "over\rwritten"),
        ("abc", "a\u202eb\u2066c"),
        ("中", "\x1b[中"),
    ],
)
def test_the_text_around_sequences_stays(shown: str, text: str) -> None:
    """Only what the terminal would obey is taken out."""
    assert shown == clean(text)


def test_an_open_sequence_hides_a_line_at_most() -> None:
    """A string sequence that is never closed cannot swallow the rest of an answer."""
    assert clean("\x1b]0;never closed\nvisible") == "\nvisible"


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs"))))
def test_plain_text_is_left_alone(text: str) -> None:
    """Letters of every script, emoji and symbols pass unchanged."""
    assert text == clean(text)


def test_joiners_line_feeds_and_tabs_are_text() -> None:
    """Emoji sequences and code keep what holds them together."""
    text = "def f():\n\treturn '👩‍👩‍👧'\n"

    assert text == clean(text)


def test_a_cleaned_line_is_one_line() -> None:
    """Names and messages cannot fake a second line."""
    assert clean_line("\x1b[2Ja\r\n b\n") == "a b"
