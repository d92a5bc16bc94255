"""Reads an environment file: `NAME=VALUE` lines, as Docker Compose and dotenv programs do.

Values may stand in quotes, then over several lines too; double quotes know the escapes of C,
single ones none. Outside of quotes ` #` begins a comment. Nothing is substituted.
"""

from __future__ import annotations

import re
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError

_LINE: Final = re.compile(
    r"""
    [^\S\n]* (?: export [^\S\n]+ )? (?P<name> [A-Za-z_][A-Za-z0-9_.]* ) [^\S\n]*
    (?: = [^\S\n]*
        (?: ' (?P<single> [^']* ) ' (?P<behind_single> [^\n]* )
          | " (?P<double> (?: [^"\\] | \\. )* ) " (?P<behind_double> [^\n]* )
          | (?P<bare> [^'"\n] [^\n]* )? )
    )? (?: \n | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_EMPTY: Final = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = {"n": "\n", "r": "\r", "t": "\t"}


def parse_env(text: str) -> dict[str, str]:
    """Return the variables of `text`; of two with the same name the later one counts.

    Raises:
        LingmaError: a line is none of the kind; its number is told, not what it says.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    variables: dict[str, str] = {}
    at = 0
    while at < len(text):
        empty = _EMPTY.match(text, at)
        found = empty or _LINE.match(text, at)
        if found is None or found.end() == at:
            raise _wrong(text, at)
        if not empty:
            variables[found["name"]] = _value(found, text)
        at = found.end()
    return variables


def _value(found: re.Match[str], text: str) -> str:
    for behind in (found["behind_single"], found["behind_double"]):
        if behind and not _EMPTY.fullmatch(behind):
            raise _wrong(text, found.start())
    if found["single"] is not None:
        return found["single"]
    if found["double"] is not None:
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), found["double"])
    return _COMMENT.sub("", found["bare"] or "").strip()


def _wrong(text: str, at: int) -> LingmaError:
    number = text.count("\n", 0, at) + 1
    return LingmaError(
        ErrorKind.USAGE,
        f"line {number} is no `NAME=VALUE`",
        hint="quote values that begin with a quote or go over several lines",
    )
