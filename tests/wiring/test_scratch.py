"""Folders of a login: private, alone, and gone."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths
from lingma_cli.wiring.scratch import browser_folder, clear_leftovers, scratch_folder
from tests.support.accounts import AccountHome, record
from tests.support.cli import PROGRAM
from tests.support.serving import WAIT_SECONDS, program_environment, serving, wait_until

# What a login is: in a coroutine or around one, and its end takes a while.
LOGIN = """
import asyncio, os, signal, sys
from lingma_cli.paths import find_paths
from lingma_cli.wiring.scratch import browser_folder, scratch_folder

place, how = sys.argv[1:]
if how == "ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)

async def hold(temp):
    try:
        print(temp, flush=True)
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.3)
        (temp / "late").touch()

async def inside():
    with scratch_folder(paths) as scratch, browser_folder(scratch) as temp:
        await hold(temp)

paths = find_paths({"LINGMA_HOME": place})
if how == "around":
    with scratch_folder(paths) as scratch, browser_folder(scratch) as temp:
        asyncio.run(hold(temp))
else:
    asyncio.run(inside())
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An empty home."""
    return find_paths({"LINGMA_HOME": str(tmp_path / "home")})


def test_gone_afterwards(paths: Paths) -> None:
    """Both folders are private, and go with what is in them, also after a failure."""
    made: list[Path] = []

    def fail() -> None:
        with scratch_folder(paths) as scratch, browser_folder(scratch) as temp:
            made.extend((scratch, temp))
            assert [stat.S_IMODE(folder.stat().st_mode) for folder in made] == [0o700, 0o700]
            (temp / "profile").mkdir()
            (scratch / "secret").write_text("secret")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [folder.exists() for folder in made] == [False, False]


def test_what_a_crash_left_goes_with_the_next_one(paths: Paths, tmp_path: Path) -> None:
    """The folder of the browser as well, but no other that a broken record might name."""
    ours, other = tmp_path / "lingma-login-x", tmp_path / "precious"
    for temp in (ours, other):
        temp.mkdir()
        left = paths.state / "login"
        left.mkdir(parents=True)
        (left / "temp").write_text(str(temp))
        (left / "engine").mkdir()
        with scratch_folder(paths) as scratch:
            assert list(scratch.iterdir()) == []

    assert (ours.exists(), other.exists()) == (False, True)


def test_one_at_a_time(paths: Paths) -> None:
    """A second login of the same home is refused, and does not disturb the first."""
    with scratch_folder(paths) as scratch:
        (scratch / "here").touch()
        with pytest.raises(LingmaError) as caught, scratch_folder(paths):
            raise AssertionError("two at once")
        assert (scratch / "here").exists()

    assert caught.value.kind is ErrorKind.ALREADY_RUNNING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("how", ["inside", "around", "ignored"])
def test_a_signal_leaves_nothing(paths: Paths, number: signal.Signals, how: str) -> None:
    """What is under way ends in order, even if told twice; then the process goes by the signal.

    In the background of a script, Ctrl-C is ignored.
    """
    command = [sys.executable, "-c", LOGIN, str(paths.state.parent), how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as login:
        assert login.stdout is not None
        temp = Path(login.stdout.readline().strip())
        assert temp.exists()
        login.send_signal(number)
        login.send_signal(number)
        code = login.wait(WAIT_SECONDS)

    assert code == -number
    assert not temp.exists()
    assert not (paths.state / "login").exists()


def test_who_hears_signals_goes_on_hearing_them(paths: Paths) -> None:
    """A server has its own way to end, and what has been ignored stays so."""
    heard: list[int] = []
    earlier = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with scratch_folder(paths):
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, earlier)

    assert heard == [signal.SIGTERM]


def test_a_trial_that_is_ended_leaves_no_login(tmp_path: Path) -> None:
    """`lingma account test`, while the engine takes its time to start."""
    home = AccountHome(root=tmp_path)
    home.add("work", record())
    environ = home.environ() | {"LINGMA_DEMO_START": "delay=30"}
    command = [*PROGRAM, "account", "test", *home.with_keys]
    trial = subprocess.Popen(command, env=program_environment(home.folder, **environ))
    left = home.paths.state / "login"
    try:
        wait_until((left / "engine" / "cache" / "user").exists, what="the login")
        trial.terminate()
        code = trial.wait(WAIT_SECONDS)
    finally:
        trial.kill()

    assert (code, left.exists()) == (-signal.SIGTERM, False)


def test_leftovers_of_dead_runs_are_cleared(paths: Paths, tmp_path: Path) -> None:
    """Those of engines that log in by themselves as well, and what their browsers wrote."""
    places = [paths.state, paths.state / "auto-login" / "inst-0"]
    for number, place in enumerate(places):
        temp = tmp_path / f"lingma-login-{number}"
        temp.mkdir()
        (place / "login" / "engine").mkdir(parents=True)
        (place / "login" / "temp").write_text(str(temp))

    clear_leftovers(paths)

    assert not any((place / "login").exists() for place in places)
    assert not any(tmp_path.glob("lingma-login-*"))


def test_a_server_clears_leftovers(paths: Paths) -> None:
    """Before it does anything else, the simulator's too."""
    (paths.state / "login" / "engine").mkdir(parents=True, mode=0o700)
    with serving(paths.state.parent, "--demo", ready=False):
        assert not (paths.state / "login").exists()


def test_a_login_under_way_is_no_leftover(paths: Paths) -> None:
    """It stays, and where there never was one, nothing is begun."""
    clear_leftovers(paths)
    assert not paths.state.exists()
    with scratch_folder(paths) as scratch:
        clear_leftovers(paths)
        assert scratch.exists()


def test_where_nothing_can_be_written(paths: Paths) -> None:
    """The folder is named, like that of anything else."""
    (paths.state / "login.lock").mkdir(parents=True, mode=0o700)

    with pytest.raises(LingmaError) as caught, scratch_folder(paths):
        raise AssertionError("written nowhere")

    assert caught.value.kind is ErrorKind.USAGE
    assert str(paths.state) in caught.value.message
