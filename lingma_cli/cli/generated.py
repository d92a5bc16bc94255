"""The files in the repository that are written from the program.

`python -m lingma_cli.cli.generated` in the repository's root writes them all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lingma_cli.cli.app import tree
from lingma_cli.cli.completions import SCRIPTS
from lingma_cli.cli.reference import commands_page, notes_page, policies_page, settings_page


def generated_files() -> Mapping[str, str]:
    """Return path, from the repository's root, to content."""
    root = tree()
    return {
        **{f"completions/{script.file}": script.render(root) for script in SCRIPTS.values()},
        "docs/reference/cli.md": commands_page(root),
        "docs/reference/notes.md": notes_page(),
        "docs/reference/policies.md": policies_page(),
        "docs/reference/settings.md": settings_page(),
    }


def _write_all() -> None:
    for name, content in generated_files().items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    _write_all()
