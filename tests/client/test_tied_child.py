"""The program, tied to whoever started it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lingma_cli import __version__
from lingma_cli.client import tied_child
from tests.support.serving import WAIT_SECONDS, program_environment, wait_until


def tied(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start it from a folder that has no package in it."""
    return subprocess.Popen(
        [sys.executable, "-P", tied_child.__file__, *arguments],
        cwd=home,
        env=program_environment(home, LINGMA_DEMO="true"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def test_it_is_the_program(tmp_path: Path) -> None:
    """With its arguments, output and exit code."""
    for arguments, code, said in ((["--version"], 0, __version__), (["nonsense"], 2, "")):
        with tied(tmp_path, *arguments) as process:
            assert process.stdout is not None
            assert said in process.stdout.read().decode()
            assert process.wait(WAIT_SECONDS) == code


def test_it_ends_when_its_input_does(tmp_path: Path) -> None:
    """As after a signal: politely, with its server file removed."""
    announced = tmp_path / "run" / "server.json"
    with tied(tmp_path, "serve", "--port", "0") as process:
        wait_until(announced.exists, what="server.json")
        assert process.stdin is not None
        process.stdin.close()

        assert process.wait(WAIT_SECONDS) == 0
    assert not announced.exists()
