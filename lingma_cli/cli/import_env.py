"""`lingma config import-env`: moves in from the old gateway."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lingma_cli.cli import output
from lingma_cli.cli.home import opened_home
from lingma_cli.cli.options import load_settings
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lingma_cli.auth.configured import Entry
    from lingma_cli.wiring.migration import Plan

_MAX_FILE: Final = 32 * 1024 * 1024

EnvFile = Annotated[
    str, typer.Argument(metavar="FILE", help="the old gateway's environment file, often `.env`")
]


def import_env(file: EnvFile) -> None:
    """Take over the old gateway's settings and session bundles; passwords are left out."""
    paths = find_paths(os.environ)
    from lingma_cli.cli.env_file import parse_env  # noqa: PLC0415 - not for `--help`, both
    from lingma_cli.wiring.migration import extend_file, plan_import  # noqa: PLC0415

    plan = plan_import(parse_env(_read(file)), paths.config_file)
    extend_file(paths.config_file, plan.added)
    _tell(plan, paths)
    for name in _import_bundles(plan.entries, paths):
        output.say(f"a login is missing: run `lingma login --account {name}`")
    output.say(f"`{file}` may still hold secrets: remove it when you no longer need it")


def _read(name: str) -> str:
    try:
        with Path(name).expanduser().open("rb") as file:
            return file.read(_MAX_FILE).decode()
    except OSError as error:
        raise LingmaError(ErrorKind.USAGE, f"cannot read `{name}`: {error.strerror}") from error
    except UnicodeDecodeError:
        raise LingmaError(ErrorKind.USAGE, f"`{name}` is no text in UTF-8") from None


def _import_bundles(entries: Sequence[Entry], paths: Paths) -> list[str]:
    """Import the bundles, and return the names of the accounts that have no login then."""
    loginless = [entry.name for entry in entries if not entry.has_bundle]
    if len(loginless) == len(entries):
        return loginless
    from lingma_cli.wiring.home import has_login  # noqa: PLC0415 - not for `--help`, both
    from lingma_cli.wiring.session import import_entry  # noqa: PLC0415

    settings = load_settings(paths, None).settings
    home = opened_home(settings, paths)
    for entry in entries:
        if not entry.has_bundle:
            continue
        if has_login(home, entry.name):
            output.say(f"kept the login that `{entry.name}` has already")
            continue
        try:
            import_entry(home, entry, settings, now=time.time())
            output.say(f"imported a login as `{entry.name}`")
        except LingmaError as error:
            output.say(f"left out a login: {error.message}")
            loginless.append(entry.name)
    return loginless


def _tell(plan: Plan, paths: Paths) -> None:
    if plan.added:
        output.say(f"wrote to `{paths.config_file}`: {', '.join(plan.added)}")
    for key in plan.kept:
        output.say(f"kept `{key}` of `{paths.config_file}`, which has another value")
    for name, reason in plan.left_out:
        output.say(f"left out {name}: {reason}")
    if plan.unknown:
        output.say(f"no settings here: {', '.join(plan.unknown)}")
    if any(entry.password for entry in plan.entries):
        output.say("passwords are not taken over")
