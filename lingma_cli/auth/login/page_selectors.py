"""Where the parts of a login page are: data that a user can replace when the vendor changes it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from lingma_cli.errors import ErrorKind, LingmaError

_MAX_FILE: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Selectors:
    """CSS selectors by what they find; the first that is visible in any frame counts."""

    username: tuple[str, ...]
    password: tuple[str, ...]
    submit: tuple[str, ...]
    password_tab: tuple[str, ...]
    error: tuple[str, ...]
    captcha: tuple[str, ...]
    sms: tuple[str, ...]
    qr: tuple[str, ...]
    consent: tuple[str, ...]


def load_selectors(override: Path | None = None) -> Selectors:
    """Return the selectors of the package, with the lists of `override` in their place.

    Raises:
        LingmaError: the file cannot be read, or is not of the form.
    """
    own = files(__package__).joinpath("page_selectors.toml").read_text(encoding="utf-8")
    selectors = Selectors(**_lists(own, "page_selectors.toml"))
    if override is None:
        return selectors
    try:
        with override.open("rb") as file:
            text = file.read(_MAX_FILE).decode()
    except OSError as error:
        raise _unusable(str(override), error.strerror or "") from error
    except UnicodeDecodeError as error:
        raise _unusable(str(override), "it is no text") from error
    return replace(selectors, **_lists(text, str(override)))


def _lists(text: str, origin: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unusable(origin, str(error)) from error
    known = {field.name for field in fields(Selectors)}
    for name, value in content.items():
        if name not in known:
            raise _unusable(origin, f"`{name}` is none of {', '.join(sorted(known))}")
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise _unusable(origin, f"`{name}` is no list of selectors")
    return {name: tuple(value) for name, value in content.items()}


def _unusable(origin: str, reason: str) -> LingmaError:
    return LingmaError(ErrorKind.USAGE, f"cannot use the selectors in `{origin}`: {reason}")
