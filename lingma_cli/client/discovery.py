"""The backends behind a server, as its control plane lists them, and where a call goes next.

A backend is an engine with an address of its own. A call goes to the server that the program
named, which chooses the engine; backends count when that server is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from lingma_cli.client.calls import Kind, decoded
from lingma_cli.client.finding import api_base
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Secret

BACKENDS_PATH: Final = "/management/backends"
_MIN_INTERVAL: Final = 5.0
_MAX_ATTEMPTS: Final = 3


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """One engine as `/v1/management/backends` shows it.

    Attributes:
        instance_id: its name.
        base_url: ends in `/v1`; the server's own for an engine that only the server can reach.
        model_name: what it serves.
        is_healthy: whether the last check found it well.
        is_available: whether it has room for one more request now.
        active_requests: how many it is at.
        max_concurrent_requests: how many it takes at a time.
    """

    instance_id: str
    base_url: str | None = ""
    model_name: str | None = ""
    is_healthy: bool = False
    is_available: bool = False
    active_requests: int = 0
    max_concurrent_requests: int | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a call may go there; a full one lets it wait."""
        return bool(self.base_url) and self.is_healthy


class Backends(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/v1/management/backends`."""

    llm_backends: tuple[Backend, ...]
    embedding_backends: tuple[Backend, ...]

    def of_kind(self, kind: Kind) -> tuple[Backend, ...]:
        """Return those that can answer such a call, in the server's order."""
        return self.llm_backends if kind == "llm" else self.embedding_backends


NO_BACKENDS: Final = Backends(llm_backends=(), embedding_backends=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where one attempt goes: an address that ends in `/v1`, its key, its model if it is known."""

    url: str
    api_key: Secret | None
    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """Where the list of backends is, and what to show those in it.

    Attributes:
        url: ends in `/v1`.
        interval: seconds between two looks.
        backend_api_key: for the backends; the server's own key is not for them.
    """

    url: str
    interval: float
    backend_api_key: Secret | None

    @classmethod
    def at(cls, url: str, interval: float, backend_api_key: Secret | None) -> Discovery:
        """Return the discovery at a server, with at least five seconds between two looks."""
        return cls(
            url=api_base(url),
            interval=max(_MIN_INTERVAL, interval),
            backend_api_key=backend_api_key,
        )


def read_backends(body: bytes, *, url: str) -> Backends:
    """Return the lists in `body`, which came from `url`.

    Raises:
        LingmaError: it has none.
    """
    return decoded(body, Backends, url)


class Attempts:
    """The tries of one call: three at most, each at another address."""

    def __init__(self, first: Destination) -> None:
        self.current = first
        self._tried = [first.url]

    def move_on(self, backends: Sequence[Backend], key: Secret | None) -> None:
        """Make the first usable backend that was not tried the current destination.

        Raises:
            LingmaError: there is none, or three tries were enough.
        """
        if len(self._tried) < _MAX_ATTEMPTS:
            for backend in backends:
                url = _readable(backend)
                if url is not None and url not in self._tried:
                    self._tried.append(url)
                    self.current = Destination(
                        url=url, api_key=key, model=backend.model_name or None
                    )
                    return
        tried = ", ".join(f"`{url}`" for url in self._tried)
        raise LingmaError(
            ErrorKind.ENGINE_UNAVAILABLE,
            f"no connection, and no other healthy backend is left, after {tried}",
            hint="look at the server's state with `lingma status`",
        )


def _readable(backend: Backend) -> str | None:
    if not (backend.is_usable and backend.base_url):
        return None
    try:
        return api_base(backend.base_url)
    except LingmaError:
        return None
