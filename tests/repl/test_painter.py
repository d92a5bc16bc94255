"""The painter against a terminal emulator: what stays, what changes, and how little is written."""

import io
import os

import pyte
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.repl.painter import Painter
from lingma_cli.repl.render import Line

COLUMNS, LINES = 20, 6
SIZE = os.terminal_size((COLUMNS, LINES))
TEXTS = st.lists(st.sampled_from(["", "a", "ab", "abc", "xyz " * 4, "中文"]), max_size=9)


def lines(*texts: str) -> list[Line]:
    return [
        Line(styled=text, cells=sum(2 if char > "\u2e80" else 1 for char in text)) for text in texts
    ]


class Paper:
    """A screen with all that has scrolled off it, and what each frame wrote."""

    def __init__(self) -> None:
        self._out = io.StringIO()
        self._screen = pyte.HistoryScreen(COLUMNS, LINES, history=1000, ratio=0.1)
        self._screen.set_mode(pyte.modes.LNM)
        self._stream = pyte.Stream(self._screen)
        self._painter = Painter(self._out)

    def paint(self, fixed: list[str], live: list[str]) -> str:
        self._painter.paint(lines(*fixed), lines(*live), SIZE)
        written = self._out.getvalue()
        self._out.seek(0)
        self._out.truncate()
        self._stream.feed(written)
        return written

    @property
    def text(self) -> list[str]:
        rows = [
            "".join(row[column].data for column in range(COLUMNS)).rstrip()
            for row in self._screen.history.top
        ]
        shown = rows + [row.rstrip() for row in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown


def test_a_growing_line_is_only_added_to() -> None:
    """What is there already is not written again."""
    paper = Paper()
    paper.paint([], ["one", "tw"])

    assert paper.paint([], ["one", "two"]) == "o"
    assert paper.paint([], ["one", "two"]) == ""
    assert paper.paint([], ["one", "two", "three"]) == "\nthree"
    assert paper.text == ["one", "two", "three"]


def test_only_lines_that_differ_are_written_and_none_is_blank_in_between() -> None:
    """Old text is written over, not erased first: that would flicker."""
    paper = Paper()
    paper.paint([], ["same", "old text", "end"])

    written = paper.paint([], ["same", "new", "end"])

    assert "same" not in written
    assert written.index("new") < written.index("\x1b[K")
    assert paper.text == ["same", "new", "end"]


def test_what_is_fixed_is_never_touched_again() -> None:
    """Later frames begin below it."""
    paper = Paper()
    paper.paint([], ["draft"])
    paper.paint(["final"], ["next"])

    assert "final" not in paper.paint(["next one"], [])
    assert paper.text == ["final", "next one"]


def test_more_than_the_screen_shows_its_end() -> None:
    """Nothing scrolls away while it may still change; in the end all of it is there, once."""
    paper = Paper()
    many = [f"line {number}" for number in range(20)]
    for count in range(1, 20):
        paper.paint([], many[:count])
        assert paper.text[-1] == f"line {count - 1}"
        assert len(paper.text) < LINES
    paper.paint(many, [])

    assert many == paper.text


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8))
def test_any_frames(frames: list[tuple[list[str], list[str]]]) -> None:
    """After each frame the screen holds all that was fixed and the end of what is not."""
    paper, fixed_so_far = Paper(), list[str]()
    for fixed, live in frames:
        paper.paint(fixed, live)
        fixed_so_far += fixed
        expected = [text.rstrip() for text in (*fixed_so_far, *live[-(LINES - 1) :])]
        while expected and not expected[-1]:
            expected.pop()
        assert expected == paper.text
