"""The chat loop: a line in, an answer out, the conversation kept.

Ctrl-C at the prompt clears the line, during an answer it stops the answer; Ctrl-D leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lingma_cli.core.chat import Role
from lingma_cli.errors import LingmaError
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl.ask import Chat, Reply, ask
from lingma_cli.repl.view import AnswerView, Screen

HELP: Final = "Ctrl-C stops an answer; /new starts afresh; /exit or Ctrl-D leaves"


class Loop:
    """One conversation.

    Args:
        chat: asks the server.
        screen: where answers go.
        opening: the turns that every conversation starts with.
        say: writes a line to the person.
        say_error: writes an error to the person.
    """

    def __init__(
        self,
        chat: Chat,
        screen: Screen,
        *,
        opening: Sequence[Turn],
        say: Callable[[str], object],
        say_error: Callable[[LingmaError], object],
    ) -> None:
        self._chat = chat
        self._screen = screen
        self._opening = tuple(opening)
        self._turns = self._opening
        self._say = say
        self._say_error = say_error

    def run(self, read_line: Callable[[], str]) -> None:
        """Converse until the person leaves.

        Args:
            read_line: prompts; raises `EOFError` on Ctrl-D.
        """
        while True:
            try:
                line = read_line().strip()
                if line == "/exit":
                    return
                self._take(line)
            except EOFError:
                self._say("")
                return
            except KeyboardInterrupt:
                self._say("")

    def _take(self, line: str) -> None:
        if line == "/new":
            self._turns = self._opening
            self._say("a new conversation")
        elif line:
            self._ask(line)

    def _ask(self, question: str) -> None:
        asked = (*self._turns, Turn(role=Role.USER, text=question))
        reply = Reply()
        try:
            ask(self._chat, asked, reply, AnswerView(self._screen))
        except LingmaError as error:
            self._say_error(error)
            return
        except KeyboardInterrupt:
            # The terminal has echoed ^C; after a text the view has ended that line.
            self._say("stopped" if reply.collected.blocks else "\nstopped")
        # What was answered before a stop belongs to the conversation; a question that got nothing
        # does not.
        if text := reply.collected.text():
            self._turns = (*asked, Turn(role=Role.ASSISTANT, text=text))
        for note in reply.remarks():
            self._say(f"note: {note}")
