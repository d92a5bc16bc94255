"""The commands of a chat, in one table; what begins with a slash never reaches the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.repl.session import NOTHING, Session

SIGN: Final = "/"
KEYS: Final = (
    ("Enter", "send"),
    ("Alt-Enter, or \\ at the end", "another line"),
    ("Up, Ctrl-R", "what was typed before, also in earlier chats"),
    ("Ctrl-C", "stop the answer, or clear the line; twice: leave"),
    ("Ctrl-D", "leave"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One row: how it is typed, what it does."""

    name: str
    help: str
    run: Callable[[Session, str], None]
    argument: str = ""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"{SIGN}{self.name} {self.argument}".rstrip()


def _help(session: Session, _: str) -> None:
    rows = [*((command.usage, command.help) for command in COMMANDS), ("", ""), *KEYS]
    width = max(len(left) for left, _ in rows)
    session.say("\n".join(f"{left:{width}}  {right}".rstrip() for left, right in rows))


def _leave(_: Session, __: str) -> None:
    raise EOFError


COMMANDS: Final = (
    Command(name="help", help="this list", run=_help),
    Command(
        name="model",
        argument="[NAME]",
        help=f"show the models, or ask another one; `{NOTHING}` leaves it to the server",
        run=Session.model,
    ),
    Command(
        name="system",
        argument="[TEXT]",
        help=f"show or set the instructions; `{NOTHING}` removes them",
        run=Session.system,
    ),
    Command(name="clear", help="begin a new conversation", run=lambda session, _: session.clear()),
    Command(
        name="save",
        argument="[FILE]",
        help="write the conversation to a new Markdown file",
        run=Session.save,
    ),
    Command(
        name="retry", help="ask the last question again", run=lambda session, _: session.retry()
    ),
    Command(
        name="usage",
        help="token counts of the conversation",
        run=lambda session, _: session.usage(),
    ),
    Command(name="exit", help="leave", run=_leave),
)


def run(session: Session, line: str) -> None:
    """Run the command in `line`, which begins with a slash.

    Raises:
        EOFError: the person leaves.
        LingmaError: there is no such command, it takes no argument, or it failed.
    """
    word, argument = _cut(line)
    command = next((command for command in COMMANDS if SIGN + command.name == word), None)
    if command is None:
        raise LingmaError(
            ErrorKind.USAGE,
            f"there is no command `{word}`",
            hint="`/help` lists them; a question that begins with `/` needs a space before it",
        )
    if argument and not command.argument:
        raise LingmaError(
            ErrorKind.USAGE,
            f"this command stands alone: `{word}`",
            hint="a question that begins with `/` needs a space before it",
        )
    command.run(session, argument)


def _cut(line: str) -> tuple[str, str]:
    parts = line.split(maxsplit=1)
    return parts[0], parts[1].strip() if len(parts) > 1 else ""
