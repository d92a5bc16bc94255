"""What is under way when a signal comes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli.wiring.unwinding import unwound

WORK = """
import signal, sys, time
from pathlib import Path
from lingma_cli.wiring.unwinding import unwound

if sys.argv[2] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
with unwound(Path(sys.argv[1]).touch):
    print("at work", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("number", "how", "code"),
    [
        (signal.SIGTERM, "", -signal.SIGTERM),
        (signal.SIGHUP, "", -signal.SIGHUP),
        (signal.SIGHUP, "nohup", 0),
    ],
)
def test_a_signal_ends_it_in_order(
    tmp_path: Path, number: signal.Signals, how: str, code: int
) -> None:
    """Then the process goes by it; what was ignored before stays so."""
    command = [sys.executable, "-c", WORK, str(tmp_path / "cleared"), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        process.send_signal(number)
        if how:
            process.communicate(timeout=20)

        assert process.wait(20) == code
    assert (tmp_path / "cleared").exists()


def test_without_a_signal_all_is_as_before() -> None:
    """What was to be done at the end is done, once."""
    done: list[int] = []
    earlier = signal.getsignal(signal.SIGTERM)
    with unwound(lambda: done.append(1)):
        assert done == []

    assert done == [1]
    assert signal.getsignal(signal.SIGTERM) is earlier
