"""What the simulator writes down: the binary's own log, and a journal for tests to read.

Owns `logs/lingma.log` (lines as the binary writes them) and `logs/demo.jsonl` (one JSON object a
line: `time`, `event` and the event's fields). Never writes a token.
"""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from lingma_cli.demo.rpc import encode

_STRING_LIMIT = 65_536

Clock = Callable[[], float]


def _open_private(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    return os.fdopen(descriptor, "a", encoding="utf-8", errors="replace", buffering=1)


class Log:
    """The binary's log file."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._file = _open_private(path)

    def line(self, level: str, text: str) -> None:
        """Write one line."""
        stamp = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        self._file.write(f"{stamp} {level} {text}\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Journal:
    """The journal; at level `off` it writes nothing."""

    def __init__(self, path: Path, clock: Clock, level: str) -> None:
        self._clock = clock
        self._file = None if level == "off" else _open_private(path)
        self.every_ack = level == "acks"

    def note(self, event: str, **fields: object) -> None:
        """Write one event; strings longer than 64 Ki characters are clipped."""
        if self._file is not None:
            record = {"time": round(self._clock(), 4), "event": event, **fields}
            self._file.write(encode(_clipped(record)).decode() + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _clipped(value: object) -> object:
    match value:
        case str() if len(value) > _STRING_LIMIT:
            return f"{value[:_STRING_LIMIT]}… and {len(value) - _STRING_LIMIT} characters more"
        case dict():
            return {key: _clipped(item) for key, item in value.items()}
        case list():
            return [_clipped(item) for item in value]
        case _:
            return value


def compact(value: object) -> str:
    """Render a JSON value in one line."""
    return json.dumps(value, ensure_ascii=False)
