"""A small synchronous client of a running server: the only module that knows httpx.

It is given an address and keys; it knows neither settings nor files. Whatever httpx raises leaves
here as a `LingmaError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Self, TypeVar

import httpx
import msgspec

from lingma_cli.core.events import ChatEvent, Failed
from lingma_cli.core.grammar import Seal
from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_chat import PATH, Decoder, Turn, encode_request
from lingma_cli.protocols.client.openai_error import decode_error
from lingma_cli.secret import Secret

# An answer may wait for its turn, for a starting engine and for its first event, each for up to a
# minute by default; after this much silence nothing will come any more.
_READ_TIMEOUT: Final = 300.0
_CONNECT_TIMEOUT: Final = 5.0
# What is answered at once, or not at all.
_SHORT_TIMEOUT: Final = 10.0
_HINTS: Final[Mapping[ErrorKind, str]] = MappingProxyType(
    {
        ErrorKind.UNAUTHENTICATED: "set `LINGMA_API_KEY` to what `lingma key show` prints "
        "on the server's machine",
        ErrorKind.OVERLOADED: "try again in a moment",
    }
)

T = TypeVar("T")


class ListedModel(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `/v1/models`.

    `context_window` is in tokens, 0 when unknown; `tools` is the route that was seen to work.
    """

    id: str
    name: str = ""
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


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `/internal/stats`."""

    concurrency: Concurrency
    pool: tuple[PoolEntry, ...] = ()


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
        url: without a path.
        api_key: for `/v1/*`; `None` sends none.
        admin_token: for `/internal/*`; `None` sends none.

    Every method raises `LingmaError`: `SERVER_NOT_FOUND` when nobody listens, the kind that the
    server names, or `ENGINE_FAILED` / `ENGINE_TIMEOUT` when it breaks off or stays silent.
    """

    def __init__(self, url: str, *, api_key: Secret | None, admin_token: Secret | None) -> None:
        self._url = url
        self._api_key = api_key
        self._admin_token = admin_token
        try:
            # A proxy of the environment is for the internet, not for a server on this machine.
            self._http = httpx.Client(
                base_url=url,
                trust_env=not is_loopback(httpx.URL(url).host),
                timeout=httpx.Timeout(_READ_TIMEOUT, connect=_CONNECT_TIMEOUT),
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise LingmaError(ErrorKind.USAGE, f"not a usable address: `{url}`") from error

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
        with self._errors_mapped():
            response = self._http.post(
                "/internal/auto-login/start",
                params={"account": account},
                headers=_bearer(self._admin_token),
                timeout=_SHORT_TIMEOUT,
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
        headers = {**_bearer(self._api_key), "content-type": "application/json"}
        body = encode_request(turns, model=model)
        with (
            self._errors_mapped(),
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
        with self._errors_mapped():
            for chunk in response.iter_bytes():
                yield from _unfailed(seal.feed(decoder.feed(chunk)))
                if seal.ended:
                    return
        yield from _unfailed(seal.close(_broken_off()))

    def _get(self, path: str, shape: type[T], key: Secret | None) -> T:
        with self._errors_mapped():
            response = self._http.get(path, headers=_bearer(key))
        if not response.is_success:
            raise self._refusal(response)
        try:
            return msgspec.json.decode(response.content, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._stranger() from error

    def _refusal(self, response: httpx.Response) -> LingmaError:
        error = decode_error(response.content, response.status_code)
        if error is None:
            return self._stranger(f" (status {response.status_code})")
        error.hint = _HINTS.get(error.kind)
        return error

    def _stranger(self, detail: str = "") -> LingmaError:
        return LingmaError(
            ErrorKind.ENGINE_FAILED,
            f"what listens at `{self._url}` does not answer like lingma{detail}",
            hint="check the address with `lingma status`",
        )

    @contextmanager
    def _errors_mapped(self) -> Iterator[None]:
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise LingmaError(
                ErrorKind.SERVER_NOT_FOUND,
                f"no server answers at `{self._url}`",
                hint="run `lingma serve` in another terminal",
            ) from error
        except httpx.TimeoutException as error:
            raise LingmaError(
                ErrorKind.ENGINE_TIMEOUT,
                "the server stayed silent for too long",
                hint="look at its state with `lingma status`",
            ) from error
        except httpx.TransportError as error:
            raise _broken_off() from error


def _unfailed(events: Sequence[ChatEvent]) -> Iterator[ChatEvent]:
    for event in events:
        if isinstance(event, Failed):
            raise event.error
        yield event


def _broken_off() -> LingmaError:
    return LingmaError(
        ErrorKind.ENGINE_FAILED,
        "the server broke off before the answer was complete",
        hint="look at its state with `lingma status`",
    )


def _bearer(key: Secret | None) -> Mapping[str, str]:
    return {"authorization": f"Bearer {key.reveal()}"} if key else {}
