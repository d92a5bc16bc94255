"""The addresses of a login: which pages are trusted, what a callback says, how it is reached.

Source: Lingma local protocol, "Login and bootstrap flows". Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

# The login page itself, and the account pages that it leads to.
_VENDOR: Final = ("aliyun.com", "alibabacloud.com")
_MAX_PASTED: Final = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginHosts:
    """Where a login may lead.

    Attributes:
        endpoint: https address of a dedicated service, whose host is trusted too; or empty.
        callback_port: of the process, at loopback: where every login ends; 0 when not known.
        own_ports: where the process listens at loopback: what it serves there itself, as the
            simulator does with its pages, comes from nobody else.
    """

    endpoint: str = ""
    callback_port: int = 0
    own_ports: frozenset[int] = frozenset()

    def is_page(self, url: str) -> bool:
        """Tell whether `url` is a page that may ask for a password."""
        try:
            parts = urlsplit(url)
            host, named = parts.hostname or "", urlsplit(self.endpoint).hostname
            is_plain = parts.username is None and parts.password is None
            port = parts.port
        except ValueError:
            return False
        if not host or not is_plain:
            return False
        if parts.scheme == "http" and is_loopback(host):
            return port in self.own_ports and port != self.callback_port
        known = host in _VENDOR or host.endswith(tuple(f".{name}" for name in _VENDOR))
        return parts.scheme == "https" and (known or host == named)

    def is_callback(self, url: str) -> bool:
        """Tell whether `url` belongs to the process itself."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return False
        is_own = self.callback_port and port == self.callback_port
        return bool(is_own) and parts.scheme == "http" and is_loopback(host)

    def check(self, url: str) -> None:
        """Refuse a login page that is not the vendor's, nor the configured service's.

        Raises:
            LingmaError: it is not.
        """
        if not self.is_page(url):
            raise LingmaError(
                ErrorKind.LOGIN_REQUIRED,
                f"Lingma named a login page that is not trusted: {origin_of(url)}",
                hint="for a service of your own name its address with `--endpoint`; "
                "else check where the executable is from: `lingma engine verify`",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """What the last address of a login says; `state` names the try, if it is there."""

    state: str
    auth: Secret
    token: Secret


def check_endpoint(endpoint: str) -> str:
    """Return the address of a dedicated service, or an empty one.

    Raises:
        LingmaError: it is no https address.
    """
    try:
        parts = urlsplit(endpoint)
        is_usable = not endpoint or (parts.scheme == "https" and parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable:
        raise LingmaError(
            ErrorKind.USAGE,
            "the address of the service is no https address",
            hint="write it like `--endpoint https://lingma.example.com`",
        )
    return endpoint


def read_callback(text: str) -> Callback | None:
    """Return what a pasted address says, `None` if it is not the one a login ends on."""
    if len(text) > _MAX_PASTED:
        return None
    try:
        parts = urlsplit(text.strip().strip("<>\"'"))
        fields = parse_qs(parts.query or parts.fragment)
    except ValueError:
        return None
    auth, token = (fields.get(name, [""])[0] for name in ("auth", "token"))
    token = token or fields.get("tokenString", [""])[0]
    if not (auth and token):
        return None
    return Callback(state=state_of(text), auth=Secret(auth), token=Secret(token))


def state_of(url: str) -> str:
    """Return the name of the try that an address belongs to, empty when it has none."""
    try:
        parts = urlsplit(url.strip().strip("<>\"'"))
        return parse_qs(parts.query or parts.fragment).get("state", [""])[0]
    except ValueError:
        return ""


def tunnel_line(environ: Mapping[str, str], user: str, port: int) -> str:
    """Return the `ssh` command that brings the callback port to a person's own machine.

    Args:
        environ: `SSH_CONNECTION` holds the address that they came in by.
        user: their name on this machine.
        port: the process's callback port.
    """
    place = environ.get("SSH_CONNECTION", "").split()
    host, door = (place[2], place[3]) if len(place) == 4 else ("THIS-HOST", "22")
    elsewhere = f" -p {door}" if door != "22" else ""
    return f"ssh -L {port}:127.0.0.1:{port}{elsewhere} {user}@{host}"


def origin_of(url: str) -> str:
    """Return scheme and host of an address, for people; the rest of it may be secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "no address at all"
    return f"{parts.scheme}://{parts.hostname}"
