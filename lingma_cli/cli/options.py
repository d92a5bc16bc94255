"""The options that commands share, and those of `serve`, which the settings table generates.

Metavars carry meaning for the completions: `FILE` and `DIR` complete paths, `a|b` is a choice.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from lingma_cli.paths import Paths
from lingma_cli.settings import Resolved, Row, environment_name, resolve, table

ConfigFile = Annotated[
    str | None,
    typer.Option("--config", metavar="FILE", help="settings to read, TOML [env: LINGMA_CONFIG]"),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="server to talk to; default: the running one [env: LINGMA_URL]"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]

_METAVARS: Final = {"int": "INTEGER", "float": "NUMBER", "tuple[str, ...]": "NAME"}
_PATHS: Final = {"bin": "FILE", "work_dir": "DIR"}


def with_settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command(config, **flags)` an option for each row of the table that has a flag.

    Values stay text: the table itself checks them, like those from any other origin.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    options = [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_option(item, row),
            annotation=_annotation(item),
        )
        for item, row in table()
        if row.flag
    ]
    kept = [parameter for parameter in own if parameter.kind is not parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*kept, *options])  # type: ignore[attr-defined]
    return command


def _annotation(item: Field[Any]) -> Any:
    return {"bool": bool, "tuple[str, ...]": list[str]}.get(str(item.type), str)


def _option(item: Field[Any], row: Row) -> Any:
    metavar = "|".join(row.choices) or _PATHS.get(item.name) or _METAVARS.get(str(item.type))
    if metavar == "NUMBER" and row.help.startswith("seconds"):
        metavar = "SECONDS"
    return typer.Option(
        None, row.flag, help=f"{row.help} [{_provenance(item)}]", metavar=metavar or "TEXT"
    )


def _provenance(item: Field[Any]) -> str:
    default = "" if item.type == "bool" else shown_default(item)
    env = f"env: {environment_name(item.name)}"
    return f"default: {default}; {env}" if default else env


def shown_default(item: Field[Any]) -> str:
    """Return the default of a setting as its file would say it, empty when there is none."""
    if item.default is MISSING or item.default is None:
        return ""
    if isinstance(item.default, bool):
        return str(item.default).lower()
    return f"{item.default:g}" if isinstance(item.default, float) else str(item.default)


def load_settings(
    paths: Paths,
    config: str | None,
    flags: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Resolved:
    """Resolve the settings of a command.

    Args:
        paths: where the user's own file lies.
        config: the file that `--config` names; `LINGMA_CONFIG` stands in for it.
        flags: key to value of further options; unset ones are `None` or an empty list.
        environ: the process environment.
    """
    named = config or environ.get("LINGMA_CONFIG")
    given = {key: value for key, value in (flags or {}).items() if value not in (None, [], ())}
    return resolve(given, environ, paths.config_file, Path(named).expanduser() if named else None)
