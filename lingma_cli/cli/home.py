"""The home that a command on accounts works on: its options, its settings and its vault."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lingma_cli.cli import output
from lingma_cli.cli.options import load_settings
from lingma_cli.paths import Paths, find_paths
from lingma_cli.settings import Settings, forget_secrets

if TYPE_CHECKING:
    from lingma_cli.wiring.home import Home

Bin = Annotated[
    str | None,
    typer.Option("--bin", metavar="FILE", help="the Lingma executable to run [env: LINGMA_BIN]"),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="auto|keyring|encrypted|plain",
        help="where logins are kept [env: LINGMA_STORE]",
    ),
]
PassphraseFile = Annotated[
    str | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="private file with the passphrase [env: LINGMA_PASSPHRASE_FILE]",
    ),
]


def prepared(config: str | None, flags: Mapping[str, Any]) -> tuple[Settings, Paths]:
    """Return settings and home, with no secret left in the environment."""
    paths = find_paths(os.environ)
    settings = load_settings(paths, config, flags).settings
    forget_secrets(os.environ)
    return settings, paths


def opened_home(settings: Settings, paths: Paths) -> Home:
    """Return the home with its vault open; a weak vault is warned of."""
    from lingma_cli.wiring.home import open_home  # noqa: PLC0415 - not for `--help`

    return open_home(settings, paths, warn=output.warn)
