"""A conversation as a Markdown file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from lingma_cli.core.chat import Role
from lingma_cli.core.terminal import clean
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened
from lingma_cli.repl.conversation import Conversation

_TITLES: Final[Mapping[Role, str]] = MappingProxyType(
    {Role.USER: "Question", Role.ASSISTANT: "Answer"}
)


def as_markdown(conversation: Conversation) -> str:
    """Return the conversation, cleaned: who prints the file must not be surprised."""
    return clean("\n\n".join(_parts(conversation))) + "\n"


def save(conversation: Conversation, path: Path) -> None:
    """Write the conversation to a new private file.

    Raises:
        LingmaError: `path` exists, or it cannot be written.
    """
    made = False
    try:
        with opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
            made = True
            with os.fdopen(descriptor, "w", encoding="utf-8", closefd=False) as file:
                file.write(as_markdown(conversation))
    except FileExistsError as error:
        raise LingmaError(
            ErrorKind.USAGE,
            f"this exists already and stays as it is: `{path}`",
            hint="name another file; `/save` alone picks a new name",
        ) from error
    except (OSError, ValueError) as error:
        if made:
            path.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else "it is no file name"
        raise LingmaError(
            ErrorKind.USAGE,
            f"cannot write `{path}`: {reason}",
            hint="name another file: `/save FILE`",
        ) from error


def _parts(conversation: Conversation) -> Iterator[str]:
    yield "# Chat"
    if conversation.model:
        yield f"Model: `{conversation.model}`"
    if conversation.system:
        yield "## Instructions"
        yield conversation.system.strip()
    for turn in conversation.turns:
        yield f"## {_TITLES[turn.role]}"
        yield turn.text.strip()
