"""What the papers say is true: links, commands, changelog, the two lines for newcomers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lingma_cli import __version__

ROOT = Path(__file__).parents[2]
PAPERS = sorted(
    [path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"]
    + list((ROOT / "docs").rglob("*.md"))
)


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(paper: Path) -> None:
    """Every relative link names a file that exists."""
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", paper.read_text()):
        if "://" not in target:
            assert (paper.parent / target).exists(), target


def test_readme_opens_with_the_two_commands() -> None:
    """A newcomer finds both commands on the first screen."""
    first_screen = (ROOT / "README.md").read_text().splitlines()[:30]

    assert "pip install . && lingma serve --demo" in first_screen
    assert "pip install -e '.[dev]' && pytest" in first_screen


def test_commands_in_the_papers_exist() -> None:
    """Every `python -m MODULE` names a module that does something when it is run."""
    for paper in PAPERS:
        for module in re.findall(r"python3? -m (lingma_cli[\w.]*|benchmarks)", paper.read_text()):
            path = ROOT.joinpath(*module.split("."))
            source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
            assert source.exists(), module
            assert path.is_dir() or '__name__ == "__main__"' in source.read_text(), module


def test_the_changelog_knows_the_version() -> None:
    """The version in the code is the newest in the changelog, or what comes next."""
    newest = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[0]

    assert newest in {"Unreleased", __version__}


def test_constraints_hold_hashes_and_no_addresses() -> None:
    """Every pinned package has a hash; no line names a host."""
    constraints = (ROOT / "constraints.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9])", constraints, flags=re.MULTILINE)[1:]

    assert len(entries) > 20
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"https?://|--index|file:", constraints)


def test_every_decision_is_numbered() -> None:
    """Decision records are numbered without gaps."""
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md"))

    assert numbers == list(range(1, len(numbers) + 1))
