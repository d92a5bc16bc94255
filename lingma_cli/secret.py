"""Texts that must not be seen: wrapped they print as dots, inside others they are found.

Owns: the wrapper, and what a credential looks like. Must not know: which secrets there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

DOTS: Final = "••••"

_MIN_SECRET: Final = 6
# What looks like a credential whoever logs it: our keys, bearer values, JWTs, query strings of
# login pages, and the token fields of the Lingma protocol.
_LOOKS_SECRET: Final = re.compile(
    r"(?P<keep>(?:bearer|basic)\s+|"
    r"[\"']?(?:access[_-]?key|secret[_-]?key|api[_-]?key|personal[_-]?token|security_?oauth_?token|"
    r"refresh_?token|token_?string|machine_?token|token|password|cookie|authorization|auth)[\"']?"
    r"\s*[=:]\s*[\"']?(?:(?:bearer|basic)\s+)?)(?P<secret>[^\s\"',;&}]{6,})"
    r"|(?P<url>https?://[^\s?\"']+\?)[^\s\"']+"
    r"|lg[ma]-[A-Za-z0-9_-]{16,}|\b[pr]t-[A-Za-z0-9_-]{8,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
    re.IGNORECASE,
)
# A cheap look before the pattern above: whatever it can match contains one of these. The plain
# words would hit every record line, which counts tokens and names a key's label.
_HINTS: Final = (
    *("bearer", "basic", "password", "cookie", "auth", "lgm-", "lga-", "pt-", "rt-", "eyj", "?"),
    *(word + end for word in ("key", "token", "string") for end in "\"'=: "),
)


class Secret:
    """Wraps a key, token or password; `reveal` is the only way to its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({DOTS})"

    def __str__(self) -> str:
        return DOTS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Redactor:
    """Replaces known secrets, and whatever looks like one, with dots.

    Args:
        secrets: values to hide wherever they appear; shorter ones than six characters are left
            to the patterns, since they would blot out ordinary words.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        known = {secret.reveal() for secret in secrets}
        escaped = sorted(
            (re.escape(value) for value in known if len(value) >= _MIN_SECRET), key=len
        )
        self._known = re.compile("|".join(reversed(escaped))) if escaped else None

    def __call__(self, text: str) -> str:
        """Return `text` without its secrets."""
        if self._known is not None:
            text = self._known.sub(DOTS, text)
        lowered = text.lower()
        if not any(hint in lowered for hint in _HINTS):
            return text
        return _LOOKS_SECRET.sub(lambda found: (found["keep"] or found["url"] or "") + DOTS, text)
