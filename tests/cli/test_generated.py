"""The files that are written from the program say what the program says."""

from pathlib import Path

import pytest

from lingma_cli.cli.generated import generated_files

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", generated_files())
def test_generated_files_are_up_to_date(name: str) -> None:
    """Byte for byte; `python -m lingma_cli.cli.generated` brings them up to date."""
    assert generated_files()[name].encode() == (ROOT / name).read_bytes()


def test_no_other_file_lies_beside_them() -> None:
    """A shell or page that is no longer generated does not stay behind."""
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("completions", "docs/reference")
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }

    assert set(generated_files()) == found
