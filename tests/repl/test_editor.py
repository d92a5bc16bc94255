"""The line that is typed at, fed through a pipe."""

import io
from collections.abc import Iterator

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input

from lingma_cli.repl.editor import Editor

CTRL_C, CTRL_D, UP, ALT_ENTER = "\x03", "\x04", "\x1b[A", "\x1b\r"


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    """Where keys are pressed; editors made meanwhile read them."""
    with create_pipe_input() as pipe, create_app_session(input=pipe):
        yield pipe


def editor(*history: str) -> tuple[Editor, list[str]]:
    remembered: list[str] = []
    made = Editor(io.StringIO(), history=history, remember=remembered.append)
    return made, remembered


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("hello\r", "hello"),
        ("one\\\rtwo\r", "one\ntwo"),
        (f"one{ALT_ENTER}two\r", "one\ntwo"),
        ("\x1b[200~def f():\r\n    return 1\n\x1b[201~\r", "def f():\n    return 1\n"),
        ("\x1b[200~/exit\nnot now\x1b[201~ ok\r", "/exit\nnot now ok"),
        ("wrong\x1b[D\x1b[D\x01right \r", "right wrong"),
        ("/he\t\r", "/help"),
        (f"{UP}\r", "two\nlines"),
        (f"{UP}{UP}{UP}!\r", "first!"),
        ("\x12fir\r\r", "first"),
        ("a\\ b\r", "a\\ b"),
    ],
)
def test_what_is_typed_arrives(keys: PipeInput, typed: str, text: str) -> None:
    """Lines, pasted blocks, edits, completions and what was typed before; as one text each."""
    made, remembered = editor("first", "two\nlines")
    keys.send_text(typed)

    assert made.read() == text
    assert remembered == [text]


def test_bytes_that_are_no_text_do_no_harm(keys: PipeInput) -> None:
    """They become what stands for them."""
    made, remembered = editor()
    keys.send_bytes(b"caf\xe9\r")

    assert made.read() == "caf?"
    assert remembered == ["caf?"]


def test_nothing_is_not_remembered(keys: PipeInput) -> None:
    """Neither an empty line nor blanks."""
    made, remembered = editor()
    keys.send_text("  \r")

    assert made.read() == "  "
    assert remembered == []


def test_ctrl_c_clears_the_line_and_then_interrupts(keys: PipeInput) -> None:
    """What was typed is gone; in an empty line it is up to the caller."""
    made, remembered = editor()
    keys.send_text(f"never mind{CTRL_C}")
    assert made.read() == ""

    keys.send_text(CTRL_C)
    with pytest.raises(KeyboardInterrupt):
        made.read()
    assert remembered == []


def test_ctrl_d_ends(keys: PipeInput) -> None:
    """In an empty line."""
    made, _ = editor()
    keys.send_text(CTRL_D)

    with pytest.raises(EOFError):
        made.read()
