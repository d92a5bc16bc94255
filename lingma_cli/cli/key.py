"""`lingma key`: the keys of this machine's server."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, load_settings
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths

Admin = Annotated[bool, typer.Option("--admin", help="the admin token instead")]


def show(*, admin: Admin = False, config: ConfigFile = None) -> None:
    """Print the API key that clients of this machine's server use."""
    from lingma_cli.wiring.vault import VaultDoor, find_keys  # noqa: PLC0415 - not for `--help`

    paths = find_paths(os.environ)
    settings = load_settings(paths, config).settings
    keys = find_keys(settings, paths, VaultDoor(settings, paths, warn=output.warn).open)
    key = keys.admin if admin else keys.api
    if key is None:
        raise LingmaError(
            ErrorKind.USAGE,
            "there is no admin token yet" if admin else "there is no API key yet",
            hint="the first `lingma serve` without `--demo` makes one",
        )
    output.print_text(key.reveal())
