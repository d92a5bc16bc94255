"""The log of a server in the background: bounded while it is written, and read back."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.wiring.log_file import begin, bounded, last_lines, read


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "state" / "gateway.log"


def write(log: Path, *lines: str) -> None:
    """Let a run print `lines`."""
    with begin(log) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())


def in_turn(*steps: Callable[[], object]) -> Callable[[], None]:
    """Return a wait that takes one step each time, and then ends as Ctrl-C does."""
    left: Iterator[Callable[[], object]] = iter(steps)

    def wait() -> None:
        step = next(left, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    return wait


def followed(log: Path, *steps: Callable[[], object]) -> list[str]:
    """Return what a follower sees who begins with nothing of the past."""
    lines = read(log, 0, in_turn(*steps))
    seen: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(lines)
    return seen


def test_each_run_has_its_file_and_the_one_before_is_kept(log: Path) -> None:
    """Two files at most, both for the user alone."""
    before = os.umask(0)
    try:
        for run in ("one", "two", "three"):
            write(log, run)
    finally:
        os.umask(before)

    assert {path.name: path.read_text() for path in log.parent.iterdir()} == {
        "gateway.log": "three\n",
        "gateway.log.1": "two\n",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in log.parent.iterdir()} == {0o600}


def test_a_full_file_begins_anew_and_others_go_along(log: Path) -> None:
    """Nothing grows beyond its limit, and who writes to the descriptor follows."""
    with begin(log) as file:
        stream = bounded(file.fileno(), log, limit=1000)
        for number in range(100):
            print(f"line {number:4} " + "x" * 40, file=stream)
        os.write(file.fileno(), b"from elsewhere\n")

    assert log.read_text().endswith("from elsewhere\n")
    assert log.stat().st_size <= 1000 + 20
    assert len((log.with_name("gateway.log.1")).read_bytes()) <= 1000
    assert len(list(log.parent.iterdir())) == 2


def test_what_a_full_disk_does_not_take_is_no_reason_to_stop(log: Path) -> None:
    """Where the file cannot be moved, it grows on."""
    with begin(log) as file:
        stream = bounded(file.fileno(), log, limit=10)
        log.with_name("gateway.log.1").mkdir()
        for number in range(5):
            print(f"line {number}", file=stream)

    assert log.read_text().splitlines() == [f"line {number}" for number in range(5)]


def test_the_last_lines_reach_into_the_run_before(log: Path) -> None:
    """A log that has just begun anew is no reason to show nothing."""
    write(log, "a", "b", "c")
    write(log, "d", "e")

    assert list(read(log, 2)) == ["d", "e"]
    assert list(read(log, 4)) == ["b", "c", "d", "e"]
    assert list(read(log, 50)) == ["a", "b", "c", "d", "e"]
    assert list(read(log, 0)) == []
    assert last_lines(log, 50) == ("d", "e")


def test_who_follows_sees_whole_lines_across_files(log: Path) -> None:
    """Pieces wait for their end, and a new file is read from its beginning."""
    write(log, "old")
    writer = log.open("ab", buffering=0)

    with writer:
        seen = followed(
            log,
            lambda: writer.write(b"one\ntw"),
            lambda: writer.write(b"o\nlast words"),
            lambda: None,
            lambda: write(log, "three"),
            lambda: write(log, "four"),
        )

    assert seen == ["one", "two", "last words", "three", "four"]


def test_what_is_written_just_before_the_move_is_not_lost(log: Path) -> None:
    """Both in one pause: the end of the old file and the beginning of the new."""
    write(log, "old")

    def at_once() -> None:
        with log.open("ab") as writer:
            writer.write(b"the end\n")
        write(log, "the beginning")

    assert followed(log, at_once) == ["the end", "the beginning"]


def test_without_a_log_there_is_a_hint(log: Path) -> None:
    """Nothing has run here yet."""
    with pytest.raises(LingmaError, match="no server has run") as caught:
        list(read(log, 5))

    assert caught.value.kind is ErrorKind.SERVER_NOT_FOUND
    assert last_lines(log, 5) == ()


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    """Said as such, before anything starts."""
    (tmp_path / "gateway.log.1" / "x").mkdir(parents=True)
    (tmp_path / "gateway.log").write_text("")

    with pytest.raises(LingmaError, match="cannot write"):
        begin(tmp_path / "gateway.log")
