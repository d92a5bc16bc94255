"""How an answer looks on a terminal and in a pipe."""

import io
import re

from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
)
from lingma_cli.repl.view import MarkdownView, PlainView, Screen

CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def block(kind: BlockKind, *texts: str) -> list[ChatEvent]:
    deltas = [BlockDelta(kind=kind, text=text) for text in texts]
    return [BlockOpened(kind=kind), *deltas, BlockClosed()]


ANSWER = [
    *block(BlockKind.REASONING, "hm ", "\x1b[31mwell"),
    *block(BlockKind.TEXT, "yes", "\x1b]0;x\x07!"),
    *block(BlockKind.TOOL_CALL, "{}"),
    Finished(reason=FinishReason.STOP),
]


def shown(
    events: list[ChatEvent],
    *,
    is_terminal: bool,
    has_style: bool,
    kind: type[PlainView | MarkdownView] = PlainView,
) -> str:
    out = io.StringIO()
    view = kind(Screen(out=out, is_terminal=is_terminal, has_style=has_style))
    for event in events:
        view.feed(event)
    view.end()
    return out.getvalue()


def rendered(events: list[ChatEvent]) -> str:
    return shown(events, is_terminal=True, has_style=True, kind=MarkdownView)


def test_a_pipe_gets_the_text_alone() -> None:
    """Without a terminal there is no reasoning, no style, and a line feed at the end."""
    assert shown(ANSWER, is_terminal=False, has_style=False) == "yes!\n"


def test_a_terminal_shows_reasoning_dimmed_on_lines_of_its_own() -> None:
    """A person sees the reasoning, told apart from the answer; foreign style is gone."""
    dimmed = "\x1b[2mhm \x1b[0m\x1b[2mwell\x1b[0m\n"

    assert f"{dimmed}yes!\n" == shown(ANSWER, is_terminal=True, has_style=True)


def test_without_style_nothing_is_dimmed() -> None:
    """`NO_COLOR` leaves plain text."""
    assert shown(ANSWER, is_terminal=True, has_style=False) == "hm well\nyes!\n"


def test_style_is_brought_back_when_an_answer_is_cut_off() -> None:
    """An answer that stops in the middle of its reasoning leaves the terminal as it was."""
    for kind in (PlainView, MarkdownView):
        seen = shown(ANSWER[:2], is_terminal=True, has_style=True, kind=kind)
        assert seen == "\x1b[2mhm \x1b[0m\n"


def test_a_block_does_not_inherit_an_open_sequence() -> None:
    """A sequence left open in the reasoning takes nothing from the answer."""
    events = [*block(BlockKind.REASONING, "\x1b]0;"), *block(BlockKind.TEXT, "yes")]

    assert shown(events, is_terminal=True, has_style=False) == "yes\n"


def test_no_line_is_added_to_a_finished_line_or_to_nothing() -> None:
    """Output ends with exactly the line feed it needs."""
    assert shown(block(BlockKind.TEXT, "yes\n"), is_terminal=False, has_style=False) == "yes\n"
    assert shown([], is_terminal=True, has_style=True) == ""
    assert rendered([]) == ""


def test_markdown_is_rendered_below_the_reasoning() -> None:
    """Reasoning as it was written, a blank line, then the text without its markers."""
    events = [*block(BlockKind.REASONING, "*hm*"), *block(BlockKind.TEXT, "**y", "es**\n\n- a\n")]

    seen = rendered(events)

    assert seen.startswith("\x1b[2m*hm*\x1b[0m\n\n")
    assert "\x1b[1myes\x1b[0m" in seen
    assert CONTROL.sub("", seen).endswith("yes\n\n • a\n")


def test_rendered_text_cannot_command_the_terminal() -> None:
    """Nor can code or what is cut between two pieces."""
    seen = rendered(block(BlockKind.TEXT, "a\x1b]52;c;eA==", "\x07\n```\n\x1b[2Jb", "\u202e\n"))

    for harmful in ("\x1b]", "\x1b[2J", "\u202e", "\x07"):
        assert harmful not in seen
    assert "a" in seen
    assert "b" in seen


def test_a_text_that_is_cut_off_is_shown_to_its_end() -> None:
    """Without the end of its block, too; the cursor is left on a line of its own."""
    seen = rendered(block(BlockKind.TEXT, "half a **sen")[:2])

    assert CONTROL.sub("", seen).endswith("half a **sen\n")


def test_a_screen_that_has_no_size_is_a_usual_one() -> None:
    """Whatever is written to, lines have a width."""
    assert Screen(out=io.StringIO(), is_terminal=True, has_style=True).size() == (80, 24)
