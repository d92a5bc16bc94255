"""The engines of a running server, looked at and changed by our own commands.

What is sent and read are the control plane's words; see `docs/control-plane.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from lingma_cli.client.calls import decoded
from lingma_cli.client.transport import (
    SHORT_TIMEOUT,
    bearer,
    connected,
    errors_mapped,
    refusal,
)
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_error import ErrorFields, to_error
from lingma_cli.secret import Secret

_BASE: Final = "/v1/management"
# A drain ends by itself; the server gives it half a minute unless it is told otherwise.
_DRAIN_SECONDS: Final = 600.0
_MARGIN_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 2.0
_CLOSED: Final = "closed"

T = TypeVar("T")


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One engine as `/v1/management/engines` shows it.

    Attributes:
        state: `STARTING`, `READY`, `DRAINING`, `STOPPED` or `ERROR`.
        url: `None` for an engine that only the server can reach.
        active_requests: leases out.
        generation: grows each time it gets ready.
        cooldown_seconds: left of its rest after a used-up quota.
        breaker: `closed`, `open` or `half_open`.
        pid: of the process that answers, as far as the server knows it.
        remembered: whether the server brings it back at its next start.
        is_removable: whether it was added, and can be removed.
    """

    engine_id: str
    state: str
    model_id: str = ""
    engine_kind: str = "llm"
    name: str = ""
    url: str | None = None
    port: int | None = None
    active_requests: int = 0
    generation: int = 0
    uptime_seconds: float = 0.0
    reason: str = ""
    last_error: str | None = None
    account: str | None = None
    cooldown_seconds: float = 0.0
    breaker: str = _CLOSED
    pid: int | None = None
    remembered: bool = True
    is_removable: bool = False

    @property
    def rests(self) -> bool:
        """Whether requests pass it by for a while, although it is there."""
        return self.cooldown_seconds > 0 or self.breaker != _CLOSED


class NewWorker(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body that takes a server into the pool that somebody else runs."""

    url: str
    engine_id: str
    model_id: str = ""
    kind: str = "llm"
    api_key_ref: str = ""
    max_concurrent_requests: int = 0
    labels: Mapping[str, str] = {}


class NewServer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body that asks for a server to be started."""

    model_id: str
    engine_id: str
    template: str
    engine_kind: str = "llm"
    engine_label: str = ""
    port: int | None = None
    max_concurrent_requests: int = 0
    extra_args: tuple[str, ...] = ()


class _Engines(msgspec.Struct):
    engines: tuple[EngineInfo, ...]


class _Pruned(msgspec.Struct):
    pruned_count: int


class _WorkerError(msgspec.Struct):
    """What `/workers` says of an error; elsewhere it looks like OpenAI's."""

    error: str


class ControlPlane:
    """Talks to the control plane of the server at `url`.

    Args:
        url: without `/v1`.
        admin_token: `None` sends none.

    Every method raises `LingmaError`: `SERVER_NOT_FOUND` when nobody listens, or what the server
    answers.
    """

    def __init__(self, url: str, *, admin_token: Secret | None) -> None:
        self._url = url
        self._http = connected(url, timeout=SHORT_TIMEOUT)
        self._http.headers.update(bearer(admin_token))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def all(self) -> tuple[EngineInfo, ...]:
        """Return all engines, in the order in which they came."""
        return decoded(self._ask("GET", f"{_BASE}/engines"), _Engines, self._url).engines

    def find(self, name: str) -> EngineInfo:
        """Return the engine of this id or name."""
        for engine in self.all():
            if name in (engine.engine_id, engine.name):
                return engine
        raise LingmaError(
            ErrorKind.NOT_FOUND,
            f"there is no engine `{name}`",
            hint="run `lingma engine list` for those that are there",
        )

    def add(self, worker: NewWorker) -> EngineInfo:
        """Take a server into the pool, and return it as an engine."""
        self._ask("POST", "/workers", worker)
        at = next((one for one in self.all() if one.url == worker.url), None)
        return at or self.find(worker.engine_id)

    def start(self, server: NewServer) -> EngineInfo:
        """Start a server; it is not ready yet when this returns."""
        self._ask("POST", f"{_BASE}/engines/start", server)
        return self.find(server.engine_id)

    def drain(self, name: str, within: float | None = None) -> None:
        """Stop an engine after its answers under way; it stays listed.

        Args:
            name: its id or name.
            within: seconds for the answers; the server's usual ones unless given.
        """
        path = f"{_one(name)}/drain"
        patience = _DRAIN_SECONDS if within is None else within + _MARGIN_SECONDS
        self._ask("POST", path, params=_given(timeout=within), patience=patience)

    def restart(self, name: str) -> None:
        """Start an engine again."""
        self._ask("POST", f"{_one(name)}/restart")

    def remove(self, name: str) -> None:
        """Forget an engine; its answers under way may end after this returns."""
        self._ask("DELETE", f"/workers/{quote(name, safe='')}", patience=_DRAIN_SECONDS)

    def prune(self) -> int:
        """Forget the added engines that have stopped or failed, and return how many."""
        answer = self._ask("POST", f"{_BASE}/engines/prune", patience=_DRAIN_SECONDS)
        return decoded(answer, _Pruned, self._url).pruned_count

    def thaw(self, name: str) -> None:
        """End the rest of the engine of this id or name."""
        self._ask("POST", f"{_BASE}/thaw", {"engine": name})

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, Any] | None = None,
        patience: float = SHORT_TIMEOUT,
    ) -> bytes:
        with errors_mapped(self._url):
            response = self._http.request(
                method,
                path,
                content=None if body is None else msgspec.json.encode(body),
                headers={"content-type": "application/json"} if body is not None else None,
                params=params,
                timeout=httpx.Timeout(SHORT_TIMEOUT, read=patience),
            )
        if not response.is_success:
            raise _refusal(self._url, response)
        return response.content


def answers(url: str) -> bool:
    """Tell whether anything answers HTTP at `url` now; no key is shown to it."""
    try:
        # Whatever it says, and however much: somebody is there.
        with (
            connected(url, timeout=_LOOK_SECONDS) as client,
            client.stream("GET", "/v1/models"),
        ):
            return True
    except httpx.HTTPError:
        return False


def _refusal(url: str, response: httpx.Response) -> LingmaError:
    status, body = response.status_code, response.content
    try:
        said = msgspec.json.decode(body, type=_WorkerError)
        error = to_error(ErrorFields(message=said.error), status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        error = refusal(url, status, body)
    if error.kind is ErrorKind.UNAUTHENTICATED:
        error.hint = "set `LINGMA_ADMIN_TOKEN` to the admin token that the server was started with"
    return error


def _one(name: str) -> str:
    return f"{_BASE}/engines/{quote(name, safe='')}"


def _given(**values: float | None) -> Mapping[str, float]:
    return {name: value for name, value in values.items() if value is not None}
