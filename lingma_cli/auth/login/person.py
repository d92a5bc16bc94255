"""Who is asked and told while a login comes about."""

from __future__ import annotations

from typing import Protocol

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret


class Person(Protocol):
    """A person at a terminal, or what a script feeds in their place."""

    @property
    def is_there(self) -> bool:
        """Whether somebody can answer a question that nobody foresaw."""
        ...

    def say(self, text: str) -> None:
        """Tell them something."""
        ...

    async def ask(self, prompt: str, *, secret: bool = False) -> Secret:
        """Return a line of theirs, without the white space around it.

        A `secret` one does not show while it is typed. Cancelling takes the question back.

        Raises:
            LingmaError: nothing will come any more.
        """
        ...


async def ask_for(person: Person, prompt: str, *, secret: bool = False) -> Secret:
    """Ask for something that must not be empty; who has to be a script is not asked twice.

    Raises:
        LingmaError: nothing came.
    """
    while not (said := await person.ask(prompt, secret=secret)).reveal():
        if not person.is_there:
            wanted = prompt.rstrip(": ").lower()
            raise LingmaError(
                ErrorKind.USAGE,
                f"an empty line came in place of the {wanted}",
                hint="write it to standard input, or run this at a terminal",
            )
    return said
