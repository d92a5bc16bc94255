"""The way of an executable into the layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.demo.packing import Packing, executable, this_platform
from lingma_cli.errors import LingmaError
from lingma_cli.install.found import Copy
from lingma_cli.install.intake import Intake, Origin
from lingma_cli.install.state import Release
from tests.support.installing import Home
from tests.support.packages import BUILD, EVIL, good, zipped

SHELF = Origin(source="the shelf", is_pinned=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one."""
    return Home(tmp_path / "home")


def take(home: Home, content: bytes, origin: Origin = SHELF) -> Release:
    path = home.folder.parent / "package"
    path.write_bytes(content)
    with home.layout.locked():
        return Intake(home.layout, home.around, home.said.append).package(path, origin)


def take_copy(home: Home, copy: Copy) -> Release:
    with home.layout.locked():
        return Intake(home.layout, home.around, home.said.append).copy(copy, accept_changed=False)


def test_a_package_is_taken_in(home: Home) -> None:
    """What was seen is remembered, and only the executables are kept."""
    release = take(home, good(padding=1000))

    assert (release.version, release.platform, release.installed) == (
        *("2.6.10", this_platform()),
        1000.0,
    )
    assert set(home.tree()) == {
        "versions",
        "versions/2.6.10",
        f"versions/2.6.10/{this_platform()}",
        f"versions/2.6.10/{this_platform()}/Lingma",
        f"versions/2.6.10/{this_platform()}/LingmaLocal",
        "versions/state.json",
    }
    assert set(home.layout.load().pins) == {
        f"Lingma 2.6.10 ({this_platform()})",
        f"LingmaLocal 2.6.10 ({this_platform()})",
        "package 2.6.10 (the shelf)",
    }


@pytest.mark.parametrize("name", EVIL)
def test_evil_packages_change_nothing(home: Home, name: str) -> None:
    """Not in an empty home, and not in one with a version that works."""
    for _ in range(2):
        before = home.tree()
        with pytest.raises(LingmaError):
            take(home, EVIL[name]())
        assert home.tree() == before
        take(home, good("2.5.0"))

    assert {path.name for path in home.folder.parent.iterdir()} == {"home", "package"}


@pytest.mark.parametrize(
    "changed",
    [
        good(padding=10),
        good(layout="flat"),
        good(environment={"X": "1"}),
        good(companion=False),
    ],
    ids=["package", "layout", "executable", "companion"],
)
def test_a_changed_package_of_a_known_version_is_refused(home: Home, changed: bytes) -> None:
    """Unless the user says so; then it is what is known."""
    take(home, good())
    before = home.tree()

    with pytest.raises(LingmaError, match="has changed: it was"):
        take(home, changed)
    assert home.tree() == before

    take(home, changed, Origin(source="the shelf", is_pinned=True, accept_changed=True))
    take(home, changed)
    with pytest.raises(LingmaError, match="has changed"):
        take(home, good())


def test_a_changed_executable_is_not_run(home: Home) -> None:
    """It is refused before that."""
    take(home, good())
    trace = home.folder.parent / "trace"
    evil = zipped(
        {
            "extension/package.json": b'{"version": "2.6.10"}',
            f"{BUILD}/Lingma": f"#!/bin/sh\ntouch {trace}\necho version: 2.6.10\n".encode(),
        }
    )

    with pytest.raises(LingmaError, match="has changed"):
        take(home, evil, Origin(source="elsewhere"))
    assert not trace.exists()


def test_another_source_may_wrap_the_same_executable(home: Home) -> None:
    """What runs must be the same; around it may be something else."""
    first = take(home, good())
    second = take(home, good(padding=10), Origin(source="another", is_pinned=True))

    assert second.folder == first.folder
    assert len(home.layout.load().releases) == 1


def test_it_must_be_what_was_offered(home: Home) -> None:
    """An old package under a new number is refused."""
    with pytest.raises(LingmaError, match=r"says to be 2\.6\.10 instead of 2\.6\.11"):
        take(home, good("2.6.10"), Origin(source="x", package_version="2.6.11"))


def test_it_must_not_be_older(home: Home) -> None:
    """Than what it would replace."""
    with pytest.raises(LingmaError, match=r"older than 2\.6\.10"):
        take(home, good("2.6.9"), Origin(source="x", at_least="2.6.10"))
    assert take(home, good("2.6.10"), Origin(source="x", at_least="2.6.10")).version == "2.6.10"


def test_a_package_that_does_not_tell_is_asked(home: Home) -> None:
    """The executable names the version, and pins hold as well."""
    silent = zipped({f"{BUILD}/Lingma": executable(Packing(version="2.7.0"))})
    assert take(home, silent).version == "2.7.0"

    other = zipped(
        {f"{BUILD}/Lingma": executable(Packing(version="2.7.0", environment={"X": "1"}))}
    )
    with pytest.raises(LingmaError, match="has changed"):
        take(home, other)


def test_a_copy_of_another_program_is_taken_in(home: Home, tmp_path: Path) -> None:
    """With its companion; the copy itself is not touched."""
    folder = tmp_path / "bin" / "2.6.10" / this_platform()
    folder.mkdir(parents=True)
    for name in ("Lingma", "LingmaLocal"):
        (folder / name).write_bytes(executable(Packing(version="2.6.10"), name))
        (folder / name).chmod(0o755)
    copy = Copy(path=folder / "Lingma", version="2.6.10", platform=this_platform())
    release = take_copy(home, copy)

    assert home.layout.damage(release) == ""
    assert release.source == str(folder / "Lingma")
    assert [file.name for file in release.files] == ["Lingma", "LingmaLocal"]
    take(home, good())
    assert len(home.layout.load().releases) == 1


def test_an_archive_of_another_program_is_unpacked(home: Home, tmp_path: Path) -> None:
    """As an editor's extension keeps it."""
    path = tmp_path / "lingma-2.6.10.zip"
    path.write_bytes(
        zipped({f"2.6.10/{this_platform()}/Lingma": executable(Packing(version="2.6.10"))})
    )

    assert take_copy(home, Copy(path=path, version="2.6.10", platform="")).version == "2.6.10"


def test_what_is_odd_is_said(home: Home) -> None:
    """And does not stand in the way."""
    take(home, zipped({f"2.6.10/{this_platform()}/Lingma": executable(Packing(version="2.6.9"))}))

    assert "warning: version 2.6.10 calls itself 2.6.9" in home.said
    assert any("is small" in line for line in home.said)


def test_damaged_files_are_replaced(home: Home) -> None:
    """By a new release; the damaged one goes."""
    release = take(home, good())
    home.layout.executable(release).write_bytes(b"damaged")
    again = take(home, good())

    assert home.layout.damage(again) == ""
    assert [one.folder for one in home.layout.load().releases] == [again.folder]
    assert home.layout.load().current == again.folder
    assert not (home.layout.folder / release.folder).exists()


def test_the_oldest_go(home: Home) -> None:
    """Three are kept, with the one before; pins outlive them."""
    for version in ("2.1.0", "2.2.0", "2.3.0", "2.4.0"):
        take(home, good(version))
    state = home.layout.load()

    assert [one.folder for one in state.releases] == ["2.2.0", "2.3.0", "2.4.0"]
    assert not (home.layout.folder / "2.1.0").exists()
    with pytest.raises(LingmaError, match="has changed"):
        take(home, good("2.1.0", padding=3))
