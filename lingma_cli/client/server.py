"""A small synchronous client of a running server, for our own commands.

It is given an address and keys; it knows neither settings nor files. Whatever httpx raises leaves
here as a `LingmaError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self, TypeVar

import httpx
import msgspec

from lingma_cli.client.calls import decoded
from lingma_cli.client.transport import (
    SHORT_TIMEOUT,
    bearer,
    broken_off,
    connected,
    errors_mapped,
    refusal,
    time_limits,
    unfailed,
)
from lingma_cli.core.events import ChatEvent
from lingma_cli.core.grammar import Seal
from lingma_cli.errors import LingmaError
from lingma_cli.protocols.client.openai_chat import PATH, Decoder, Turn, encode_request
from lingma_cli.secret import Secret

# An answer may wait for its turn, for a starting engine and for its first event, each for up to a
# minute by default; after this much silence nothing will come any more.
_READ_TIMEOUT: Final = 300.0

T = TypeVar("T")


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `/v1/models`.

    `kind` is `llm` or `embedding`; `context_window` is in tokens, 0 when unknown; `tools` is the
    route that was seen to work.
    """

    id: str
    name: str = ""
    kind: str = "llm"
    context_window: int = 0
    tools: str = "unknown"


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One engine as `/healthz` shows it."""

    name: str
    state: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/healthz`."""

    instances: tuple[Instance, ...]


class PoolEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One engine as `/internal/stats` shows it."""

    name: str
    state: str
    in_flight: int = 0
    last_error: str | None = None
    account: str | None = None
    login: str | None = None


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """How full the server is."""

    in_flight: int = 0
    queued: int = 0


class PastTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One of the latest turns; `told` says why it went on in a session of its engine, or not.

    `message` is the index of the first message of the request that is unlike what was known.
    """

    request_id: str
    model: str = ""
    engine: str = ""
    reused: bool = False
    reason: str = ""
    message: int | None = None
    role: str | None = None
    told: str = ""


class SessionCache(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions that engines keep, and how turns fared: how many for which reason."""

    entries: int = 0
    hits: int = 0
    misses: int = 0
    reasons: dict[str, int] = {}
    last_turns: tuple[PastTurn, ...] = ()


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/internal/stats`."""

    concurrency: Concurrency
    pool: tuple[PoolEntry, ...] = ()
    session_cache: SessionCache = SessionCache()


class EngineLogin(msgspec.Struct, frozen=True, kw_only=True):
    """The login of one engine as `/internal/auto-login/status` shows it.

    `state` is `in`, `out` or `unknown`, or what keeps it from being known; an engine may have none
    of this machine's accounts.
    """

    account: str | None
    state: str


class _Logins(msgspec.Struct):
    instances: tuple[EngineLogin, ...]


class _Models(msgspec.Struct):
    data: tuple[ListedModel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A running answer.

    Attributes:
        notes: short codes of what the server dropped, degraded or estimated.
        events: a sealed stream without a `Failed`: a failure is raised as its error.
    """

    notes: tuple[str, ...]
    events: Iterator[ChatEvent]


class Client:
    """Talks to the server at `url`, for example `http://127.0.0.1:8317`.

    Args:
        url: without `/v1`.
        api_key: for `/v1/*`; `None` sends none.
        admin_token: for `/internal/*`; `None` sends none.

    Every method raises `LingmaError`: `SERVER_NOT_FOUND` when nobody listens, the kind that the
    server names, or `ENGINE_FAILED` / `ENGINE_TIMEOUT` when it breaks off or stays silent.
    """

    def __init__(self, url: str, *, api_key: Secret | None, admin_token: Secret | None) -> None:
        self._url = url
        self._api_key = api_key
        self._admin_token = admin_token
        self._http = connected(url, timeout=time_limits(_READ_TIMEOUT))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def models(self) -> tuple[ListedModel, ...]:
        """Return the models that the server offers now."""
        return self._get("/v1/models", _Models, self._api_key).data

    def health(self) -> Health:
        """Return who is ready; needs no key."""
        return self._get("/healthz", Health, None)

    def stats(self) -> Stats:
        """Return the load and how each engine is; needs the admin token."""
        return self._get("/internal/stats", Stats, self._admin_token)

    def logins(self) -> tuple[EngineLogin, ...]:
        """Return how the login of each engine is; needs the admin token."""
        return self._get("/internal/auto-login/status", _Logins, self._admin_token).instances

    def start_login(self, account: str) -> None:
        """Let the server take up a new login of an account; needs the admin token."""
        with errors_mapped(self._url):
            response = self._http.post(
                "/internal/auto-login/start",
                params={"account": account},
                headers=bearer(self._admin_token),
                timeout=SHORT_TIMEOUT,
            )
        if not response.is_success:
            raise self._refusal(response)

    @contextmanager
    def chat(self, turns: Sequence[Turn], *, model: str = "") -> Iterator[Answer]:
        """Ask, and hold the answer while it runs; leaving early cancels it.

        Args:
            turns: the conversation, oldest first.
            model: empty leaves the choice to the server.
        """
        headers = {**bearer(self._api_key), "content-type": "application/json"}
        body = encode_request(turns, model=model)
        with (
            errors_mapped(self._url),
            self._http.stream("POST", PATH, content=body, headers=headers) as response,
        ):
            if not response.is_success:
                response.read()
                raise self._refusal(response)
            notes = response.headers.get("x-lingma-notes", "")
            yield Answer(
                notes=tuple(note.strip() for note in notes.split(",") if note.strip()),
                events=self._events(response, model),
            )

    def _events(self, response: httpx.Response, model: str) -> Iterator[ChatEvent]:
        decoder, seal = Decoder(), Seal(model)
        with errors_mapped(self._url):
            for chunk in response.iter_bytes():
                yield from unfailed(seal.feed(decoder.feed(chunk)))
                if seal.ended:
                    return
        yield from unfailed(seal.close(broken_off()))

    def _get(self, path: str, shape: type[T], key: Secret | None) -> T:
        with errors_mapped(self._url):
            response = self._http.get(path, headers=bearer(key))
        if not response.is_success:
            raise self._refusal(response)
        return decoded(response.content, shape, self._url)

    def _refusal(self, response: httpx.Response) -> LingmaError:
        return refusal(self._url, response.status_code, response.content)
