"""Words of an engine as they may stand in our errors and logs."""

from __future__ import annotations

from typing import Final

from lingma_cli.secret import Redactor

_LONGEST: Final = 300
# So much is looked at: more would cost time, and what is hidden or dropped makes it shorter.
_READ: Final = 16 * _LONGEST
_PLAIN: Final = Redactor()


def quoted(text: str, redact: Redactor = _PLAIN) -> str:
    """Return `text` as one short line without secrets and control characters.

    Args:
        text: what was said.
        redact: hides secrets that are known, besides what looks like one.
    """
    line = " ".join(text.split())[:_READ]
    # A key cut in half would not be known as one, so the cut comes last.
    return redact("".join(letter for letter in line if letter.isprintable()))[:_LONGEST]
