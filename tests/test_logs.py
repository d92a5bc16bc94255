"""Log lines."""

from __future__ import annotations

import io
import json
import logging
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.logs import LineFormatter, request_id, set_up_logs
from lingma_cli.secret import Redactor, Secret

CANARY = "s3cr3t-canary-value"


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _record(message: str, *arguments: object, **values: Any) -> logging.LogRecord:
    record = logging.LogRecord("lingma_cli.x", logging.INFO, "f", 1, message, arguments, None)
    record.values = values
    return record


def _line(record: logging.LogRecord, *, as_json: bool, secrets: tuple[str, ...] = ()) -> str:
    redact = Redactor(map(Secret, secrets))
    return LineFormatter(as_json=as_json, redact=redact).format(record)


def test_a_text_line() -> None:
    """Time, level, request id, message, values."""
    token = request_id.set("r1")
    try:
        line = _line(_record("hello %s", "you", end="stop", n=1), as_json=False)
    finally:
        request_id.reset(token)

    assert line.partition(" ")[2] == "info    r1 hello you end=stop n=1"


def test_a_json_line() -> None:
    """One object, values beside the rest."""
    line = json.loads(_line(_record("hello %s", "好", end="stop", n=1), as_json=True))

    assert {
        "level": "info",
        "request_id": "-",
        "logger": "lingma_cli.x",
        "message": "hello 好",
        "end": "stop",
        "n": 1,
    }.items() <= line.items()
    assert "T" in line["time"]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "\x1b[31mred"])
def test_nothing_can_forge_a_line(text: str, as_json: bool) -> None:
    """Line ends and terminal escapes in messages and values do not reach the log raw."""
    line = _line(_record("%s", text, value=text), as_json=as_json)

    assert [line] == line.splitlines()
    assert "\x1b" not in line


# redaction

# What an HTTP header can carry.
keys = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=6, max_size=30)


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@given(value=keys, around=st.text(max_size=5))
def test_no_known_secret_reaches_a_line(value: str, around: str, as_json: bool) -> None:
    """In a message, a value, a nested value or its key, and an exception, whatever it holds."""
    try:
        raise ValueError(f"{around}{value}")
    except ValueError as error:
        caught = (type(error), error, error.__traceback__)
    record = _record(
        "%s", f"{around}{value}{around}", direct=value, nested={"a": [value, {value: 1}]}
    )
    record.exc_info = caught

    line = _line(record, as_json=as_json, secrets=(value,))
    message = json.loads(line)["message"] if as_json else line

    assert value not in message
    if as_json:
        assert value not in json.loads(line)["direct"]
        assert value not in str(json.loads(line)["nested"]["a"])


# set-up


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("format_", "stream", "is_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", _Terminal(), False),
        ("text", io.StringIO(), False),
        ("json", _Terminal(), True),
    ],
)
def test_the_format(format_: str, stream: io.StringIO, is_json: bool) -> None:
    """Text on a terminal, JSON elsewhere, unless told otherwise."""
    set_up_logs(level="info", format_=format_, stream=stream)

    logging.getLogger("lingma_cli.x").info("hello")

    assert is_json == stream.getvalue().startswith("{")
    assert "hello" in stream.getvalue()


def test_the_level_and_the_chatty() -> None:
    """Below the level nothing is written, and libraries do not talk below a warning."""
    stream = io.StringIO()
    set_up_logs(level="info", format_="text", stream=stream)

    logging.getLogger("lingma_cli.x").debug("unheard")
    logging.getLogger("httpx").info("unheard")
    logging.getLogger("httpx").warning("heard")

    assert "unheard" not in stream.getvalue()
    assert "heard" in stream.getvalue()


def test_secrets_are_hidden_from_the_first_line() -> None:
    """The set-up knows them."""
    stream = io.StringIO()
    set_up_logs(level="info", format_="text", secrets=[Secret(CANARY)], stream=stream)

    logging.getLogger("somebody.else").warning("here: %s", CANARY)

    assert "canary" not in stream.getvalue()


def test_a_lost_terminal_loses_the_line_only(capsys: pytest.CaptureFixture[str]) -> None:
    """A closed stream neither raises nor prints a traceback."""
    stream = io.StringIO()
    set_up_logs(level="info", format_="text", stream=stream)
    stream.close()

    logging.getLogger("lingma_cli.x").info("hello")

    assert capsys.readouterr().err == ""
