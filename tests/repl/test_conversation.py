"""A conversation as a value."""

import pytest

from lingma_cli.core.chat import Role
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    Usage,
    UsageReported,
)
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl.ask import Reply
from lingma_cli.repl.conversation import Conversation, Tally


def reply(text: str, tokens: tuple[int, int] | None = (3, 5), *notes: str) -> Reply:
    made = Reply(notes=notes)
    if text:
        made.collected.feed(
            [
                BlockOpened(kind=BlockKind.TEXT),
                BlockDelta(kind=BlockKind.TEXT, text=text),
                BlockClosed(),
            ]
        )
    if tokens:
        usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1])
        made.collected.feed([UsageReported(usage=usage)])
    return made


def said(turns: tuple[Turn, ...]) -> list[tuple[str, str]]:
    return [(turn.role.value, turn.text) for turn in turns]


def test_a_question_carries_all_that_was_said() -> None:
    """Instructions first, then the turns, then the question."""
    talk = Conversation(system="be brief").answered("one", reply("1"))

    assert said(talk.ask("two")) == [
        ("system", "be brief"),
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
    ]
    assert (talk.questions, talk.last_question) == (1, "one")
    assert said(talk.without_last().ask("two")) == [("system", "be brief"), ("user", "two")]


def test_a_question_that_got_nothing_is_forgotten() -> None:
    """Its cost is not."""
    talk = Conversation().answered("one", reply("", None))

    assert talk == Conversation(tally=Tally(uncounted=1))
    assert talk.last_question == ""


def test_afresh_keeps_model_and_instructions() -> None:
    """What was said and what it cost is gone."""
    talk = Conversation(model="m", system="s").answered("one", reply("1"))

    assert talk.afresh() == Conversation(model="m", system="s")


def test_turns_must_take_turns() -> None:
    """What a stored file says is not taken as it is."""
    with pytest.raises(ValueError, match="take turns"):
        Conversation(turns=(Turn(role=Role.ASSISTANT, text="1"),))


def test_the_tally_adds_up_and_says_what_is_an_estimate() -> None:
    """One estimate makes the sum one; answers without counts are told."""
    tally = Tally().add(reply("1"))
    assert str(tally) == "1 answer: 3 input and 5 output tokens"

    tally = tally.add(reply("2", (10, 20), "usage_estimated")).add(reply("3", None))
    assert str(tally) == (
        "2 answers: 13 input and 25 output tokens (estimated); 1 stopped answer not counted"
    )
