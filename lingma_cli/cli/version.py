"""`lingma version`: what runs here."""

from __future__ import annotations

import platform

from lingma_cli import __version__
from lingma_cli.cli import output
from lingma_cli.cli.options import Json


def version(*, json: Json = False) -> None:
    """Show the versions of lingma and Python, and the platform."""
    facts = {
        "lingma": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    if json:
        output.print_json(facts)
    else:
        output.print_columns(list(facts.items()))
