"""People who log in, as a test plays them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret


class ScriptedPerson:
    """Answers from a list, and keeps what it was told.

    With `waits` a question beyond the list stays open until it is taken back, as that of a person
    who is busy elsewhere.
    """

    def __init__(
        self, answers: Sequence[str] = (), *, is_there: bool = True, waits: bool = False
    ) -> None:
        self.is_there = is_there
        self.said: list[str] = []
        self.asked: list[str] = []
        self.taken_back: list[str] = []
        self._answers = list(answers)
        self._waits = waits

    def say(self, text: str) -> None:
        """Keep what is said."""
        self.said.append(text)

    async def ask(self, prompt: str, *, secret: bool = False) -> Secret:
        """Give the next answer."""
        self.asked.append(prompt)
        if self._answers:
            return Secret(self._answers.pop(0))
        if not self._waits:
            raise LingmaError(ErrorKind.USAGE, "nobody answers")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.taken_back.append(prompt)
        raise AssertionError("nobody answers a question that stays open")
