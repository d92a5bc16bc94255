"""The parser's complaints, in our voice."""

from __future__ import annotations

import re
from typing import Any, Final

from lingma_cli.errors import ErrorKind, LingmaError

_QUOTED: Final = re.compile(r"'([^']*)'")
_SUGGESTION: Final = re.compile(
    r"(?:[\s(]*(?:Did you mean|Possible options:)(?: one of:)? (?P<names>[^?)]*)[?)]*)+$"
)


def explain(error: Any, program: str) -> LingmaError:
    """Return `error`, a usage error of Typer's parser, as one of ours."""
    message = error.format_message().strip()
    where = error.ctx.command_path if error.ctx is not None else program
    hint = f"run `{where} --help`"
    if found := _SUGGESTION.search(message):
        names = found["names"].replace("'", "").split(", ")
        hint = f"did you mean {' or '.join(f'`{name}`' for name in names)}?"
        message = message[: found.start()]
    message = _QUOTED.sub(r"`\1`", message.rstrip("."))
    return LingmaError(ErrorKind.USAGE, message[:1].lower() + message[1:], hint=hint)
