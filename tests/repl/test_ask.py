"""One question and its answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from lingma_cli.client.server import Answer
from lingma_cli.core.chat import Role
from lingma_cli.core.events import BlockDelta, BlockKind, BlockOpened, ChatEvent, Started
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl.ask import Reply, ask

HI = (Turn(role=Role.USER, text="hi"),)


def half_an_answer() -> Iterator[ChatEvent]:
    yield Started(model="m")
    yield BlockOpened(kind=BlockKind.TEXT)
    yield BlockDelta(kind=BlockKind.TEXT, text="half")
    raise LingmaError(ErrorKind.ENGINE_FAILED, "gone")


def test_what_came_before_a_failure_is_kept() -> None:
    """The error is raised, and the half that was read is in the reply."""

    @contextmanager
    def chat(turns: Sequence[Turn]) -> Iterator[Answer]:
        assert turns == HI
        yield Answer(notes=("model_replaced", "usage_estimated"), events=half_an_answer())

    reply = Reply()
    with pytest.raises(LingmaError, match="gone"):
        ask(chat, HI, reply)

    assert reply.collected.text() == "half"
    assert reply.notes == ("model_replaced", "usage_estimated")
    assert reply.remarks() == ("model_replaced",)
