"""Text files put after a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from lingma_cli.core.terminal import clean_line
from lingma_cli.errors import ErrorKind, LingmaError

MAX_BYTES: Final = 1024 * 1024
STDIN: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """One file; `name` is harmless on a terminal and on one line."""

    name: str
    text: str

    def __str__(self) -> str:
        """Return it as Markdown, in a fence that its own text cannot close."""
        runs = (len(run) for run in re.findall("`+", self.text))
        fence = "`" * max(3, max(runs, default=0) + 1)
        end = "" if self.text.endswith("\n") else "\n"
        return f"File `{self.name}`:\n\n{fence}\n{self.text}{end}{fence}"


def attach(names: Sequence[str], stdin: BinaryIO | None) -> tuple[Attachment, ...]:
    """Read the files; `-` is `stdin`, which is `None` where a person types.

    Raises:
        LingmaError: one cannot be read, is no UTF-8 text, or they are larger than `MAX_BYTES`
            together.
    """
    attachments: list[Attachment] = []
    left = MAX_BYTES
    for name in names:
        content = _read(name, stdin, left + 1)
        left -= len(content)
        if left < 0:
            raise _too_large(name)
        shown = "standard input" if name == STDIN else _shown(name)
        attachments.append(Attachment(name=shown, text=_decoded(shown, content)))
    return tuple(attachments)


def with_attachments(question: str, attachments: Sequence[Attachment]) -> str:
    """Return the question with the files after it."""
    return "\n\n".join([question, *map(str, attachments)])


def _read(name: str, stdin: BinaryIO | None, limit: int) -> bytes:
    if name == STDIN:
        if stdin is None:
            raise LingmaError(
                ErrorKind.USAGE,
                "nothing is piped in for `-f -`",
                hint='pipe it in like `git diff | lingma chat -f - "what changed?"`',
            )
        return stdin.read(limit)
    try:
        with Path(name).expanduser().open("rb") as file:
            return file.read(limit)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no file name"
        raise LingmaError(
            ErrorKind.USAGE,
            f"cannot read `{_shown(name)}`: {reason}",
            hint="`-f` takes the path of a text file, `-` is the standard input",
        ) from error


def _decoded(shown: str, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise LingmaError(
            ErrorKind.USAGE,
            f"this is no UTF-8 text: `{shown}`",
            hint="only text can be attached; `iconv -t utf-8` converts other encodings",
        )
    return text


def _too_large(name: str) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE,
        f"the attached files are larger than {MAX_BYTES // 1024} KiB with `{_shown(name)}`",
        hint="attach the part that matters, say `head -c 100000 FILE | lingma chat -f - …`",
    )


def _shown(name: str) -> str:
    # Arguments may hold bytes that are no text at all.
    return clean_line(name.encode(errors="replace").decode()) or "?"
