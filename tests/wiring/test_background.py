"""A server in the background, as far as the command line cannot show it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from lingma_cli.cli.app import tree
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.fetch import OnProgress
from lingma_cli.paths import Paths, find_paths, opened, private_folder, try_lock
from lingma_cli.server.presence import ServerFile, announce, is_served, only_server
from lingma_cli.settings import Settings
from lingma_cli.wiring.background import Launch, Start, last_start, start, stop
from lingma_cli.wiring.bootstrap import Talk
from tests.support.cli import environment

HOLD = """
import os, sys
from lingma_cli.paths import find_paths
from lingma_cli.server.presence import only_server

with only_server(find_paths(os.environ)):
    print("up", flush=True)
    sys.stdin.read()
"""


@contextmanager
def _no_bar() -> Iterator[OnProgress]:
    yield lambda _done, _total: None


TALK = Talk(say=print, progress=_no_bar, consent=lambda _: False)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"LINGMA_HOME": str(tmp_path)})


def launch(tmp_path: Path, patience: float, **environ: str) -> Launch:
    """Return a demo server to be started."""
    return Launch(
        start=Start(flags={"demo": True, "port": "0"}, folder=str(tmp_path)),
        settings=Settings(demo=True),
        environ=environment(tmp_path, environ),
        patience=patience,
    )


@contextmanager
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Hold the server lock of `home` in another process."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        env={**os.environ, "LINGMA_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process


def children() -> list[psutil.Process]:
    """Return what runs below this process."""
    return psutil.Process().children(recursive=True)


def test_a_server_that_takes_too_long_is_stopped(tmp_path: Path, paths: Paths) -> None:
    """The error says so, and nothing is left of it."""
    before = children()

    with pytest.raises(LingmaError, match=r"not up within 0\.01 seconds") as caught:
        start(launch(tmp_path, 0.01), paths, TALK)

    assert caught.value.kind is ErrorKind.ENGINE_TIMEOUT
    assert children() == before
    assert not is_served(paths)
    assert last_start(paths) is None


def test_one_command_starts_at_a_time(tmp_path: Path, paths: Paths) -> None:
    """Another one waits, and gives up in the end without having touched anything."""
    private_folder(paths.runtime)
    with opened(paths.background_lock, os.O_RDWR | os.O_CREAT) as descriptor:
        assert try_lock(descriptor)
        with pytest.raises(LingmaError, match="another command is starting") as caught:
            start(launch(tmp_path, 0.01), paths, TALK)

    assert caught.value.kind is ErrorKind.ALREADY_RUNNING
    assert not paths.background_log.exists()


def test_a_server_that_ends_without_a_word(tmp_path: Path, paths: Paths) -> None:
    """Its status and its last error line are the error."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "sys.stderr.write('something\\nerror: no luck\\n\\nhint: none\\n')\n"
        "sys.stderr.flush()\n"
        "os._exit(9)\n"
    )

    with pytest.raises(LingmaError, match=r"status 9 .*: no luck$") as caught:
        start(launch(tmp_path, 20, PYTHONPATH=str(tmp_path)), paths, TALK)

    assert caught.value.kind is ErrorKind.INTERNAL
    assert "something" in paths.background_log.read_text()


def test_a_strangers_process_is_not_stopped(tmp_path: Path, paths: Paths) -> None:
    """The file names a process that lives but does not hold the lock."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        with only_server(paths):
            started = psutil.Process(innocent.pid).create_time()
            announce(paths, ServerFile(url="http://x", pid=innocent.pid, started=started + 1))
            with pytest.raises(LingmaError, match="is not the server") as caught:
                stop(paths, within=0, force=True)

        assert caught.value.kind is ErrorKind.SERVER_NOT_FOUND
        assert innocent.poll() is None


def test_a_process_that_is_younger_than_the_file_is_not_stopped(
    tmp_path: Path, paths: Paths
) -> None:
    """The pid has been given to another one since."""
    with holder(tmp_path) as process:
        announce(paths, ServerFile(url="http://x", pid=process.pid, started=1.0))
        with pytest.raises(LingmaError, match="is not the server"):
            stop(paths, within=0, force=True)

        assert process.poll() is None


def test_the_process_that_holds_the_lock_is_stopped(tmp_path: Path, paths: Paths) -> None:
    """With the right start time, the same process is the server."""
    with holder(tmp_path) as process:
        started = psutil.Process(process.pid).create_time()
        server = ServerFile(url="http://x", pid=process.pid, started=started)
        announce(paths, server)

        assert stop(paths, within=10) == server
        assert process.wait(10) != 0


def test_a_server_that_is_not_up_yet_cannot_be_named(tmp_path: Path, paths: Paths) -> None:
    """The lock is held, but by whom is not known."""
    with (
        holder(tmp_path) as process,
        pytest.raises(LingmaError, match="just starting or ending"),
    ):
        stop(paths, within=0)

    assert process.returncode == 0


def test_flags_become_arguments_of_serve() -> None:
    """Every kind of option, in a form that takes values with a dash in front."""
    given = Start(
        config="a b.toml",
        flags={"demo": True, "port": "0", "host": "-x", "allowed_hosts": ["a", "b"]},
        folder="/",
    )
    (serve,) = (one for one in tree().walk() if one.words == ("serve",))
    known = {name for option in serve.options for name in option.names}

    assert set(given.arguments) == {
        "--config=a b.toml",
        "--demo",
        "--port=0",
        "--host=-x",
        "--allow-host=a",
        "--allow-host=b",
    }
    assert {word.partition("=")[0] for word in given.arguments} <= known
    assert Start(folder="/").arguments == ()


@pytest.mark.parametrize("content", ["", "{", '{"folder": 1}', "[]"])
def test_a_corrupt_memory_is_none(paths: Paths, content: str) -> None:
    """Then the last start is not known."""
    paths.state.mkdir(parents=True)
    paths.background_file.write_text(content)

    assert last_start(paths) is None
