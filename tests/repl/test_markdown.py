"""Where Markdown that is still being written can be cut for good."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.repl.markdown import Piece, PieceKind, Splitter

LINES = st.sampled_from(
    [
        "",
        "text",
        "- item",
        "  more",
        "12. twelve",
        "1) one",
        "# head",
        "```",
        "```py",
        "~~~~",
        "|a|b|",
    ]
)
PROSE, CODE = PieceKind.PROSE, PieceKind.CODE
OPENED, CLOSED = PieceKind.FENCE_OPENED, PieceKind.FENCE_CLOSED


def split(source: str) -> list[Piece]:
    splitter = Splitter()
    return splitter.feed(source) + splitter.close()


def kinds(source: str) -> list[tuple[PieceKind, str]]:
    return [(piece.kind, piece.text) for piece in split(source)]


def texts(source: str) -> list[str]:
    return [piece.text for piece in split(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("one\ntwo\n\nthree", ["one\ntwo", "three"]),
        ("# head\ntext", ["# head", "text"]),
        ("head\n====\n\ntext", ["head\n====", "text"]),
        ("text\n- a\n- b\n", ["text", "- a", "- b"]),
        ("- a\n\n  more of a\n\nb", ["- a\n\n  more of a", "b"]),
        ("- a\n  - nested\n- b", ["- a\n  - nested", "- b"]),
        (
            "- a\n\n  ```\n  x\n\n- no item\n  ```\n- b",
            ["- a\n\n  ```\n  x\n\n- no item\n  ```", "- b"],
        ),
        ("1. a\n2. b", ["1. a", "2. b"]),
        ("born in\n1986. A fine year", ["born in\n1986. A fine year"]),
        ("|a|\n|-|\n|b|\n\nc", ["|a|\n|-|\n|b|", "c"]),
        ("**bold** first", ["**bold** first"]),
        ("\n\n\n", []),
    ],
)
def test_prose_is_cut_where_a_block_ends(source: str, expected: list[str]) -> None:
    """At blank lines, headings and items, never inside of what belongs together."""
    assert expected == texts(source)


def test_a_fence_gives_its_lines_at_once() -> None:
    """Code is final line by line; blank lines and markers in it mean nothing."""
    expected = [
        (PROSE, "text"),
        (OPENED, "```py"),
        (CODE, "a = 1\n\n- b\n~~~\n``"),
        (CLOSED, "```"),
        (PROSE, "after"),
    ]

    assert expected == kinds("text\n```py\na = 1\n\n- b\n~~~\n``\n```\nafter")


def test_an_open_fence_is_kept_to_the_end() -> None:
    """An answer that stops inside a fence loses nothing."""
    assert kinds("~~~\nx") == [(OPENED, "~~~"), (CODE, "x")]


def test_items_of_a_tight_list_join() -> None:
    """Items stand close together, unless a blank line set them apart."""
    assert [piece.joins for piece in split("- a\n- b\n\n- c\n")] == [False, True, False]


@given(st.lists(LINES).map("\n".join), st.data())
def test_however_the_text_is_cut(source: str, data: st.DataObject) -> None:
    """The pieces are the same for every split of the text, and hold every word of it."""
    splitter, pieces, rest = Splitter(), [], source
    while rest:
        size = data.draw(st.integers(1, 7))
        pieces += splitter.feed(rest[:size])
        rest = rest[size:]
    pieces += splitter.close()

    def merged(given: list[Piece]) -> list[tuple[PieceKind, str]]:
        # How many lines of code come at once depends on the cut.
        flat = [(piece.kind, line) for piece in given for line in piece.text.split("\n")]
        return [pair for pair in flat if pair[1] or pair[0] is CODE]

    assert merged(split(source)) == merged(pieces)
    assert source.split() == " ".join(piece.text for piece in pieces).split()


@pytest.mark.parametrize(
    ("source", "tail"),
    [
        ("", None),
        ("done\n\n", None),
        ("some **bo", "some **bo"),
        ("text\n-", "text\n"),
        ("text\n``", "text\n"),
        ("text\n12. ", "text\n"),
        ("1 2 3", "1 2 3"),
        ("text\n```py", "text\n"),
        ("|a|b|\n|--", "|a|b|\n"),
        ("```\nx = ", "x = "),
        ("```\nx\n", None),
    ],
)
def test_the_tail_is_what_may_change(source: str, tail: str | None) -> None:
    """A last line that may become anything is held back: it would flash as something else."""
    splitter = Splitter()
    splitter.feed(source)

    assert tail == (splitter.tail.text if splitter.tail else None)
