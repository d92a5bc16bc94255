"""The record of an exchange, and its line in the log."""

from __future__ import annotations

import json
import logging

import pytest

from lingma_cli.core.events import Usage
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.core.record import Attempt, Record, Timings
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.records import RecordKeeper, log_record
from lingma_cli.logs import LineFormatter
from lingma_cli.secret import Redactor

NOTE = Note(code=NoteCode.PART_DROPPED, text="x")
USAGE = Usage(input_tokens=1, output_tokens=2)
BROKEN = LingmaError(ErrorKind.ENGINE_FAILED, "broke")


def _finished(*attempts: Attempt) -> Record:
    """Return the record of 1.5 seconds, the last of `attempts` a failure."""
    times = iter((10.0, 10.25, 11.5))
    keeper = RecordKeeper("r", caller="key-1", protocol="openai_chat", clock=lambda: next(times))
    keeper.queued = keeper.now()
    keeper.model = "org_auto"
    keeper.attempts += attempts
    keeper.attempt_failed(BROKEN)
    return keeper.finish("engine_failed", [NOTE], USAGE)


def test_what_is_kept() -> None:
    """Times count from the request's arrival, and the last attempt's engine is the record's."""
    attempts = (Attempt(engine="a", generation=1), Attempt(engine="b", generation=2))
    record = _finished(*attempts)

    assert (record.engine, record.notes, record.usage) == ("b", (NOTE,), USAGE)
    assert record.timings == Timings(queued=0.25, total=1.5)
    assert record.attempts == (
        attempts[0],
        Attempt(engine="b", generation=2, error="engine_failed"),
    )


def test_a_failure_before_any_attempt() -> None:
    """There is no engine to blame."""
    record = _finished()

    assert (record.engine, record.attempts, record.end) == ("", (), "engine_failed")


def test_a_record_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The log line carries the record's fields as values, and only the times that there are."""
    with caplog.at_level(logging.INFO):
        attempts = (Attempt(engine="b", generation=3, error="overloaded"),)
        log_record(_finished(*attempts, Attempt(engine="a", generation=1)))
    (line,) = caplog.records
    written = json.loads(LineFormatter(as_json=True, redact=Redactor()).format(line))

    assert written["message"] == "openai_chat engine_failed"
    assert "first_event_s" not in written
    expected = {
        "caller": "key-1",
        "model": "org_auto",
        "engine": "a",
        "end": "engine_failed",
        "notes": "part_dropped",
        "attempts": 2,
        "tried": "b#3:overloaded,a#1:engine_failed",
        "input_tokens": 1,
        "output_tokens": 2,
        "queued_s": 0.25,
        "total_s": 1.5,
    }
    assert written | expected == written


def test_a_seat_is_an_attempt() -> None:
    """The first one ends the wait; what was tried is known by name."""
    times = iter((10.0, 11.0, 13.0))
    keeper = RecordKeeper("r", caller="c", protocol="p", clock=lambda: next(times))
    keeper.seated("m", "a", 1)
    keeper.attempt_failed(BROKEN)
    keeper.seated("n", "b", 2)

    record = keeper.finish("stop", [], None)
    assert (record.model, record.timings.leased, keeper.tried) == ("n", 1.0, {"a", "b"})
    assert record.attempts == (
        Attempt(engine="a", generation=1, error="engine_failed"),
        Attempt(engine="b", generation=2),
    )
