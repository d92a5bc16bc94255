"""Version numbers of the executable: which texts are some, and which of two is newer. Pure."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){1,5}(?:-[0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*)?")
_LONGEST: Final = 48

Order = tuple[tuple[int, ...], bool, str]


def is_version(text: str) -> bool:
    """Tell whether `text` is dotted numbers, perhaps with a suffix: `2.11.1`, `2.11.1-demo`.

    Such a text is harmless as a folder's name and in an address.
    """
    return len(text) <= _LONGEST and _FORM.fullmatch(text) is not None


def version_order(text: str) -> Order:
    """Return a key that sorts versions by number; one with a suffix goes before the plain one.

    What is no version sorts before everything else.
    """
    if not is_version(text):
        return ((), False, text)
    numbers, _, suffix = text.partition("-")
    parts = [int(part) for part in numbers.split(".")]
    while parts[-1:] == [0]:
        parts.pop()
    return ((1, *parts), not suffix, suffix)


def is_newer(text: str, than: str) -> bool:
    """Tell whether version `text` comes after version `than`."""
    return version_order(text) > version_order(than)
