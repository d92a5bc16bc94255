"""A session and the scripted server that it talks to."""

import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

from lingma_cli.client.server import Answer, ListedModel
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
    Started,
)
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl import commands
from lingma_cli.repl.attach import Attachment
from lingma_cli.repl.conversation import Conversation
from lingma_cli.repl.session import Session, Surroundings
from lingma_cli.repl.view import PlainView, Screen


class Script:
    """A server that answers in order; an exception is raised in mid-answer."""

    def __init__(self, *replies: str | BaseException) -> None:
        self._replies = iter(replies)
        self.asked: list[tuple[str, list[str]]] = []

    def models(self) -> Sequence[ListedModel]:
        return [ListedModel(id="one"), ListedModel(id="two")]

    def chat(self, turns: Sequence[Turn], *, model: str) -> AbstractContextManager[Answer]:
        self.asked.append((model, [turn.text for turn in turns]))
        return self._answer(next(self._replies))

    @contextmanager
    def _answer(self, reply: str | BaseException) -> Iterator[Answer]:
        yield Answer(notes=("model_fallback", "usage_estimated"), events=self._events(reply))

    def _events(self, reply: str | BaseException) -> Iterator[ChatEvent]:
        yield Started(model="m")
        if isinstance(reply, BaseException):
            raise reply
        yield BlockOpened(kind=BlockKind.TEXT)
        yield BlockDelta(kind=BlockKind.TEXT, text=reply)
        yield Finished(reason=FinishReason.STOP)


class Room:
    """A session and all that it says."""

    def __init__(
        self,
        *replies: str | BaseException,
        start: Conversation | None = None,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        self.server = Script(*replies)
        self.said: list[str] = []
        self.kept: list[Conversation] = []
        self.out = io.StringIO()
        screen = Screen(out=self.out, is_terminal=True, has_style=False)
        around = Surroundings(
            say=self.said.append,
            remark=self.said.append,
            say_error=lambda error: self.said.append(error.message),
            new_view=lambda: PlainView(screen),
            keep=self.kept.append,
            now=lambda: datetime(2026, 1, 31, 12, 5, 9, tzinfo=UTC),
        )
        self.session = Session(self.server, start or Conversation(), around, attachments)

    def run(self, *lines: str) -> list[str]:
        """Run commands and return what was said by the last one."""
        for line in lines:
            self.said.clear()
            commands.run(self.session, line)
        return self.said
