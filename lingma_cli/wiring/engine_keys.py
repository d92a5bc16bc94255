"""Keys of engines, found by what names them: `env:NAME`, or `file:PATH` of a private file.

What names a key may stand in argv, in the settings and on disk; the key itself stands in none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lingma_cli.auth.private_file import read_private
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths
from lingma_cli.secret import Secret
from lingma_cli.settings import environment_name, table

_MAX_FILE: Final = 4096
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What can stand in a header behind `Bearer`.
_KEY: Final = re.compile(r"[!-~]+")


def resolve_key(ref: str, environ: Mapping[str, str], paths: Paths) -> Secret | None:
    """Return the key that `ref` names, `None` if it is empty.

    Args:
        ref: `env:NAME` or `file:PATH`; a relative path counts from the folder of the settings.
        environ: the process environment, without our own secrets.
        paths: the home.

    Raises:
        LingmaError: it names none, or a file that others may read.
    """
    if not ref:
        return None
    kind, name = _split(ref)
    if kind == "file":
        return _from_file(paths.config / Path(name).expanduser())
    value = environ.get(name, "").strip()
    if not _KEY.fullmatch(value):
        wrong = "does not hold one" if value else "is not set"
        raise LingmaError(
            ErrorKind.USAGE,
            f"no key for the engine: the variable `{name}` {wrong}",
            hint=f"set `{name}` where the server is started",
        )
    return Secret(value)


def settled_ref(ref: str, folder: Path) -> str:
    """Return `ref` so that it means the same wherever it is read.

    Args:
        ref: what a person has typed; empty stays empty.
        folder: from which a relative path counts.

    Raises:
        LingmaError: it can name no key, or the file holds none, or others may read it.
    """
    if not ref:
        return ""
    kind, name = _split(ref)
    if kind == "env":
        return ref
    path = folder / Path(name).expanduser()
    _from_file(path)
    return f"file:{path}"


def _split(ref: str) -> tuple[str, str]:
    kind, _, name = ref.partition(":")
    is_variable = kind == "env" and _VARIABLE.fullmatch(name)
    is_file = kind == "file" and name and name.isprintable()
    if not is_variable and not is_file:
        # Not shown: somebody may have given the key itself.
        raise LingmaError(
            ErrorKind.USAGE,
            "what names an engine's key is neither `env:NAME` nor `file:PATH`",
            hint="keep the key in a variable or in a private file, and name that",
        )
    if is_variable and name.upper() in _own_secrets():
        raise LingmaError(
            ErrorKind.USAGE,
            f"`{name}` cannot hold an engine's key: the server takes it out of the environment",
            hint="use a variable of another name",
        )
    return kind, name


def _own_secrets() -> frozenset[str]:
    return frozenset(environment_name(item.name) for item, row in table() if row.secret)


def _from_file(path: Path) -> Secret:
    content = read_private(path, _MAX_FILE)
    if content is None:
        raise LingmaError(ErrorKind.USAGE, f"no key for the engine: there is no file `{path}`")
    text = content.decode(errors="replace").strip()
    if not _KEY.fullmatch(text):
        raise LingmaError(
            ErrorKind.USAGE,
            f"no key for the engine: `{path}` does not hold one and nothing else",
            hint="write the key into it, alone on its line",
        )
    return Secret(text)
