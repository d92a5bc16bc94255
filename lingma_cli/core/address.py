"""Where a server is: URLs with or without `/v1`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import urlsplit

from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError

_V1: Final = "/v1"
_PORTS: Final[Mapping[str, int]] = MappingProxyType({"http": 80, "https": 443})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server.

    Attributes:
        root: its URL without `/v1` and without a slash at the end.
        host: its name or address, lower case; IPv6 without brackets.
        port: the scheme's own unless given.
    """

    root: str
    host: str
    port: int

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        wrong: str = "not a usable engine URL",
        hint: str = "for example `http://127.0.0.1:8080`",
    ) -> Self:
        """Read a URL.

        Args:
            url: what somebody has typed.
            wrong: the beginning of the error's sentence.
            hint: the error's hint.

        Raises:
            LingmaError: it is no plain http or https URL, or it holds a password.
        """
        try:
            parts = urlsplit(url.strip())
            port = parts.port
        except ValueError:
            raise _unusable(wrong, "it cannot be read", hint) from None
        if parts.scheme not in _PORTS or not parts.hostname:
            why = "it must begin with `http://` or `https://` and name a host"
            raise _unusable(wrong, why, hint)
        if parts.username is not None or parts.password is not None:
            raise _unusable(wrong, "a key does not belong into it", hint)
        if port == 0:
            raise _unusable(wrong, "nobody listens at port 0", hint)
        if parts.query or parts.fragment or any(ord(letter) <= 32 for letter in url.strip()):
            raise _unusable(wrong, "it must end with the path", hint)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        where = host if port is None else f"{host}:{port}"
        path = parts.path.rstrip("/").removesuffix(_V1).rstrip("/")
        return cls(
            root=f"{parts.scheme}://{where}{path}",
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
        )

    def is_at(self, host: str, port: int) -> bool:
        """Tell whether it is whoever listens there; all names of this machine are one."""
        is_here = self.host == host or (is_loopback(self.host) and is_loopback(host))
        return is_here and self.port == port

    def api(self, path: str) -> str:
        """Return the URL of a `path` below `/v1`, such as `/models`."""
        return f"{self.root}{_V1}{path}"


def _unusable(wrong: str, why: str, hint: str) -> LingmaError:
    # The URL itself is not shown: it may hold a password.
    return LingmaError(ErrorKind.USAGE, f"{wrong}: {why}", hint=hint)
