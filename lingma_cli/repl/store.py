"""What outlives a chat: the last conversation, for `--continue`, and what was typed.

Both are private files in the state folder, and both are bounded.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened, private_folder, write_private
from lingma_cli.repl.conversation import Conversation

MAX_CONVERSATION: Final = 4 * 1024 * 1024
MAX_HISTORY: Final = 1024 * 1024
_MAX_LINE: Final = 64 * 1024


class ConversationFile:
    """The last conversation: JSON, at most `MAX_CONVERSATION` bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Conversation:
        """Return the last conversation.

        Raises:
            LingmaError: there is none, or it cannot be read.
        """
        try:
            return msgspec.json.decode(_read(self._path, MAX_CONVERSATION), type=Conversation)
        except FileNotFoundError as error:
            raise LingmaError(
                ErrorKind.USAGE,
                "there is no conversation to continue",
                hint="start one with `lingma chat`",
            ) from error
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is corrupt"
            raise LingmaError(
                ErrorKind.USAGE,
                f"cannot read the last conversation in `{self._path}`: {reason}",
                hint="start a new one without `--continue`",
            ) from error

    def save(self, conversation: Conversation) -> None:
        """Store `conversation`, without its oldest questions if it is too large.

        Raises:
            LingmaError: the file cannot be written, or the newest answer alone is too large.
        """
        content = msgspec.json.encode(conversation)
        while len(content) > MAX_CONVERSATION:
            if conversation.questions <= 1:
                raise LingmaError(
                    ErrorKind.USAGE, "the conversation is too large to be continued later"
                )
            conversation = replace(
                conversation,
                turns=conversation.turns[2:],
                left_out=conversation.left_out + 1,
            )
            content = msgspec.json.encode(conversation)
        write_private(self._path, content.decode())


class History:
    """What was typed, oldest first: one JSON string a line, about `MAX_HISTORY` bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last = ""

    def load(self) -> list[str]:
        """Return what was typed in earlier chats; lines that cannot be read are skipped.

        Raises:
            LingmaError: the file cannot be read or written.
        """
        private_folder(self._path.parent)
        try:
            # Several chats may add at once: between two trims it may grow beyond its bound.
            content = _read(self._path, 8 * MAX_HISTORY)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from error
        lines = content.splitlines(keepends=True)
        if len(content) > MAX_HISTORY:
            lines = _newest(lines, MAX_HISTORY // 2)
            write_private(self._path, b"".join(lines).decode(errors="replace"))
        return [text for line in lines if (text := _decoded(line))]

    def add(self, text: str) -> None:
        """Keep `text`, unless it repeats the last one or is very long.

        Raises:
            LingmaError: the file cannot be written.
        """
        line = msgspec.json.encode(text) + b"\n"
        if text == self._last or len(line) > _MAX_LINE:
            return
        self._last = text
        private_folder(self._path.parent)
        try:
            with opened(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
                os.write(descriptor, line)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> LingmaError:
        return LingmaError(
            ErrorKind.USAGE,
            f"cannot keep what is typed in `{self._path}`: {error.strerror}",
            hint="chat without it: `lingma chat --no-history`",
        )


def _read(path: Path, limit: int) -> bytes:
    # Without O_NONBLOCK a planted FIFO would hang the start.
    with (
        opened(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)) as descriptor,
        os.fdopen(descriptor, "rb", closefd=False) as file,
    ):
        return file.read(limit)


def _newest(lines: list[bytes], limit: int) -> list[bytes]:
    size, kept = 0, 0
    for line in reversed(lines):
        size += len(line)
        if size > limit:
            break
        kept += 1
    return lines[len(lines) - kept :]


def _decoded(line: bytes) -> str:
    try:
        return msgspec.json.decode(line, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
