"""Where things live on disk, and how a private file is born."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths, private_folder, write_private

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")


@pytest.fixture(params=[0o022, 0o002, 0o000, 0o077], ids=lambda mask: f"umask {mask:03o}")
def _mask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every umask that people have."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    """`LINGMA_HOME` holds all five folders, and nothing is created by looking."""
    home = tmp_path / "home"
    paths = find_paths({"LINGMA_HOME": str(home)})

    assert [home / name for name in ("config", "data", "state", "cache", "run")] == [
        paths.config,
        paths.data,
        paths.state,
        paths.cache,
        paths.runtime,
    ]
    assert home / "config" / "config.toml" == paths.config_file
    assert home / "state" / "keys.json" == paths.keys_file
    assert [home / "run" / "server.json", home / "run" / "server.lock"] == [
        paths.server_file,
        paths.server_lock,
    ]
    assert not home.exists()


def test_a_relative_or_tilde_home_is_made_absolute() -> None:
    """The folder must not move with the working directory."""
    assert Path.cwd() / "x" / "state" == find_paths({"LINGMA_HOME": "x"}).state
    assert Path.home() / "x" / "state" == find_paths({"LINGMA_HOME": "~/x"}).state


def test_without_it_the_platform_decides(tmp_path: Path) -> None:
    """The session's runtime folder is used where there is one, else the state folder."""
    with_session = find_paths({"XDG_RUNTIME_DIR": str(tmp_path)})
    without = find_paths({"XDG_RUNTIME_DIR": str(tmp_path / "gone")})

    assert with_session.config.name == "lingma"
    assert tmp_path / "lingma" == with_session.runtime
    assert without.state / "run" == without.runtime


@pytest.mark.usefixtures("_mask")
def test_a_private_folder_is_the_users_alone(tmp_path: Path) -> None:
    """The folder and every parent that had to be made, whatever the umask."""
    folder = tmp_path / "a" / "b" / "c"

    assert folder == private_folder(folder)
    assert [_mode(path) for path in (folder, *folder.parents[:2])] == [0o700] * 3


@pytest.mark.usefixtures("_mask")
def test_the_parent_of_a_private_folder_can_be_used_too(tmp_path: Path) -> None:
    """The runtime folder may lie inside the state folder and be made first."""
    private_folder(tmp_path / "state" / "run")

    write_private(tmp_path / "state" / "keys.json", "{}")

    assert (tmp_path / "state" / "keys.json").read_text() == "{}"


def test_an_existing_folder_stays_as_it_is(tmp_path: Path) -> None:
    """Whoever made it readable for others is not overruled; twice is as good as once."""
    folder = tmp_path / "a"
    folder.mkdir(mode=0o755)

    assert folder == private_folder(private_folder(folder))
    assert _mode(folder) == 0o755


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_folder_that_others_may_write_in_is_refused(tmp_path: Path, mode: int) -> None:
    """Somebody else could swap what lies there."""
    folder = tmp_path / "a"
    folder.mkdir()
    folder.chmod(mode)

    with pytest.raises(LingmaError) as caught:
        private_folder(folder)

    assert ErrorKind.USAGE is caught.value.kind
    assert str(folder) in caught.value.message
    assert "chmod" in (caught.value.hint or "")


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    """It is named, not replaced."""
    (tmp_path / "a").write_text("x")

    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(LingmaError) as caught:
            private_folder(folder)
        assert str(folder) in caught.value.message


@pytest.mark.usefixtures("_mask")
def test_a_private_file(tmp_path: Path) -> None:
    """Mode 0600, whole, replaced as a whole, with nothing left beside it."""
    path = tmp_path / "state" / "keys.json"

    write_private(path, "one")
    write_private(path, "好")

    assert (path.read_text(encoding="utf-8"), _mode(path)) == ("好", 0o600)
    assert [path] == list(path.parent.iterdir())


def test_a_link_in_its_place_is_replaced_not_followed(tmp_path: Path) -> None:
    """Nobody's other file is overwritten through a symbolic link."""
    folder, victim = private_folder(tmp_path / "state"), tmp_path / "victim"
    victim.write_text("untouched")
    (folder / "keys.json").symlink_to(victim)

    write_private(folder / "keys.json", "new")

    assert (victim.read_text(), (folder / "keys.json").read_text()) == ("untouched", "new")
    assert not (folder / "keys.json").is_symlink()


def test_a_file_that_cannot_be_replaced_leaves_no_draft(tmp_path: Path) -> None:
    """A folder in its place is an error, and the draft is removed."""
    (tmp_path / "keys.json").mkdir()

    with pytest.raises(LingmaError) as caught:
        write_private(tmp_path / "keys.json", "x")

    assert ErrorKind.USAGE is caught.value.kind
    assert [tmp_path / "keys.json"] == list(tmp_path.iterdir())
