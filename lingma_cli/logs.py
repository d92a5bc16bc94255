"""Log lines: text for a terminal, JSON for everything else, a request id in each, no secrets.

Every text of a line is redacted as the line is put together, whoever logs it: messages, values and
tracebacks, foreign libraries' too. Prompts and answers are never logged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from lingma_cli.secret import Redactor, Secret

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class LineFormatter(logging.Formatter):
    """One record, one line: `time level request_id logger message key=value …` or JSON.

    Extra values are passed as `extra={"values": {...}}`.
    """

    def __init__(self, *, as_json: bool, redact: Redactor) -> None:
        super().__init__()
        self._as_json = as_json
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Return the finished, redacted line; a traceback follows on indented lines of text."""
        given: dict[str, Any] = getattr(record, "values", {})
        values = {key: self._redacted(item) for key, item in given.items()}
        message = self._redact(record.getMessage())
        trace = self._redact(self.formatException(record.exc_info)) if record.exc_info else ""
        moment = datetime.fromtimestamp(record.created, tz=UTC).astimezone()
        if self._as_json:
            entry = {
                "time": moment.isoformat(timespec="milliseconds"),
                "level": record.levelname.lower(),
                "request_id": request_id.get(),
                "logger": record.name,
                "message": message,
                **({"traceback": trace} if trace else {}),
                **values,
            }
            return json.dumps(entry, ensure_ascii=False)
        head = f"{moment:%H:%M:%S} {record.levelname.lower():7} {request_id.get()}"
        tail = "".join(f" {key}={value}" for key, value in values.items())
        lines = [f"{head} {message}{tail}", *(f"    {line}" for line in trace.splitlines())]
        return "\n".join(map(_on_one_line, lines))

    def _redacted(self, value: Any) -> Any:
        match value:
            case str():
                return self._redact(value)
            case dict():
                return {self._redact(str(key)): self._redacted(item) for key, item in value.items()}
            case list() | tuple():
                return [self._redacted(item) for item in value]
            case None | bool() | int() | float():
                return value
            case _:
                return self._redact(str(value))


def _on_one_line(text: str) -> str:
    """Escape what would start a line of its own or steer a terminal."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class _QuietHandler(logging.StreamHandler[TextIO]):
    """A closed terminal or a full disk must not stop the server: the line is lost, not more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Drop the line."""


def set_up_logs(
    *,
    level: str,
    format_: str,
    secrets: Iterable[Secret] = (),
    stream: TextIO | None = None,
) -> None:
    """Send all log lines of the process to `stream` (stderr) in one format, redacted.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        format_: `text`, `json`, or `auto`: text on a terminal.
        secrets: values that must not appear in any line.
        stream: where lines go.
    """
    target = stream or sys.stderr
    as_json = format_ == "json" or (format_ == "auto" and not target.isatty())
    handler = _QuietHandler(target)
    handler.setFormatter(LineFormatter(as_json=as_json, redact=Redactor(secrets)))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "websockets", "asyncio", "uvicorn", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLogger().level))
