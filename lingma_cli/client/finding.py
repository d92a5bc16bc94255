"""Which server a program means when it names none, and the form of addresses.

`server.json` in the home's runtime folder may be left over from a server that was killed: an
address counts only if what answers there looks like ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import httpx
import msgspec

from lingma_cli.client.transport import uses_environment
from lingma_cli.core.address import Address
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths

# Where a server listens that was not told otherwise.
LOCAL_PORTS: Final = (8317,)
_LOOK_SECONDS: Final = 2.0


class ServerFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a program reads of `server.json`."""

    url: str
    pid: int


class _Health(msgspec.Struct):
    pool_size: int


def api_base(url: str) -> str:
    """Return `url` with one `/v1` at its end.

    Raises:
        LingmaError: it is no plain http or https address, or it holds a password.
    """
    address = Address.parse(
        url,
        wrong="the server's address is not usable",
        hint="write it like `http://127.0.0.1:8317`",
    )
    return address.api("")


def find_address(environ: Mapping[str, str], ports: Sequence[int] = LOCAL_PORTS) -> str:
    """Return the address of the server that a program on this machine means; blocks.

    That is `LINGMA_URL`, else the server of this home, else one at a usual port of this machine.

    Raises:
        LingmaError: there is none.
    """
    named = environ.get("LINGMA_URL", "").strip()
    if named:
        return named
    for url in _likely(environ, ports):
        if _is_lingma(url):
            return url
    raise LingmaError(
        ErrorKind.SERVER_NOT_FOUND,
        "no running server found",
        hint="run `lingma serve` in another terminal, or set `LINGMA_URL`",
    )


def announced(environ: Mapping[str, str]) -> ServerFile | None:
    """Return what the server of this home says of itself, `None` if it says nothing."""
    try:
        return msgspec.json.decode(find_paths(environ).server_file.read_bytes(), type=ServerFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _likely(environ: Mapping[str, str], ports: Sequence[int]) -> Iterator[str]:
    own = announced(environ)
    if own is not None:
        yield own.url
    for port in ports:
        yield f"http://127.0.0.1:{port}"


def _is_lingma(url: str) -> bool:
    try:
        found = httpx.get(f"{url}/healthz", timeout=_LOOK_SECONDS, trust_env=uses_environment(url))
        msgspec.json.decode(found.content, type=_Health)
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, ValueError):
        return False
    return True
