"""Where packages may come from: hosts with ports, and how an address is shown. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import urlsplit

from lingma_cli.errors import ErrorKind, LingmaError

HTTPS_PORT: Final = 443


class Host(NamedTuple):
    """One server, by its lower-case name and its port."""

    name: str
    port: int = HTTPS_PORT


def host_of(url: str) -> Host:
    """Return the host of an address that the user has configured.

    Raises:
        LingmaError: it is no plain https address.
    """
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        name, port = None, None
    if not name or parts.scheme != "https" or "@" in parts.netloc:
        raise LingmaError(
            ErrorKind.USAGE,
            f"not a usable address of a package: `{shown(url)}`",
            hint="write it like https://host/path, without a user name",
        )
    return Host(name.lower(), port or HTTPS_PORT)


def shown(url: str) -> str:
    """Return `url` without what may be secret in it: user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    netloc = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{netloc}{parts.path}"
