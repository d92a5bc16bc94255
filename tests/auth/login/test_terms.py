"""The record of the terms notice."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lingma_cli.auth.login.terms import VERSION, Terms


def test_accepted_once(tmp_path: Path) -> None:
    """It is remembered in a private file, with version and date."""
    path = tmp_path / "state" / "terms.json"
    terms = Terms(path)
    before = terms.is_accepted
    terms.accept("2026-01-31")

    assert (before, Terms(path).is_accepted) == (False, True)
    assert path.read_text() == f'{{"version":{VERSION},"accepted":"2026-01-31"}}\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"version":"1","accepted":""}', '{"version":0,"accepted":"2026-01-31"}'],
)
def test_what_is_no_record(tmp_path: Path, content: str) -> None:
    """Broken ones and those of an older notice do not count."""
    path = tmp_path / "terms.json"
    path.write_text(content)

    assert not Terms(path).is_accepted
