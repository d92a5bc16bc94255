"""`lingma completion`: the script that teaches a shell our commands and options."""

from __future__ import annotations

from typing import Annotated

import typer

from lingma_cli.cli import output
from lingma_cli.cli.outline import outline
from lingma_cli.errors import ErrorKind, LingmaError

Shell = Annotated[
    str, typer.Argument(metavar="bash|zsh|fish|powershell", help="shell to write for")
]


def completion(context: typer.Context, shell: Shell) -> None:
    """Print the completion script for a shell."""
    from lingma_cli.cli.completions import SCRIPTS  # noqa: PLC0415 - no other command needs it

    if shell not in SCRIPTS:
        raise LingmaError(
            ErrorKind.USAGE,
            f"unknown shell: `{shell}`",
            hint=f"choose one of {', '.join(SCRIPTS)}",
        )
    output.print_text(SCRIPTS[shell].render(outline(context.find_root().command)).rstrip("\n"))
