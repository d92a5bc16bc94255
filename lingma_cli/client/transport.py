"""What all clients here share of HTTP: time limits, keys, proxies, and what a failure means.

Whatever httpx raises leaves this room as a `LingmaError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

import httpx

from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_error import decode_error
from lingma_cli.secret import Secret

CONNECT_TIMEOUT: Final = 5.0
# What is answered at once, or not at all.
SHORT_TIMEOUT: Final = 10.0

# Before an answer has begun these mean that the other end is not there, or not any more. A server
# that stays silent (`ReadTimeout`) is there.
CONNECTION_ERRORS: Final = (
    httpx.ConnectTimeout,
    httpx.NetworkError,
    httpx.RemoteProtocolError,
)

# What can stand in a header behind `Bearer`.
_KEY: Final = re.compile(r"[!-~]+")
_HINTS: Final[Mapping[ErrorKind, str]] = MappingProxyType(
    {
        ErrorKind.UNAUTHENTICATED: "set `LINGMA_API_KEY` to what `lingma key show` prints "
        "on the server's machine",
        ErrorKind.OVERLOADED: "try again in a moment",
    }
)


def time_limits(silence: float) -> httpx.Timeout:
    """Return the limits of a connection on which `silence` seconds are too many."""
    return httpx.Timeout(silence, connect=min(CONNECT_TIMEOUT, silence))


def uses_environment(url: str) -> bool:
    """Tell whether proxies of the environment count for `url`.

    They are for the internet, not for a server on this machine.
    """
    return not is_loopback(httpx.URL(url).host)


@contextmanager
def address_checked(url: str) -> Iterator[None]:
    """Raise what is wrong with `url`, or with the proxy that leads there, as a `USAGE` error."""
    try:
        yield
    except (httpx.InvalidURL, ValueError) as error:
        raise LingmaError(ErrorKind.USAGE, f"not a usable address: `{url}`") from error
    except ImportError as error:
        raise LingmaError(
            ErrorKind.USAGE,
            "the proxy that the environment names needs a package that is not installed",
            hint="look at `ALL_PROXY`; for SOCKS run `pip install socksio`",
        ) from error


@contextmanager
def errors_mapped(url: str) -> Iterator[None]:
    """Raise whatever httpx raises as what it means for the server at `url`."""
    try:
        yield
    except httpx.RequestError as error:
        raise mapped(error, url) from error


def mapped(error: httpx.RequestError, url: str) -> LingmaError:
    """Return what `error` means for the server at `url`."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return LingmaError(
            ErrorKind.SERVER_NOT_FOUND,
            f"no server answers at `{url}`",
            hint="run `lingma serve` in another terminal",
        )
    if isinstance(error, httpx.TimeoutException):
        return LingmaError(
            ErrorKind.ENGINE_TIMEOUT,
            "the server stayed silent for too long",
            hint="look at its state with `lingma status`",
        )
    return broken_off()


def refusal(url: str, status: int, body: bytes) -> LingmaError:
    """Return the error that the server at `url` answered with."""
    error = decode_error(body, status)
    if error is None:
        return stranger(url, f" (status {status})")
    error.hint = _HINTS.get(error.kind)
    return error


def stranger(url: str, detail: str = "") -> LingmaError:
    """Return the error that what listens at `url` speaks something else."""
    return LingmaError(
        ErrorKind.ENGINE_FAILED,
        f"what listens at `{url}` does not answer like lingma{detail}",
        hint="check the address with `lingma status`",
    )


def broken_off() -> LingmaError:
    """Return the error that an answer has no end."""
    return LingmaError(
        ErrorKind.ENGINE_FAILED,
        "the server broke off before the answer was complete",
        hint="look at its state with `lingma status`",
    )


def unfailed(events: Sequence[ChatEvent]) -> Iterator[ChatEvent]:
    """Yield `events`; a failure among them is raised as its error."""
    for event in events:
        if isinstance(event, Failed):
            raise event.error
        yield event


def as_secret(value: str | Secret | None) -> Secret | None:
    """Return a key as what prints as dots, `None` if it is empty.

    Raises:
        LingmaError: no header can hold it.
    """
    key = Secret(value) if isinstance(value, str) else value
    if key is None or not key.reveal():
        return None
    if not _KEY.fullmatch(key.reveal()):
        # Not shown, nor where it is wrong.
        raise LingmaError(
            ErrorKind.USAGE,
            "a key is not usable: it is not made of printable ASCII characters without blanks",
            hint="look at `LINGMA_API_KEY`, `LINGMA_ADMIN_TOKEN`, or where else you have it from",
        )
    return key


def bearer(key: Secret | None) -> Mapping[str, str]:
    """Return the header that shows `key`, if there is one; raises as `as_secret`."""
    usable = as_secret(key)
    return {"authorization": f"Bearer {usable.reveal()}"} if usable else {}


def connected(url: str, *, timeout: httpx.Timeout | float) -> httpx.Client:
    """Return what asks the server at `url`, below which all paths lie.

    Raises:
        LingmaError: it is no address, or no proxy leads there.
    """
    with address_checked(url):
        return httpx.Client(base_url=url, trust_env=uses_environment(url), timeout=timeout)
