"""A login in the engine's folder: whole or not at all, private, and never over a live one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lingma_cli.auth.bundles.bundle import Bundle
from lingma_cli.auth.bundles.folder import is_live, lay, take, wipe
from lingma_cli.auth.bundles.sealed import open_any
from lingma_cli.errors import LingmaError
from lingma_cli.secret import Secret
from tests.support.evil_bundles import evil_bundles

FULL = Bundle(files={"id": b"i1", "user": b"u1", "quota": b"q1", "config.json": b"{}"})
SMALL = Bundle(files={"id": b"i2", "user": b"u2"})


@pytest.fixture
def _any_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def seen(folder: Path) -> dict[str, object]:
    """Return everything under `folder`: content of files, targets of links, modes."""
    return {
        path.relative_to(folder).as_posix(): (
            path.readlink() if path.is_symlink() else path.is_file() and path.read_bytes(),
            path.lstat().st_mode,
        )
        for path in folder.rglob("*")
    }


@pytest.mark.usefixtures("_any_umask")
def test_what_is_laid_is_taken(tmp_path: Path) -> None:
    """Private whatever the umask, in a folder that need not exist, and nothing else is left."""
    work_dir = tmp_path / "work"

    lay(FULL, work_dir)

    assert take(work_dir) == FULL
    assert is_live(work_dir)
    assert set(seen(work_dir)) == {"cache", *(f"cache/{name}" for name in FULL.files)}
    assert (work_dir / "cache").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (work_dir / "cache").iterdir()} == {0o600}


def test_a_live_login_stays(tmp_path: Path) -> None:
    """Not one byte changes."""
    lay(FULL, tmp_path)
    before = seen(tmp_path)

    with pytest.raises(LingmaError, match="there is a login in"):
        lay(SMALL, tmp_path)

    assert seen(tmp_path) == before


def test_a_live_login_is_replaced_on_demand(tmp_path: Path) -> None:
    """As a whole: what the new one lacks goes, what was never part of it stays."""
    lay(FULL, tmp_path)
    (tmp_path / "cache" / "machine_token.json").write_text("{}")

    lay(SMALL, tmp_path, replace=True)

    assert take(tmp_path) == SMALL
    assert set(seen(tmp_path / "cache")) == {"id", "user", "machine_token.json"}


@pytest.mark.parametrize("user", [None, b"", b" \n"])
def test_an_ended_login_is_no_obstacle(tmp_path: Path, user: bytes | None) -> None:
    """An empty record is what a logout leaves."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "id").write_bytes(b"i0")
    if user is not None:
        (tmp_path / "cache" / "user").write_bytes(user)

    assert take(tmp_path) is None
    assert not is_live(tmp_path)
    lay(SMALL, tmp_path)
    assert take(tmp_path) == SMALL


def test_no_folder_holds_no_login(tmp_path: Path) -> None:
    """And asking makes none."""
    assert take(tmp_path / "none") is None
    assert not is_live(tmp_path / "none")
    wipe(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_wiped_login_is_gone(tmp_path: Path) -> None:
    """With the drafts of a `lay` that was killed, and without the rest of the folder."""
    lay(FULL, tmp_path)
    (tmp_path / ".login-dead").mkdir()
    (tmp_path / ".login-dead" / "user").write_bytes(b"u0")
    (tmp_path / "cache" / "machine_token.json").write_text("{}")

    wipe(tmp_path)

    assert set(seen(tmp_path)) == {"cache", "cache/machine_token.json"}


def test_links_do_not_lead_outside(tmp_path: Path) -> None:
    """Planted ones are replaced as links, and what they name stays as it is."""
    outside, work_dir = tmp_path / "outside", tmp_path / "work"
    (work_dir / "cache").mkdir(parents=True)
    outside.write_bytes(b"mine")
    (work_dir / "cache" / "id").symlink_to(outside)
    (work_dir / "cache" / "quota").symlink_to(outside)

    lay(FULL, work_dir)

    assert outside.read_bytes() == b"mine"
    assert take(work_dir) == FULL


def test_a_linked_cache_is_refused(tmp_path: Path) -> None:
    """By whatever wants to touch a login there."""
    (tmp_path / "outside").mkdir()
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    (work_dir / "cache").symlink_to(tmp_path / "outside")

    acts: list[Callable[[], object]] = [
        lambda: lay(FULL, work_dir, replace=True),
        lambda: take(work_dir),
        lambda: wipe(work_dir),
    ]
    for act in acts:
        with pytest.raises(LingmaError, match="symbolic link"):
            act()
    assert list((tmp_path / "outside").iterdir()) == []


def _link(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _folder(path: Path) -> None:
    path.mkdir()


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _large(path: Path) -> None:
    path.touch()
    os.truncate(path, 5 * 1024 * 1024)


@pytest.mark.parametrize("spoil", [_link, _folder, _fifo, _large])
def test_only_small_plain_files_are_taken(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Nothing else is read, however long it would take."""
    lay(FULL, tmp_path)
    (tmp_path / "cache" / "user").unlink()
    spoil(tmp_path / "cache" / "user")

    with pytest.raises(LingmaError, match="cannot read the login"):
        take(tmp_path)


def test_a_failure_leaves_no_half_login(tmp_path: Path) -> None:
    """If a file cannot be put in place there is no `user`, so no engine takes it for a login."""
    (tmp_path / "cache" / "quota").mkdir(parents=True)
    (tmp_path / "cache" / "quota" / "x").touch()

    with pytest.raises(LingmaError, match="cannot change the login"):
        lay(FULL, tmp_path)

    assert not is_live(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def test_no_evil_bundle_touches_the_disk(tmp_path: Path) -> None:
    """On the way that an import goes: nothing is written, neither inside the target nor outside."""
    (tmp_path / "id").write_bytes(b"mine")
    work_dir = tmp_path / "home" / "work"
    lay(SMALL, work_dir)
    before = seen(tmp_path)

    for _, make in evil_bundles():
        with pytest.raises(LingmaError):
            lay(open_any(make(), passphrase=lambda: Secret("x"), now=100.0), work_dir)

    assert seen(tmp_path) == before
