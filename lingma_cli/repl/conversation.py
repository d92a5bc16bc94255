"""A conversation as a value: what was said, with whom, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lingma_cli.core.chat import Role
from lingma_cli.protocols.client.openai_chat import Turn
from lingma_cli.repl.ask import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Token counts over all answers.

    Attributes:
        answers: how many are counted.
        is_estimated: whether any of the counts is an estimate.
        uncounted: answers that ended before their counts came.
    """

    answers: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    is_estimated: bool = False
    uncounted: int = 0

    def add(self, reply: Reply) -> Tally:
        """Return the counts with those of `reply`."""
        usage = reply.collected.usage
        if usage is None:
            return replace(self, uncounted=self.uncounted + 1)
        return replace(
            self,
            answers=self.answers + 1,
            input_tokens=self.input_tokens + usage.input_tokens,
            output_tokens=self.output_tokens + usage.output_tokens,
            is_estimated=self.is_estimated or usage.estimated or reply.is_estimated,
        )

    def __str__(self) -> str:
        """Say it in a sentence."""
        estimated = " (estimated)" if self.is_estimated else ""
        counted = (
            f"{_counted(self.answers, 'answer')}: {self.input_tokens} input and "
            f"{self.output_tokens} output tokens{estimated}"
        )
        if not self.uncounted:
            return counted
        return f"{counted}; {_counted(self.uncounted, 'stopped answer')} not counted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What was said so far.

    Attributes:
        model: empty leaves the choice to the server.
        system: the instructions put before it; empty for none.
        turns: question and answer in turn.
        tally: what it cost, thrown-away answers included.
        left_out: questions that were too old to be stored.
    """

    model: str = ""
    system: str = ""
    turns: tuple[Turn, ...] = ()
    tally: Tally = Tally()
    left_out: int = 0

    def __post_init__(self) -> None:
        # A stored conversation may have been changed by hand.
        if [turn.role for turn in self.turns] != [Role.USER, Role.ASSISTANT] * self.questions:
            raise ValueError("question and answer do not take turns")

    @property
    def questions(self) -> int:
        """How many questions have an answer here."""
        return len(self.turns) // 2

    @property
    def last_question(self) -> str:
        """The newest question, empty when there is none."""
        return self.turns[-2].text if self.turns else ""

    def ask(self, question: str) -> tuple[Turn, ...]:
        """Return the turns that put `question` to the server."""
        system = (Turn(role=Role.SYSTEM, text=self.system),) if self.system else ()
        return (*system, *self.turns, Turn(role=Role.USER, text=question))

    def answered(self, question: str, reply: Reply) -> Conversation:
        """Return the conversation after `reply`.

        What was answered before a stop belongs to it; a question that got nothing does not.
        """
        tally = self.tally.add(reply)
        text = reply.collected.text()
        if not text:
            return replace(self, tally=tally)
        exchange = (Turn(role=Role.USER, text=question), Turn(role=Role.ASSISTANT, text=text))
        return replace(self, turns=(*self.turns, *exchange), tally=tally)

    def without_last(self) -> Conversation:
        """Return the conversation before its newest question."""
        return replace(self, turns=self.turns[:-2])

    def afresh(self) -> Conversation:
        """Return a new conversation with the same model and instructions."""
        return Conversation(model=self.model, system=self.system)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
