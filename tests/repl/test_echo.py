"""Keys that are typed while an answer comes."""

import io
import os
import pty
import termios
from pathlib import Path

from lingma_cli.repl.echo import unechoed


def test_a_terminal_shows_no_keys_and_is_as_before_afterwards() -> None:
    """Inside, keys are kept as they are, but for Ctrl-C; then everything is given back."""
    master, slave = pty.openpty()
    with os.fdopen(slave) as stream:
        before = termios.tcgetattr(stream.fileno())
        with unechoed(stream):
            inside = termios.tcgetattr(stream.fileno())
        after = termios.tcgetattr(stream.fileno())
    os.close(master)

    assert before[3] & termios.ECHO
    assert not inside[3] & (termios.ECHO | termios.ICANON)
    assert inside[3] & termios.ISIG
    assert before == after


def test_what_is_no_terminal_is_left_alone() -> None:
    """A file or a text in memory does no harm."""
    with unechoed(io.StringIO("text")) as nothing, Path(os.devnull).open() as file, unechoed(file):
        assert nothing is None
