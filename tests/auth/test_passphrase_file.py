"""A passphrase out of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.auth.passphrase_file import read_passphrase
from lingma_cli.errors import LingmaError
from lingma_cli.paths import write_private


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [("one", "one"), ("one\n", "one"), ("one two \r\nthree\n", "one two "), ("密码\n", "密码")],
)
def test_the_first_line_counts(tmp_path: Path, content: str, passphrase: str) -> None:
    """As it is, but for its end; other systems' editors may have written it."""
    write_private(tmp_path / "phrase", content)

    assert read_passphrase(tmp_path / "phrase").reveal() == passphrase


@pytest.mark.parametrize("content", [b"", b"\nsecond", b"\xff\xfe", b"x" * 5000])
def test_what_is_no_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    """With the file's name, and nothing of its content."""
    write_private(tmp_path / "phrase", content)

    with pytest.raises(LingmaError) as caught:
        read_passphrase(tmp_path / "phrase")

    assert str(tmp_path / "phrase") in caught.value.message
    assert "second" not in caught.value.advice


def test_a_file_for_everybody_is_refused(tmp_path: Path) -> None:
    """And so is none at all."""
    write_private(tmp_path / "phrase", "one")
    (tmp_path / "phrase").chmod(0o644)

    with pytest.raises(LingmaError, match="others may open it"):
        read_passphrase(tmp_path / "phrase")
    with pytest.raises(LingmaError, match="no file"):
        read_passphrase(tmp_path / "other")
