"""The command line: one file per command; nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys

from lingma_cli import __version__


def main() -> int:
    """Run the program with the process's arguments and return its exit code."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        # Answered before Typer is loaded: scripts and editors ask this often.
        print(f"lingma {__version__}")
        return 0
    from lingma_cli.cli.app import run  # noqa: PLC0415 - see above

    return run(arguments)
