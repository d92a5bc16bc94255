"""What `lingma serve` tells who started it in the background."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from lingma_cli.paths import find_paths, private_folder
from lingma_cli.wiring.handshake import VARIABLE, Ready, Refused, read_word
from lingma_cli.wiring.log_file import LIMIT_BYTES
from tests.support.cli import environment


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """Run `lingma serve --demo …` as its starter would, and end it afterwards."""
    paths = find_paths({"LINGMA_HOME": str(home)})
    private_folder(paths.state)
    with paths.background_log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lingma_cli", "serve", "--demo", *arguments],
            env=environment(home, {VARIABLE: "1"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        yield process, process.stdout
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def test_a_server_that_listens_says_so_and_closes_the_pipe(tmp_path: Path) -> None:
    """One line with address and process, while it serves on."""
    with started(tmp_path, "--port", "0") as (process, pipe):
        (line,) = pipe.read().splitlines()
        server = json.loads((tmp_path / "run" / "server.json").read_bytes())
        assert process.poll() is None

    word = read_word(line)
    assert word == Ready(url=server["url"], pid=process.pid, demo=True, key_required=False)
    assert process.returncode == 0


def test_a_server_that_fails_says_why(tmp_path: Path) -> None:
    """Kind, sentence and hint; the person who reads the log finds them too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(tmp_path, "--port", str(port)) as (process, pipe):
            (line,) = pipe.read().splitlines()
            code = process.wait(20)

    word = read_word(line)
    assert isinstance(word, Refused)
    assert f"port {port} is in use" in word.error().message
    assert word.error().hint
    assert code == 2
    assert f"error: port {port} is in use" in (tmp_path / "state" / "gateway.log").read_text()


def test_a_log_that_is_full_begins_anew(tmp_path: Path) -> None:
    """What the server says goes on in a new file, so that the log is bounded."""
    log = private_folder(tmp_path / "state") / "gateway.log"
    with log.open("wb") as file:
        file.truncate(LIMIT_BYTES)

    with started(tmp_path, "--port", "0") as (_, pipe):
        word = read_word(pipe.read())

    assert isinstance(word, Ready)
    assert log.read_text().startswith("lingma ")
    assert word.url in log.read_text()
    assert log.with_name("gateway.log.1").stat().st_size == LIMIT_BYTES


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"hello\n", b"{}\n", b'{"type":"ready"}\n', b"\xff\n", b'"ready"\n']
)
def test_other_lines_are_no_word(line: bytes) -> None:
    """Something else may print to standard output."""
    assert read_word(line) is None
