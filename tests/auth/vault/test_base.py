"""The lock that all writers of a vault take."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lingma_cli.auth.vault.base import locked
from lingma_cli.errors import FACES, LingmaError


def test_the_second_waits_for_the_first(tmp_path: Path) -> None:
    """It goes on as soon as the lock is free."""
    waits, released = threading.Event(), threading.Event()
    inside: list[str] = []

    def pause(_: float) -> None:
        waits.set()
        released.wait(20)

    def second() -> None:
        with locked(tmp_path / "v" / "lock", pause=pause):
            inside.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "v" / "lock"):
        thread.start()
        assert waits.wait(20)
        inside.append("first")
    released.set()
    thread.join(20)

    assert inside == ["first", "second"]


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    """After about 20 s of waiting, the person is told."""
    waited: list[float] = []
    with (
        locked(tmp_path / "lock"),
        pytest.raises(LingmaError, match="stays locked") as caught,
        locked(tmp_path / "lock", pause=waited.append),
    ):
        pass

    assert FACES[caught.value.kind].exit_code == 5
    assert sum(waited) == pytest.approx(20)


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A link in its place is not followed."""
    (tmp_path / "lock").symlink_to("elsewhere")

    with pytest.raises(LingmaError, match="cannot use"), locked(tmp_path / "lock"):
        pass

    assert not (tmp_path / "elsewhere").exists()


def test_an_error_inside_is_the_callers(tmp_path: Path) -> None:
    """It passes, and the lock is free again."""
    with pytest.raises(FileNotFoundError), locked(tmp_path / "lock"):
        (tmp_path / "nothing").read_bytes()

    with locked(tmp_path / "lock"):
        pass
