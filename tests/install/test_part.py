"""Interrupted downloads on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.errors import LingmaError
from lingma_cli.install.part import Part

URL = "https://h.test/a.vsix"


def test_what_arrived_is_remembered(tmp_path: Path) -> None:
    """With what the server must confirm, by another run."""
    part = Part(tmp_path, URL)
    part.restart('"one"', 10)
    part.add(b"123")
    part.add(b"45")

    again = Part(tmp_path, URL)
    assert (again.size, again.validator, again.total) == (5, '"one"', 10)
    assert again.path.read_bytes() == b"12345"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_another_address_is_another_download(tmp_path: Path) -> None:
    """They do not mix."""
    part = Part(tmp_path, URL)
    part.restart('"one"', 10)
    part.add(b"123")

    assert Part(tmp_path, URL + "?other").size == 0


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"validator": 3}'])
def test_without_a_readable_note_it_begins_anew(tmp_path: Path, note: bytes) -> None:
    """Bytes that nobody vouches for are not continued."""
    part = Part(tmp_path, URL)
    part.restart('"one"', 10)
    part.add(b"123")
    (name,) = [path for path in tmp_path.iterdir() if path.suffix == ".json"]
    name.write_bytes(note)

    again = Part(tmp_path, URL)
    assert (again.size, again.validator) == (0, "")


def test_a_restart_forgets_the_bytes(tmp_path: Path) -> None:
    """And discarding forgets the files."""
    part = Part(tmp_path, URL)
    part.restart('"one"', 10)
    part.add(b"123")
    part.restart('"two"', 4)

    assert (part.size, part.path.read_bytes()) == (0, b"")
    assert Part(tmp_path, URL).validator == '"two"'
    part.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_told(tmp_path: Path) -> None:
    """As an error with a hint."""
    part = Part(tmp_path, URL)
    part.path.mkdir()

    with pytest.raises(LingmaError, match="cannot write"):
        part.add(b"1")
