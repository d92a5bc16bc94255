"""The chat loop: a line in, an answer or the effect of a command out, until the person leaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TextIO

from lingma_cli.errors import LingmaError
from lingma_cli.repl import commands
from lingma_cli.repl.echo import unechoed
from lingma_cli.repl.session import Session, Surroundings

WELCOME: Final = "Enter sends, Alt-Enter adds a line, /help shows more, Ctrl-D leaves"
_LEAVE_HINT: Final = "press Ctrl-C again or Ctrl-D to leave"


def converse(
    session: Session, read_line: Callable[[], str], around: Surroundings, keyboard: TextIO
) -> None:
    """Take what is typed until the person leaves.

    Args:
        session: what is talked to.
        read_line: prompts and shows what is typed; raises `EOFError` on Ctrl-D and
            `KeyboardInterrupt` on Ctrl-C in an empty line.
        around: who is told what went wrong.
        keyboard: the terminal that is typed at.
    """
    with unechoed(keyboard):
        _converse(session, read_line, around)


def _converse(session: Session, read_line: Callable[[], str], around: Surroundings) -> None:
    is_leaving = False
    while True:
        try:
            line = read_line()
        except EOFError:
            return
        except KeyboardInterrupt:
            if is_leaving:
                return
            is_leaving = True
            around.remark(_LEAVE_HINT)
            continue
        is_leaving = False
        if not line.strip():
            continue
        try:
            _take(session, line)
        except EOFError:
            return
        except KeyboardInterrupt:
            around.remark("stopped")
        except LingmaError as error:
            around.say_error(error)
        around.say("")


def _take(session: Session, line: str) -> None:
    if line.startswith(commands.SIGN):
        commands.run(session, line)
    else:
        session.ask(line.strip())
