"""From flags, environment and files to the values that count, each with its origin.

Order of authority: flag, environment, the file named by `--config` or `LINGMA_CONFIG`, the
user's own file, default.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import Field, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret
from lingma_cli.settings.row import Row, Table
from lingma_cli.settings.rows import Settings, environment_name, table

# What a person calls the types of settings.
TYPE_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "bool": "true or false",
        "int": "an integer",
        "float": "a number",
        "str": "a text",
        "tuple[str, ...]": "a list of texts",
        "tuple[Table, ...]": "a list of tables",
        "Secret | None": "a secret text",
        "tuple[Secret, ...]": "a list of secret texts",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The settings and, for each key, where its value came from (`default`, `flag`, …)."""

    settings: Settings
    origins: Mapping[str, str]


def forget_secrets(environ: MutableMapping[str, str]) -> None:
    """Take every secret setting out of the environment, before anything that inherits it starts."""
    for item, row in table():
        if row.secret:
            environ.pop(environment_name(item.name), None)


def resolve(
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    user_file: Path,
    named_file: Path | None = None,
) -> Resolved:
    """Find each setting's value and origin.

    Args:
        flags: key to value of the options given; `None` means not given.
        environ: the process environment.
        user_file: the user's TOML file; need not exist.
        named_file: the TOML file that the user named; must exist.

    Raises:
        LingmaError: an unknown key, a wrong type, a value out of range or an unreadable file.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = [
        ("flag", {key: value for key, value in flags.items() if value is not None}),
        ("environment", _from_environment(environ)),
    ]
    if named_file is not None:
        layers.append((f"file {named_file}", _from_file(named_file)))
    if user_file.exists():
        layers.append((f"file {user_file}", _from_file(user_file)))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for item, row in table():
        origins[item.name] = "default"
        for origin, layer in layers:
            if item.name in layer:
                values[item.name] = _checked(item, row, layer[item.name], origin)
                origins[item.name] = origin
                break
    return Resolved(settings=Settings(**values), origins=origins)


def _from_environment(environ: Mapping[str, str]) -> Mapping[str, str]:
    # An empty variable means unset: shells and compose files cannot unset one easily.
    named = {item.name: environ.get(environment_name(item.name), "") for item, _ in table()}
    return {key: value for key, value in named.items() if value}


def _from_file(path: Path) -> Mapping[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _usage(f"cannot read `{path}`: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _usage(f"`{path}` is not valid TOML: {error}") from error
    known = {item.name for item, _ in table()}
    for key in content:
        if key not in known:
            raise _usage(f"unknown setting `{key}` in `{path}`")
    return content


def _checked(item: Field[Any], row: Row, value: Any, origin: str) -> Any:
    try:
        typed = _READERS[str(item.type)](value)
    except (TypeError, ValueError):
        shown = "the value given" if row.secret else f"`{value}`"
        wanted = TYPE_WORDS[str(item.type)]
        raise _usage(f"`{item.name}` from {origin} takes {wanted}, not {shown}") from None
    if row.choices:
        typed = typed.lower()
    if row.choices and typed not in row.choices:
        raise _usage(f"`{item.name}` from {origin} is none of {', '.join(row.choices)}: `{value}`")
    if row.minimum is not None and typed < row.minimum:
        raise _usage(f"`{item.name}` from {origin} is below {row.minimum:g}: `{value}`")
    if row.maximum is not None and typed > row.maximum:
        raise _usage(f"`{item.name}` from {origin} is above {row.maximum:g}: `{value}`")
    return typed


def _usage(message: str) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE, message, hint="run `lingma config show --origin` for all settings"
    )


def _read_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    try:
        return words[value.strip().lower()]
    except (KeyError, AttributeError):
        raise ValueError(value) from None


def _read_int(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError(value)
    return int(value)


def _read_float(value: Any) -> float:
    number = float(value) if not isinstance(value, bool) else math.nan
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _read_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _read_tuple(value: Any) -> tuple[str, ...]:
    pieces = value.replace("\n", ",").split(",") if isinstance(value, str) else value
    if not isinstance(pieces, list | tuple) or not all(isinstance(piece, str) for piece in pieces):
        raise TypeError(value)
    return tuple(piece.strip() for piece in pieces if piece.strip())


def _read_tables(value: Any) -> tuple[Table, ...]:
    tables = json.loads(value) if isinstance(value, str) else value
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise TypeError(value)
    return tuple(tables)


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "bool": _read_bool,
    "int": _read_int,
    "float": _read_float,
    "str": _read_str,
    "tuple[str, ...]": _read_tuple,
    "tuple[Table, ...]": _read_tables,
    "Secret | None": lambda value: Secret(value) if _read_str(value) else None,
    "tuple[Secret, ...]": lambda value: tuple(map(Secret, _read_tuple(value))),
}
