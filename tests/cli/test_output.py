"""Data on stdout, talk on stderr."""

import json

import pytest

from lingma_cli.cli import output
from lingma_cli.errors import ErrorKind, LingmaError


def test_columns_line_up_whatever_their_script(capsys: pytest.CaptureFixture[str]) -> None:
    """Wide characters count twice, and cells cannot command the terminal or add lines."""
    output.print_columns([("ID", "NAME", "X"), ("a", "通义\x1b[31m", "1"), ("bb", "c\nd", "2")])

    assert capsys.readouterr().out == "ID  NAME  X\na   通义  1\nbb  c d   2\n"


def test_json_is_exact_and_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal would obey is escaped, so that a program still reads the same value."""
    value = {"text": "a\x1b[2J\x9b\u202e\x7f\ud800 你好 😀"}

    output.print_json(value)

    shown = capsys.readouterr().out
    assert value == json.loads(shown)
    assert not set("\x1b\x9b\u202e\x7f\ud800") & set(shown)
    assert "你好 😀" in shown


def test_an_error_is_a_sentence_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, on lines of their own, without what a server may have smuggled in."""
    output.say_error(LingmaError(ErrorKind.USAGE, "bad\x1b[31m\nthing", hint="do this"))

    assert capsys.readouterr() == ("", "error: bad thing\n\nhint: do this\n")


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_style_needs_a_terminal(environ: dict[str, str]) -> None:
    """Neither a closed stream nor a file is styled."""
    assert not output.has_style(None, environ)
