"""API keys and tokens: which tier they open, which are too weak, where generated ones live.

Owns: the tiers and the rule that no secret opens a tier other than its own. Must not know: HTTP;
how a key was presented is the business of the doors.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import ipaddress
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import private_folder, write_private
from lingma_cli.secret import Secret

_MIN_LENGTH: Final = 16
_MIN_DIFFERENT: Final = 6
_MAX_FILE: Final = 64 * 1024
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
        no_auth: tiers without a configured secret stand open; one that is configured counts.
    """

    api_keys: tuple[Secret, ...] = ()
    admin_token: Secret | None = None
    metrics_token: Secret | None = None
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
        return tier is Tier.NONE or (self.no_auth and not self._wanted[tier])

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
        fault = _weakness(secret.reveal())
        if fault is not None:
            raise LingmaError(
                ErrorKind.USAGE,
                f"a secret in `{setting}` {fault}",
                hint='make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`',
            )


def _weakness(value: str) -> str | None:
    if len(value) < _MIN_LENGTH:
        return f"is shorter than {_MIN_LENGTH} characters"
    if not _HEADER_TEXT.fullmatch(value):
        return "holds spaces or characters that are not ASCII"
    if _PLACEHOLDER.search(value) or len(set(value)) < _MIN_DIFFERENT:
        return "is a placeholder"
    return None


def is_loopback(host: str) -> bool:
    """Tell whether `host` (127.0.0.0/8, `::1`, `localhost`) is reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # `::ffff:127.0.0.1` and the like are not worth the doubt.
    return address == ipaddress.IPv6Address("::1") or (
        isinstance(address, ipaddress.IPv4Address) and address.is_loopback
    )


def check_bind(host: str, *, has_keys: bool, no_auth: bool) -> None:
    """Refuse to be reachable from other machines without keys.

    Args:
        host: the address to listen on; empty means all.
        has_keys: whether keys are configured or generated.
        no_auth: whether the user wants none asked for.

    Raises:
        LingmaError: `host` is not loopback, and keys are missing or switched off.
    """
    if is_loopback(host):
        return
    if no_auth:
        raise LingmaError(
            ErrorKind.USAGE,
            f"`--no-auth` is for loopback addresses only, not for `{host}`",
            hint="leave `--no-auth` out, or listen on 127.0.0.1",
        )
    if not has_keys:
        raise LingmaError(
            ErrorKind.USAGE,
            f"no listening beyond loopback without keys: `{host}`",
            hint="set `LINGMA_API_KEYS` and `LINGMA_ADMIN_TOKEN`, or listen on 127.0.0.1",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedKeys:
    """The key and token that this installation made for itself.

    Attributes:
        api_key: begins with `lgm-`.
        admin_token: begins with `lga-`.
        is_new: made by this very call.
    """

    api_key: Secret
    admin_token: Secret
    is_new: bool


class _KeysFile(msgspec.Struct):
    api_key: str
    admin_token: str


def load_or_create(keys_file: Path, new_token: Callable[[], str]) -> GeneratedKeys:
    """Return the keys in `keys_file`; make and store them if there is no such file.

    Args:
        keys_file: JSON, `{"api_key": "lgm-…", "admin_token": "lga-…"}`, mode 0600.
        new_token: a source of unguessable texts, say `secrets.token_urlsafe`.

    Raises:
        LingmaError: the file or its folder is not the user's own and private, or the file is
            corrupt: it is never made anew by itself, since clients hold the old key.
    """
    private_folder(keys_file.parent)
    content = _read_private(keys_file)
    if content is not None:
        stored = _parse(keys_file, content)
        return _generated(stored, is_new=False)
    made = _KeysFile(api_key=f"lgm-{new_token()}", admin_token=f"lga-{new_token()}")
    write_private(keys_file, msgspec.json.encode(made).decode() + "\n")
    return _generated(made, is_new=True)


def _generated(keys: _KeysFile, *, is_new: bool) -> GeneratedKeys:
    return GeneratedKeys(
        api_key=Secret(keys.api_key), admin_token=Secret(keys.admin_token), is_new=is_new
    )


def _read_private(path: Path) -> bytes | None:
    # Opened first and looked at afterwards, so that nobody can swap the file in between; without
    # O_NONBLOCK a planted FIFO would hang the start.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise _unusable(path, f"{reason}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _unusable(path, "it is no regular file")
        if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o077):
            raise _unusable(path, "it belongs to somebody else or others may open it")
        return os.read(descriptor, _MAX_FILE)
    finally:
        os.close(descriptor)


def _parse(path: Path, content: bytes) -> _KeysFile:
    try:
        keys = msgspec.json.decode(content, type=_KeysFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unusable(path, "it is corrupt") from error
    if _weakness(keys.api_key) or _weakness(keys.admin_token):
        raise _unusable(path, "it is corrupt")
    return keys


def _unusable(path: Path, reason: str) -> LingmaError:
    return LingmaError(
        ErrorKind.USAGE,
        f"cannot trust the keys in `{path}`: {reason}",
        hint=f"run `chmod 600 {path}`, or remove it and a new key will be made",
    )
