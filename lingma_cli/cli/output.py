"""How the program speaks: data on stdout, talk on stderr, errors with a hint and an exit code."""

from __future__ import annotations

import io
import json
import os
import re
import select
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TextIO

from lingma_cli.core.terminal import clean, clean_line
from lingma_cli.errors import LingmaError

EXIT_UNEXPECTED: Final = 1
EXIT_INTERRUPTED: Final = 130
EXIT_READER_LEFT: Final = 141

# What JSON may hold raw and a terminal must not see.
_JSON_UNSAFE: Final = re.compile("[\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_POLL_SECONDS: Final = 0.25


def prepare_streams() -> None:
    """Let no character that a stream cannot express end the program."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def silence_stdout() -> None:
    """Send what is still buffered for stdout nowhere: its reader has left or its disk is full."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a person reads `stream`; a closed one is `None`."""
    return stream is not None and stream.isatty()


def has_style(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Tell whether `stream` may be styled: a terminal, and `NO_COLOR` is unset or empty."""
    plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
    return is_terminal(stream) and not plain


def print_text(text: str) -> None:
    """Write a line of data."""
    print(text)


def print_json(value: Any) -> None:
    """Write `value` as JSON that is harmless on a terminal."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    text = json.dumps(value, indent=2, ensure_ascii=encoding != "utf8")
    print_text(_JSON_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Write `rows` cleaned, each column as wide as its widest cell."""
    cleaned = [[clean_line(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cleaned, strict=True)]
    for row in cleaned:
        cells = [
            cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        print_text("  ".join(cells).rstrip())


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def say(text: str, *, dim: bool = False) -> None:
    """Write a line of talk; `dim` takes it back where that can be shown."""
    cleaned = clean(text)
    styled = f"\x1b[2m{cleaned}\x1b[0m" if dim and has_style(sys.stderr, os.environ) else cleaned
    # When nobody listens any more, the exit code still tells.
    with suppress(OSError):
        print(styled, file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Write what is odd but no error."""
    say(f"warning: {text}")


def say_error(error: LingmaError) -> None:
    """Write `error` with its hint."""
    say(f"error: {clean_line(error.message)}")
    if error.hint:
        say(f"\nhint: {clean_line(error.hint)}")


def wait_for_more() -> None:
    """Show what stands in stdout, and wait a moment.

    Raises:
        BrokenPipeError: the reader has left.
    """
    sys.stdout.flush()
    if os.name == "nt":
        time.sleep(_POLL_SECONDS)
        return
    # Without an event to wait for, only the end of a pipe or a terminal is told.
    reader = select.poll()
    reader.register(sys.stdout, 0)
    if reader.poll(_POLL_SECONDS * 1000):
        raise BrokenPipeError
