"""The folder of versions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lingma_cli.core.ids import random_hex
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.layout import Layout
from lingma_cli.install.state import File, Release, State


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """One whose folder does not exist yet."""
    return Layout(tmp_path / "data" / "versions", random_hex)


def kept(layout: Layout, content: bytes = b"hello") -> Release:
    """Put a release into place."""
    release = Release(
        folder="1.0",
        version="1.0",
        platform="x86_64_linux",
        files=(File(name="Lingma", size=len(content), sha256=hashlib.sha256(content).hexdigest()),),
        source="a test",
        package_version="",
        package_sha256="",
        tag="",
        installed=1.0,
    )
    with layout.locked(), layout.staging() as staging:
        (staging / "files").mkdir()
        (staging / "files" / "Lingma").write_bytes(content)
        layout.keep(staging / "files", release)
    return release


def test_looking_creates_nothing(layout: Layout) -> None:
    """Without a file nothing is remembered."""
    assert layout.load() == State()
    assert not layout.folder.parent.exists()


def test_what_is_saved_is_loaded(layout: Layout) -> None:
    """And it is private."""
    with layout.locked():
        layout.save(State(named="/usr/bin/mine"))

    assert layout.load().named == "/usr/bin/mine"
    assert (layout.folder / "state.json").stat().st_mode & 0o777 == 0o600
    assert layout.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content", ["", "{", '{"current": 3}', '{"pins": {"a": "x"}}', '{"releases": [{}]}']
)
def test_a_damaged_file_is_told(layout: Layout, content: str) -> None:
    """Not taken for an empty one."""
    layout.folder.mkdir(parents=True)
    (layout.folder / "state.json").write_text(content)

    with pytest.raises(LingmaError, match=r"cannot read .*state\.json"):
        layout.load()


def test_one_at_a_time(layout: Layout) -> None:
    """A second installation is told to wait; afterwards the way is free."""
    with layout.locked():
        with pytest.raises(LingmaError) as failure, Layout(layout.folder, random_hex).locked():
            pass
        assert failure.value.kind is ErrorKind.ALREADY_RUNNING
    with layout.locked():
        pass


def test_staging_leaves_nothing(layout: Layout) -> None:
    """Whatever happens within; what a killed installation left goes with the next."""
    with layout.locked(), layout.staging() as staging:
        (staging / "x").write_text("x")
    assert not staging.exists()

    (layout.folder / ".new-killed" / "deep").mkdir(parents=True)
    with layout.locked():
        assert [path.name for path in layout.folder.iterdir()] == [".lock"]


def test_a_release_is_moved_into_place(layout: Layout) -> None:
    """Below its version and platform."""
    release = kept(layout)

    assert layout.executable(release) == layout.folder / "1.0" / "x86_64_linux" / "Lingma"
    assert layout.damage(release) == ""
    assert layout.free_folder("1.0") == "1.0~2"
    layout.remove(release)
    assert layout.free_folder("1.0") == "1.0"


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"hullo", "another SHA-256"), (b"hell", "another size"), (None, "cannot be read")],
)
def test_damage_is_seen(layout: Layout, content: bytes | None, problem: str) -> None:
    """A turned bit, a missing byte, a missing file."""
    release = kept(layout)
    path = layout.executable(release)
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    assert problem in layout.damage(release)
