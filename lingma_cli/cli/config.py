"""`lingma config`: the settings that count here, and where they come from."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from lingma_cli.cli import output
from lingma_cli.cli.options import ConfigFile, Json, load_settings
from lingma_cli.paths import find_paths
from lingma_cli.secret import Secret
from lingma_cli.settings import table

Origin = Annotated[bool, typer.Option("--origin", help="show where each value comes from")]


def show(*, origin: Origin = False, json: Json = False, config: ConfigFile = None) -> None:
    """Show every setting; secrets are dots."""
    resolved = load_settings(find_paths(os.environ), config)
    values = {item.name: _plain(getattr(resolved.settings, item.name)) for item, _ in table()}
    if json and origin:
        output.print_json(
            {
                key: {"value": value, "origin": resolved.origins[key]}
                for key, value in values.items()
            }
        )
    elif json:
        output.print_json(values)
    else:
        output.print_columns(
            [
                (key, _shown(value), *([resolved.origins[key]] if origin else []))
                for key, value in values.items()
            ]
        )


def _plain(value: Any) -> Any:
    match value:
        case Secret():
            return str(value)
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _shown(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case [] | None | "":
            return "-"
        case list():
            return ",".join(map(str, value))
        case _:
            return str(value)
