"""What a server in the background tells the command that started it: one line of JSON.

It goes through the server's standard output, a pipe, either once the server listens or when it
fails before that; then the pipe is closed and standard output goes to the log, like all else.
The end of the pipe without a line means that the server has ended without a word.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.wiring.log_file import bounded

if TYPE_CHECKING:
    from lingma_cli.wiring.serve import Listening

# Set in the environment of a server whose starter listens.
VARIABLE: Final = "LINGMA_HANDSHAKE"
_STDOUT: Final = 1
_STDERR: Final = 2


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The server listens and its engines are starting; nothing in here is secret."""

    url: str
    pid: int
    demo: bool
    key_required: bool


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="refused"):
    """The server has failed before it listened."""

    kind: ErrorKind
    message: str
    hint: str | None

    def error(self) -> LingmaError:
        """Return it as the error that it was."""
        return LingmaError(self.kind, self.message, hint=self.hint)


Word = Ready | Refused


def read_word(line: bytes) -> Word | None:
    """Return what a line of the pipe says, `None` if it is none of ours."""
    try:
        word: Word = msgspec.json.decode(line, type=Word)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return word


@contextmanager
def reporting(
    environ: MutableMapping[str, str], log: Path
) -> Iterator[Callable[[Listening], None]]:
    """Tell the starter, if there is one, how the server in this context fares.

    Hands out what is to be called once the server listens. In the background, stderr is kept to
    the bounds of a log meanwhile. An error is told and goes on its way.

    Args:
        environ: the process environment; nothing that is started later finds the variable there.
        log: where stderr goes in the background.
    """
    if not environ.pop(VARIABLE, ""):
        yield lambda _: None
        return
    starter = _Starter()
    before, sys.stderr = sys.stderr, bounded(_STDERR, log)
    try:
        yield starter.ready
    except LingmaError as error:
        starter.tell(Refused(kind=error.kind, message=error.message, hint=error.hint))
        raise
    finally:
        sys.stderr = before


class _Starter:
    def __init__(self) -> None:
        self._listens = True

    def ready(self, listening: Listening) -> None:
        word = Ready(
            url=listening.url,
            pid=os.getpid(),
            demo=listening.demo,
            key_required=listening.key_required,
        )
        self.tell(word)

    def tell(self, word: Word) -> None:
        if not self._listens:
            return
        self._listens = False
        # One that was killed meanwhile is no reason to stop serving.
        with suppress(OSError):
            os.write(_STDOUT, msgspec.json.encode(word) + b"\n")
        os.dup2(_STDERR, _STDOUT)
