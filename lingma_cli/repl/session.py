"""What can be done in a chat: ask, ask again, change who answers, keep what was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from lingma_cli.client.server import Answer, ListedModel
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl import transcript
from lingma_cli.repl.ask import Reply, ask
from lingma_cli.repl.attach import Attachment, with_attachments
from lingma_cli.repl.conversation import Conversation
from lingma_cli.repl.view import View

NOTHING: Final = "-"


class Server(Protocol):
    """Who answers."""

    def chat(self, turns: Sequence[Turn], *, model: str) -> AbstractContextManager[Answer]:
        """Ask, and hold the answer while it runs; leaving early cancels it."""

    def models(self) -> Sequence[ListedModel]:
        """Return the models that are offered now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a chat needs of the world.

    Attributes:
        say: writes lines that were asked for.
        remark: writes a line that was not.
        say_error: writes an error with its hint.
        new_view: makes the view of the next answer.
        keep: stores the conversation after each answer.
        now: the local time.
    """

    say: Callable[[str], object]
    remark: Callable[[str], object]
    say_error: Callable[[LingmaError], object]
    new_view: Callable[[], View]
    keep: Callable[[Conversation], object]
    now: Callable[[], datetime]


class Session:
    """One conversation, and what a person does with it; whatever fails raises `LingmaError`."""

    def __init__(
        self,
        server: Server,
        conversation: Conversation,
        surroundings: Surroundings,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        self._server = server
        self._conversation = conversation
        self._around = surroundings
        self._attachments = tuple(attachments)
        self._failed_question = ""

    def say(self, text: str) -> None:
        """Write lines that were asked for."""
        self._around.say(text)

    def ask(self, question: str) -> None:
        """Put a question, with what is attached, and show the answer."""
        self._ask(self._conversation, with_attachments(question, self._attachments))

    def retry(self) -> None:
        """Put the last question again; its new answer replaces the old one."""
        if self._failed_question:
            self._ask(self._conversation, self._failed_question)
        elif question := self._conversation.last_question:
            self._ask(self._conversation.without_last(), question)
        else:
            raise LingmaError(ErrorKind.USAGE, "there is no question yet that could be repeated")

    def clear(self) -> None:
        """Begin a new conversation with the same model and instructions."""
        self._conversation = self._conversation.afresh()
        self._failed_question = ""
        self._around.remark("a new conversation")

    def model(self, name: str) -> None:
        """Show the models, or take `name` from the next question on."""
        models = self._server.models()
        if not name:
            now = self._conversation.model
            rows = [f"{'*' if model.id == now else ' '} {model.id}" for model in models]
            self.say("\n".join([f"model: {now or 'the choice of the server'}", *rows]))
            return
        self._conversation = replace(self._conversation, model="" if name == NOTHING else name)
        if name == NOTHING:
            self._around.remark("the server chooses the model")
        elif any(model.id == name for model in models):
            self._around.remark(f"the next answer comes from {name}")
        else:
            self._around.remark(
                f"the next question asks for {name}, which the server does not list; "
                "it may answer with another model"
            )

    def system(self, text: str) -> None:
        """Show the instructions, or take `text` from the next question on."""
        if not text:
            self.say(self._conversation.system or "there are no instructions")
            return
        self._conversation = replace(self._conversation, system="" if text == NOTHING else text)
        self._around.remark(
            "no instructions any more" if text == NOTHING else "the instructions count from now on"
        )

    def save(self, name: str) -> None:
        """Write the conversation to a new file, named by the time unless `name` says it."""
        if not self._conversation.turns:
            raise LingmaError(ErrorKind.USAGE, "there is nothing to save yet")
        path = Path(name or f"chat-{self._around.now():%Y%m%d-%H%M%S}.md").expanduser()
        transcript.save(self._conversation, path)
        self.say(f"saved: {path}")

    def usage(self) -> None:
        """Show what the conversation cost."""
        self.say(str(self._conversation.tally))

    def _ask(self, before: Conversation, question: str) -> None:
        reply = Reply()
        self._failed_question = question
        try:
            chat = partial(self._server.chat, model=before.model)
            ask(chat, before.ask(question), reply, self._around.new_view())
        except KeyboardInterrupt:
            self._around.remark("stopped")
        after = before.answered(question, reply)
        self._conversation, self._attachments = after, ()
        if len(after.turns) > len(before.turns):
            self._failed_question = ""
            self._around.keep(after)
        for note in reply.remarks():
            self._around.remark(f"note: {note}")
