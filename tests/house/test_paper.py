"""What the papers say is true: links, commands, changelog, the two lines for newcomers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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


def test_version_and_changelog_agree() -> None:
    """The changelog has an unreleased section or the version's own."""
    from lingma_cli import __version__  # noqa: PLC0415 - the value is what is tested

    changelog = (ROOT / "CHANGELOG.md").read_text()

    assert "## [Unreleased]" in changelog or f"## [{__version__}]" in changelog


def test_constraints_hold_hashes_and_no_addresses() -> None:
    """Every pinned package has a hash; no line names a host."""
    constraints = (ROOT / "constraints.txt").read_text()
    pinned = re.findall(r"^[a-z0-9._-]+==\S+", constraints, re.MULTILINE)

    assert len(pinned) > 20
    assert constraints.count("--hash=sha256:") >= len(pinned)
    assert not re.search(r"https?://|--index|file:", constraints)


def test_every_decision_is_numbered() -> None:
    """Decision records are numbered without gaps."""
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md"))

    assert numbers == list(range(1, len(numbers) + 1))
