"""A server that outlived us, found again by what was written down."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import pytest

from lingma_cli.engines.managed.survivors import (
    TOKEN_VARIABLE,
    ServerRecord,
    end_survivor,
    find_again,
    forget,
    recall,
    record_of,
    remember,
)
from tests.engines.lingma.binary import survivors


@contextmanager
def _process(program: str = "import time; time.sleep(600)") -> Iterator[psutil.Process]:
    """Run a program that has the token `t`; it has begun when this yields."""
    command = [sys.executable, "-S", "-c", f"print(flush=True); {program}"]
    environ = {**os.environ, TOKEN_VARIABLE: "t"}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield psutil.Process(process.pid)
        finally:
            process.kill()


def _record(process: psutil.Process) -> ServerRecord:
    record = record_of(process, "t", 8000)
    assert record is not None
    return record


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    """In a private file, until it is forgotten; no file and nonsense are no record."""
    path = tmp_path / "one.json"
    record = ServerRecord(pid=1, started=2.5, token="t", port=3)

    remember(path, record)
    assert recall(path) == record
    assert path.stat().st_mode & 0o777 == 0o600

    path.write_text('{"pid": "x"}')
    assert recall(path) is None
    forget(path)
    forget(path)
    assert recall(path) is None


def test_a_place_that_takes_nothing(tmp_path: Path) -> None:
    """It is no reason to fail."""
    (tmp_path / "file").write_text("")

    remember(tmp_path / "file" / "one.json", ServerRecord(pid=1, started=2.5, token="t", port=3))


def test_only_the_same_process_is_found() -> None:
    """Its id, start time and token must all be right."""
    with _process() as process:
        record = _record(process)

        assert find_again(record) == process
        for change in ({"started": record.started - 5}, {"token": "other"}, {"pid": os.getpid()}):
            assert find_again(msgspec.structs.replace(record, **change)) is None

    assert find_again(record) is None


@pytest.mark.parametrize("pid", [-1, 2**40])
def test_ids_that_no_process_can_have(pid: int) -> None:
    """A file that somebody has edited breaks nothing."""
    assert find_again(ServerRecord(pid=pid, started=0, token="t", port=1)) is None


def test_a_survivor_is_ended_with_its_family(tmp_path: Path) -> None:
    """Also one that does not listen; then it is forgotten."""
    path = tmp_path / "one.json"
    program = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(flush=True); time.sleep(600)"
    )
    with _process("pass\n" + program) as process:
        remember(path, _record(process))
        while not (children := process.children()):
            pass

        assert end_survivor(path, 0.2) == process.pid
        assert survivors([process.pid, *(child.pid for child in children)], within=2) == []

    assert recall(path) is None


def test_nobody_to_end(tmp_path: Path) -> None:
    """No record, or one of a process that is not ours: nobody is touched."""
    path = tmp_path / "one.json"
    assert end_survivor(path, 0.2) is None
    with _process() as process:
        remember(path, msgspec.structs.replace(_record(process), token="other"))

        assert end_survivor(path, 0.2) is None
        assert process.is_running()
        assert recall(path) is None
