"""How pieces of Markdown look."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lingma_cli.repl.markdown import Piece, PieceKind, Splitter
from lingma_cli.repl.render import Renderer

STYLE = re.compile(r"\x1b\[[0-9;]*m")
MARKDOWN = st.text(st.sampled_from("ab中🙂 \n-*_`~#>|[]()!<&;:1.\t\\"), max_size=80)


def styled(source: str, width: int = 79) -> list[str]:
    splitter, renderer = Splitter(), Renderer()
    pieces = splitter.feed(source) + splitter.close()
    return [line.styled for piece in pieces for line in renderer.finished(piece, width)]


def plain(source: str, width: int = 79) -> str:
    return "\n".join(STYLE.sub("", line) for line in styled(source, width))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("**bold** and *em* and `code`", "bold and em and code"),
        ("# Head\ntext", "Head\n\ntext"),
        ("- a\n- b\n\ntext", " • a\n • b\n\ntext"),
        ("7. a\n8. b", " 7 a\n 8 b"),
        ("one\ntwo", "one\ntwo"),
        ("> wise", "▌ wise"),
        ("text\n```py\nx = 1\n```\nmore", "text\n\n```py\nx = 1\n```\n\nmore"),
        ("| a | b |\n|---|--:|\n| 1 | 20 |", " a   b\n ─────\n 1  20"),
        ("a " * 15, "a a a a a a a a a a\na a a a a"),
    ],
)
def test_the_usual_forms(source: str, expected: str) -> None:
    """Markers go, structure stays; a line break that was written is kept."""
    width = 20 if source.startswith("a a") else 79

    assert expected == plain(source, width)


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        ("use <b>this</b>", "<b>this</b>"),
        ("<div>\nblock\n</div>", "<div>\nblock\n</div>"),
        ("[text](http://a.example/b)", "text (http://a.example/b)"),
        ("![alt](http://a.example/i.png)", "http://a.example/i.png"),
        ("[1]: http://a.example", "[1]: http://a.example"),
    ],
)
def test_nothing_is_hidden(source: str, kept: str) -> None:
    """HTML, link targets, images and definitions can be read, and no link is a disguise."""
    assert kept in plain(source)
    assert "\x1b]8" not in "".join(styled(source))


def test_code_is_highlighted_with_what_stands_before_it() -> None:
    """The second line of a string is a string, although it comes alone."""
    renderer = Renderer()
    lines = []
    for kind, text in (
        (PieceKind.FENCE_OPENED, "```python"),
        (PieceKind.CODE, 'x = """one'),
        (PieceKind.CODE, 'if two"""'),
    ):
        lines += renderer.finished(Piece(kind=kind, text=text, joins=True), 79)

    whole = styled('```python\nx = """one\nif two"""')
    assert [line.styled for line in lines] == whole
    assert "\x1b[33mif two" in whole[-1]


def test_code_is_not_wrapped_and_not_padded() -> None:
    """What is copied from the screen is what was written."""
    code = "x = '" + "y" * 100 + "'"

    assert code in plain(f"```\n{code}\n```", 40).split("\n")


def test_what_is_unfinished_fits_the_width() -> None:
    """A line that may change takes one row, however long it is."""
    renderer = Renderer()
    for kind in PieceKind:
        tail = Piece(kind=kind, text="one\n" + "中" * 100, joins=True)
        assert all(line.cells <= 9 for line in renderer.unfinished(tail, 9))


@settings(deadline=None)
@given(MARKDOWN, st.integers(1, 60))
def test_no_text_breaks_it(source: str, width: int) -> None:
    """Whatever is written, every line can be shown, and a non-blank text is never nothing."""
    lines = styled(source, width)

    assert not any("\n" in line for line in lines)
    assert bool(source.strip()) == bool("".join(lines).strip())
