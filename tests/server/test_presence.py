"""One server a home, and finding it: real processes, real locks, real files."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths, write_private
from lingma_cli.server.presence import ServerFile, announce, find_server, is_served, only_server
from tests.support.serving import serving

HERE = ServerFile(url="http://127.0.0.1:9", pid=os.getpid(), started=1.0)
SERVE = """
import os, sys
from lingma_cli.paths import find_paths
from lingma_cli.server.presence import ServerFile, announce, only_server

paths = find_paths(os.environ)
with only_server(paths):
    announce(paths, ServerFile(url="http://127.0.0.1:7", pid=os.getpid(), started=2.0))
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"LINGMA_HOME": str(tmp_path)})


@contextmanager
def another_server(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the lock of `home` in a process of its own until its stdin closes."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env={**os.environ, "LINGMA_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process


@contextmanager
def shared_lock(paths: Paths) -> Iterator[int]:
    """Look for a server, but slowly."""
    paths.runtime.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(paths.server_lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_server_is_found_while_it_runs(tmp_path: Path, paths: Paths) -> None:
    """From its announcement to its end, and any number of times."""
    with another_server(tmp_path) as server:
        for _ in range(3):
            found = find_server(paths)
            assert ServerFile(url="http://127.0.0.1:7", pid=server.pid, started=2.0) == found

    assert server.returncode == 0
    assert find_server(paths) is None
    assert not paths.server_file.exists()


def test_a_killed_server_is_not_found(tmp_path: Path, paths: Paths) -> None:
    """Its file stays behind and its children live on for a moment; neither counts."""
    with serving(tmp_path, "--demo") as server:
        assert find_server(paths) is not None

        server.process.kill()
        server.process.wait()

        assert find_server(paths) is None
        assert paths.server_file.exists()


def test_a_stale_file_with_a_living_pid_is_not_believed(paths: Paths) -> None:
    """A pid may belong to anybody by now; other finders and the lock's file mean nothing."""
    announce(paths, HERE)

    assert find_server(paths) is None
    assert not paths.server_lock.exists()

    with shared_lock(paths):
        assert find_server(paths) is None


def test_a_starting_server_does_not_vouch_for_a_stale_file(paths: Paths) -> None:
    """Between its lock and its announcement there is nothing to find."""
    announce(paths, HERE)

    with only_server(paths):
        assert find_server(paths) is None
        assert is_served(paths)
        announce(paths, HERE)
        assert find_server(paths) == HERE

    assert not is_served(paths)


@pytest.mark.parametrize("content", ["", "{", "null", '{"url": "x"}', '{"url": 1, "pid": "2"}'])
def test_a_corrupt_file_is_no_server(paths: Paths, content: str) -> None:
    """Also while somebody serves; who starts meanwhile is still told that there is one."""
    with only_server(paths):
        write_private(paths.server_file, content)

        assert find_server(paths) is None
        with (
            pytest.raises(LingmaError, match=r"^a server already runs for this home$"),
            only_server(paths),
        ):
            pass


def test_an_unusable_lock_is_no_server(paths: Paths) -> None:
    """A planted link is not followed."""
    announce(paths, HERE)
    (paths.runtime / "elsewhere").touch()
    paths.server_lock.symlink_to("elsewhere")

    with (paths.runtime / "elsewhere").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert find_server(paths) is None


def test_the_second_starter_is_told_of_the_first(tmp_path: Path, paths: Paths) -> None:
    """It fails with the address and the process, and takes nothing away from the first."""
    with another_server(tmp_path) as first:
        with pytest.raises(LingmaError) as caught, only_server(paths):
            pass

        assert caught.value.kind is ErrorKind.ALREADY_RUNNING
        assert caught.value.message.endswith(f": http://127.0.0.1:7, process {first.pid}")
        assert find_server(paths) is not None


def test_a_finder_does_not_keep_a_server_from_starting(paths: Paths) -> None:
    """A lock that is given back at once is waited for."""
    with shared_lock(paths) as descriptor:
        release = threading.Timer(0.05, fcntl.flock, (descriptor, fcntl.LOCK_UN))
        release.start()
        try:
            with only_server(paths):
                announce(paths, HERE)
                assert find_server(paths) == HERE
        finally:
            release.join()
