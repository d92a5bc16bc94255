"""The table of commands."""

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.repl.commands import COMMANDS, KEYS, run
from tests.repl.room import Room


def test_the_table_is_the_one_that_is_documented() -> None:
    """Names and arguments, each once."""
    assert [command.usage for command in COMMANDS] == [
        "/help",
        "/model [NAME]",
        "/system [TEXT]",
        "/clear",
        "/save [FILE]",
        "/retry",
        "/usage",
        "/exit",
    ]


def test_help_shows_every_command_and_key() -> None:
    """With what it does."""
    (text,) = Room().run("/help")

    for command in COMMANDS:
        assert f"{command.usage} " in text
        assert command.help in text
    for key, meaning in KEYS:
        assert key in text
        assert meaning in text


@pytest.mark.parametrize("line", ["/", "/nope", "/modelx", "/HELP", "/etc/passwd?", "/help me"])
def test_what_is_no_command_is_an_error_and_no_question(line: str) -> None:
    """The server is not asked; the hint tells how a question may begin with a slash."""
    room = Room()

    with pytest.raises(LingmaError, match=r"no command|stands alone") as caught:
        run(room.session, line)

    assert caught.value.kind is ErrorKind.USAGE
    assert "needs a space before it" in (caught.value.hint or "")
    assert room.server.asked == []


def test_exit_leaves() -> None:
    """Like Ctrl-D."""
    with pytest.raises(EOFError):
        Room().run("/exit")
