"""An engine as a record and as a row."""

from __future__ import annotations

import pytest

from lingma_cli.cli.engine_rows import of_entry, of_running, print_table
from lingma_cli.client.engines import EngineInfo
from lingma_cli.control.persisted import HttpEntry, ManagedEntry


def cells(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the second line that was printed, without its spaces."""
    return capsys.readouterr().out.splitlines()[1].split()


def test_one_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """All of it in one line; what a server says cannot reach the terminal raw."""
    info = EngineInfo(
        engine_id="box",
        state="READY",
        model_id="tiny",
        engine_kind="embedding",
        url="http://127.0.0.1:8080",
        port=8080,
        active_requests=2,
        generation=3,
        uptime_seconds=75.4,
        pid=42,
        last_error="it\x1b[1m died",
    )
    row = of_running(info)
    print_table([row])

    assert (row["state"], row["uptime"], row["last_error"]) == ("ready", 75, "it\x1b[1m died")
    assert cells(capsys) == [
        *("box", "tiny", "embedding", "ready", "http://127.0.0.1:8080"),
        *("2", "3", "42", "1m", "15s", "it", "died"),
    ]


def test_one_that_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody knows is a dash; one that was stopped by hand stays so."""
    print_table([of_entry(HttpEntry(id="box", url="http://127.0.0.1:9"))])
    assert cells(capsys) == ["box", "-", "llm", "-", "http://127.0.0.1:9", *["-"] * 5]

    managed = ManagedEntry(
        id="llm-tiny", template="vllm", model="m", label="tiny", port=81, stopped=True
    )
    print_table([of_entry(managed)])
    assert cells(capsys) == ["llm-tiny", "tiny", "llm", "stopped", "port", "81", *["-"] * 5]
    assert of_entry(managed).keys() == of_running(EngineInfo(engine_id="a", state="X")).keys()


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (EngineInfo(engine_id="a", state="READY", cooldown_seconds=75.2), "rests for 1m 15s"),
        (EngineInfo(engine_id="a", state="READY", cooldown_seconds=0.2), "rests for 1s"),
        (EngineInfo(engine_id="a", state="READY", breaker="open"), "left alone"),
        (EngineInfo(engine_id="a", state="ERROR", breaker="open", last_error="gone"), "gone"),
    ],
)
def test_why_requests_pass_it_by(
    capsys: pytest.CaptureFixture[str], info: EngineInfo, words: str
) -> None:
    """A rest that ends by itself is told from what has failed."""
    print_table([of_running(info)])

    assert words in capsys.readouterr().out
