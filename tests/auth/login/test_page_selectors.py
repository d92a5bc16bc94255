"""The selectors: complete in the package, replaced list by list."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from lingma_cli.auth.login.page_selectors import Selectors, load_selectors
from lingma_cli.errors import ErrorKind, LingmaError


def test_the_packages_own() -> None:
    """Every part of the page has some, none twice."""
    selectors = load_selectors()

    for field in fields(Selectors):
        found = getattr(selectors, field.name)
        assert found, field.name
        assert len(set(found)) == len(found)


def test_a_file_replaces_the_lists_it_names(tmp_path: Path) -> None:
    """The others stay, and a list may be empty."""
    path = tmp_path / "selectors.toml"
    path.write_text('username = ["#who"]\nqr = []\n')
    selectors = load_selectors(path)

    assert (selectors.username, selectors.qr) == (("#who",), ())
    assert selectors.password == load_selectors().password


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("user = ['#who']", "`user` is none of"),
        ("username = '#who'", "`username` is no list"),
        ("username = [1]", "`username` is no list"),
        ("username = ['']", "`username` is no list"),
        ("username = [", "TOML|array|Invalid"),
        ("\udcff", "it is no text"),
    ],
)
def test_a_file_of_another_form(tmp_path: Path, content: str, told: str) -> None:
    """What is wrong is named, with the file."""
    path = tmp_path / "selectors.toml"
    path.write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(LingmaError, match=told) as caught:
        load_selectors(path)
    assert caught.value.kind is ErrorKind.USAGE
    assert str(path) in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """It is an error, unlike no file at all."""
    with pytest.raises(LingmaError, match="No such file"):
        load_selectors(tmp_path / "none.toml")
