"""Started programs are bounded and never left behind."""

import sys
from pathlib import Path

import pytest

from benchmarks.errors import BenchmarkError
from benchmarks.processes import choose_cores, running, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs CPU clocks and affinity")

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


def test_a_failure_ends_the_program_and_shows_its_output(tmp_path: Path) -> None:
    """The error carries what the program said, and the program is gone."""
    log = tmp_path / "log"
    started: list[int] = []

    def fail() -> None:
        with running([sys.executable, "-c", SLEEPER], log, choose_cores().servers) as process:
            started.append(process.pid)
            wait_until(lambda: log.read_text() or None, "the program", process)
            wait_until(lambda: None, "nothing", process, limit=0)

    with pytest.raises(BenchmarkError, match="nothing did not come up") as failure:
        fail()

    assert failure.value.__notes__ == ["log:\nup\n"]
    assert not Path(f"/proc/{started[0]}").exists()


def test_waiting_for_a_program_that_ends_does_not_take_the_whole_time(tmp_path: Path) -> None:
    """Its exit code is the error."""

    def fail() -> None:
        with running(
            [sys.executable, "-c", "exit(3)"], tmp_path / "log", choose_cores().rest
        ) as process:
            wait_until(lambda: None, "the program", process, limit=600)

    with pytest.raises(BenchmarkError, match="the program ended with exit code 3"):
        fail()
