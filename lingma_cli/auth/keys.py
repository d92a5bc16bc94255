"""API keys and tokens: which tier they open, and which are too weak.

Owns: the tiers and the rule that no secret opens a tier other than its own. Must not know: HTTP;
how a key was presented is the business of the doors.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

_MIN_LENGTH: Final = 16
_MIN_DIFFERENT: Final = 6
_PLACEHOLDER: Final = re.compile(
    r"change.?(me|this|it)|replace.?(me|this|it)|your.{0,12}(key|token|secret)|placeholder|<.*>",
    re.IGNORECASE,
)
_HEADER_TEXT: Final = re.compile(r"[!-~]+")


class Tier(Enum):
    """What a route asks of its callers; every route declares one."""

    NONE = "none"
    API = "api"
    METRICS = "metrics"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The secrets of this server, and what each opens.

    There is no fallback: the admin token does not open the API, an API key nothing else. An unset
    metrics token means the admin token.

    Attributes:
        api_keys: open `Tier.API`.
        admin_token: opens `Tier.ADMIN`.
        metrics_token: opens `Tier.METRICS`.
        metrics_public: `Tier.METRICS` stands open.
        no_auth: tiers without a configured secret stand open; one that is configured counts.
    """

    api_keys: tuple[Secret, ...] = ()
    admin_token: Secret | None = None
    metrics_token: Secret | None = None
    metrics_public: bool = False
    no_auth: bool = False
    _wanted: Mapping[Tier, tuple[bytes, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        wanted = {
            Tier.NONE: (),
            Tier.API: _digests(*self.api_keys),
            Tier.METRICS: _digests(self.metrics_token or self.admin_token),
            Tier.ADMIN: _digests(self.admin_token),
        }
        object.__setattr__(self, "_wanted", wanted)

    @property
    def required(self) -> bool:
        """Whether clients of the API need a key."""
        return not self.is_open(Tier.API)

    def secrets(self) -> tuple[Secret, ...]:
        """Return all of them, for the log's redactor."""
        tokens = (self.admin_token, self.metrics_token)
        return (*self.api_keys, *(token for token in tokens if token is not None))

    def is_open(self, tier: Tier) -> bool:
        """Tell whether `tier` needs no secret."""
        is_public = tier is Tier.METRICS and self.metrics_public
        return tier is Tier.NONE or is_public or (self.no_auth and not self._wanted[tier])

    def allows(self, tier: Tier, presented: bytes | None) -> bool:
        """Tell whether `presented`, as it came off the wire, opens `tier`.

        Every secret is compared, in constant time, whichever matches.
        """
        if self.is_open(tier):
            return True
        if presented is None:
            return False
        digest = hashlib.sha256(presented).digest()
        matches = [hmac.compare_digest(digest, wanted) for wanted in self._wanted[tier]]
        return any(matches)


def caller_label(presented: bytes) -> str:
    """Return a short name for logs and records that does not give the key away."""
    return f"key-{hashlib.sha256(presented).hexdigest()[:8]}"


def _digests(*secrets: Secret | None) -> tuple[bytes, ...]:
    known = (secret for secret in secrets if secret is not None)
    return tuple(hashlib.sha256(secret.reveal().encode()).digest() for secret in known)


def check_configured(
    secrets: Iterable[Secret], setting: str = "api_keys, admin_token or metrics_token"
) -> None:
    """Refuse secrets that can be guessed.

    Args:
        secrets: what the user has configured.
        setting: the key under which it was configured, for the message.

    Raises:
        LingmaError: one is short, a placeholder, or holds what no HTTP header carries. The
            message never holds the value.
    """
    for secret in secrets:
        fault = weakness(secret.reveal())
        if fault is not None:
            raise LingmaError(
                ErrorKind.USAGE,
                f"a secret in `{setting}` {fault}",
                hint='make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`',
            )


def weakness(value: str) -> str | None:
    """Return why `value` is no good secret, as the end of a sentence about it; else `None`."""
    if len(value) < _MIN_LENGTH:
        return f"is shorter than {_MIN_LENGTH} characters"
    if not _HEADER_TEXT.fullmatch(value):
        return "holds spaces or characters that are not ASCII"
    if _PLACEHOLDER.search(value) or len(set(value)) < _MIN_DIFFERENT:
        return "is a placeholder"
    return None
