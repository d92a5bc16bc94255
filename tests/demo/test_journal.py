"""What the simulator writes down."""

import json
from pathlib import Path

from lingma_cli.demo.journal import Journal, Log, compact


def test_notes_are_json_lines_and_clipped(tmp_path: Path) -> None:
    """One object a line, readable at once; long strings do not fill the disk."""
    journal = Journal(tmp_path / "j", lambda: 1.5, "on")
    journal.note("received", params={"text": "x" * 100_000, "list": ["好\ud800"]})
    note = json.loads((tmp_path / "j").read_text())
    journal.close()

    assert (note["time"], note["event"]) == (1.5, "received")
    assert note["params"]["text"].endswith("… and 34464 characters more")
    assert note["params"]["list"] == ["好\ufffd"]


def test_off_writes_nothing(tmp_path: Path) -> None:
    """At level off there is no file."""
    journal = Journal(tmp_path / "j", lambda: 1.5, "off")
    journal.note("received")
    journal.close()

    assert not (tmp_path / "j").exists()


def test_the_log_has_the_time_in_each_line(tmp_path: Path) -> None:
    """Lines can be read with the eyes."""
    log = Log(tmp_path / "l", lambda: 0.0)
    log.line("INFO", "ready")
    log.close()

    assert (tmp_path / "l").read_text() == "1970-01-01T00:00:00.000+00:00 INFO ready\n"


def test_values_are_quoted_in_one_line() -> None:
    """Answers of the client are shown as JSON."""
    assert compact({"a": [None, "好"]}) == '{"a": [null, "好"]}'
