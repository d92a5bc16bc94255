"""`lingma engine`, offline: files, named executables, what is printed. See also `tests/e2e`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import Result, run_lingma
from tests.support.installing import tree
from tests.support.packages import EVIL, good


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty one."""
    return tmp_path / "home"


def engine(home: Path, *arguments: str) -> Result:
    """Run `lingma engine …` where no other program has installed anything."""
    return run_lingma("engine", *arguments, home=home, env={"HOME": str(home.parent / "nobody")})


def package(home: Path, version: str = "2.6.10") -> str:
    path = home.parent / f"{version}.vsix"
    path.write_bytes(good(version))
    return str(path)


def test_a_file_is_installed_and_shown(home: Path) -> None:
    """What was seen is on stdout, with whole digests; what is odd is on stderr."""
    result = engine(home, "install", "--vsix", package(home))

    assert result.code == 0, result.err
    facts = dict(line.split("  ", 1) for line in result.out.splitlines())
    assert facts["version"].strip() == "2.6.10"
    assert len(facts["package sha256"].strip()) == len(facts["Lingma sha256"].strip()) == 64
    assert Path(facts["path"].strip()).stat().st_mode & 0o777 == 0o700
    assert "warning: `Lingma` is small" in result.err

    path = engine(home, "path")
    assert (path.code, path.out.strip()) == (0, facts["path"].strip())


def test_versions_are_listed_and_swapped(home: Path) -> None:
    """`rollback` returns to the one before."""
    engine(home, "install", "--vsix", package(home, "2.6.10"))
    engine(home, "install", "--vsix", package(home, "2.11.1"))
    assert engine(home, "rollback").code == 0

    listed = json.loads(engine(home, "versions", "--json").out)
    assert [
        (one["version"], one["is_current"], one["is_previous"]) for one in listed["versions"]
    ] == [
        ("2.6.10", True, False),
        ("2.11.1", False, True),
    ]
    lines = engine(home, "versions").out.splitlines()
    assert lines[0].startswith("VERSION")
    assert "current, untried" in lines[1]
    assert "previous, untried" in lines[2]


def test_a_named_executable_is_remembered(home: Path, tmp_path: Path) -> None:
    """It is printed, listed, and left by `rollback`."""
    mine = tmp_path / "mine"
    mine.write_text("#!/bin/sh\necho version: 1.0\n")
    mine.chmod(0o700)
    engine(home, "install", "--vsix", package(home))

    assert engine(home, "install", "--bin", str(mine)).out == f"{mine}\n"
    assert engine(home, "path").out == f"{mine}\n"
    assert json.loads(engine(home, "path", "--json").out) == {"path": str(mine)}
    assert "named, current" in engine(home, "versions").out
    assert engine(home, "verify").code == 0
    assert engine(home, "update").code == 2
    engine(home, "rollback")
    assert "2.6.10" in engine(home, "path").out


def test_damage_is_told(home: Path) -> None:
    """By `verify`, and by whatever wants to run it."""
    engine(home, "install", "--vsix", package(home))
    assert json.loads(engine(home, "verify", "--json").out)[0]["problem"] is None
    Path(engine(home, "path").out.strip()).write_bytes(b"damaged")

    for command in ("verify", "path"):
        result = engine(home, command)
        assert result.code == 4
        assert "another size" in result.out + result.err
        assert "hint: run `lingma engine install --force`" in result.err


@pytest.mark.parametrize("command", ["path", "verify", "rollback"])
def test_without_an_executable_commands_end_with_3(home: Path, command: str) -> None:
    """They say what to run; nothing is written that could pass for one."""
    result = engine(home, command)

    assert (result.code, result.out) == (3, "")
    assert "hint: " in result.err
    assert tree(home) == {}


def test_one_source_at_a_time(home: Path) -> None:
    """Two are wrong usage."""
    result = engine(home, "install", "--vsix", "a", "--bin", "b")

    assert result.code == 2
    assert "only one of" in result.err


@pytest.mark.parametrize("name", ["traversal", "bomb", "does not run", "short", "a web page"])
def test_a_refusal_ends_with_4(home: Path, name: str) -> None:
    """A sentence and a hint, no traceback, nothing changed."""
    engine(home, "install", "--vsix", package(home))
    before = tree(home)
    evil = home.parent / "evil.vsix"
    evil.write_bytes(EVIL[name]())
    result = engine(home, "install", "--vsix", str(evil))

    assert (result.code, result.out) == (4, "")
    assert result.err.splitlines()[-1].startswith("hint: ")
    assert "Traceback" not in result.err
    assert tree(home) == before


def test_a_changed_package_is_refused_until_it_is_accepted(home: Path) -> None:
    """The switch is named in the hint."""
    engine(home, "install", "--vsix", package(home))
    changed = home.parent / "changed.vsix"
    changed.write_bytes(good(environment={"X": "1"}))
    result = engine(home, "install", "--vsix", str(changed))

    assert result.code == 4
    assert "has changed: it was" in result.err
    assert "--accept-changed" in result.err
    assert engine(home, "install", "--vsix", str(changed), "--accept-changed").code == 0
