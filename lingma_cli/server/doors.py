"""Plain ASGI doors around the application: request ids, hosts and origins, keys.

Owns: who gets in and what every response carries. Must not know: routes (a function tells their
tier) or what is behind the doors. They read the raw headers and the path only, never a URL that
was rebuilt from `Host`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lingma_cli.auth.keys import KeyRing, Tier, caller_label
from lingma_cli.core.ids import NewId, accepted_request_id
from lingma_cli.core.loopback import is_loopback
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.logs import request_id
from lingma_cli.server.replies import JSON, send_error

_log: Final = logging.getLogger(__name__)


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


class RequestIds:
    """Gives each request an id, and each response the headers that all of them carry.

    Args:
        app: what is behind this door.
        new_id: makes an id for requests whose client sent none that may go into a log.
    """

    def __init__(self, app: ASGIApp, new_id: NewId) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request with its id in `logs.request_id` and `scope["state"]`."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        chosen = self._choose(scope)
        request_id.set(chosen)
        scope.setdefault("state", {})["request_id"] = chosen

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _marked(message.get("headers", ()), chosen)
            await send(message)

        await self._app(scope, receive, send_marked)

    def _choose(self, scope: Scope) -> str:
        offered = _values(scope, b"x-request-id") + _values(scope, b"x-client-request-id")
        decoded = (value.decode("latin-1") for value in offered)
        return next(filter(accepted_request_id, decoded), None) or self._new_id()


def _marked(headers: Iterable[tuple[bytes, bytes]], chosen: str) -> list[tuple[bytes, bytes]]:
    marked = [*headers, (b"x-request-id", chosen.encode()), (b"x-content-type-options", b"nosniff")]
    if not any(name.lower() == b"cache-control" for name, _ in marked):
        marked.append((b"cache-control", b"no-store"))
    return marked


class Farewell:
    """Answers 503 to a request that the shutdown cut off before it had an answer.

    Args:
        app: what is behind this door.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; only the server's own shutdown cancels it from outside."""
        has_begun = False

        async def send_watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        except asyncio.CancelledError:
            if has_begun:
                raise
            await send_error(
                scope, send, LingmaError(ErrorKind.SHUTTING_DOWN, "the server is shutting down")
            )


# Names and ports are compared exactly, so this only has to split them without
# leaving room for a second reading: no userinfo, no spaces, no empty port, no final dot.
_AUTHORITY: Final = re.compile(
    rb"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,251}[a-z0-9_])?)"
    rb"(?::(?P<port>0|[1-9][0-9]{0,4}))?",
    re.IGNORECASE,
)
_ORIGIN: Final = re.compile(rb"https?://(?P<authority>[^/]+)")
_OWN_PAGE: Final = frozenset({b"same-origin", b"none"})
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class _Authority:
    name: bytes
    port: int | None


def _authority(text: bytes) -> _Authority | None:
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        return None
    port = None if found["port"] is None else int(found["port"])
    if port is not None and port > 65535:
        return None
    return _Authority(found["name"].lower(), port)


class HostGuard:
    """Lets in what addresses this machine by a known name, and no page of another site.

    Against DNS rebinding and cross-site requests, before any key is looked at, on every path.
    There are no CORS headers, so no page of another origin can read an answer either.

    Args:
        app: what is behind this door.
        allowed_hosts: names beside the loopback ones: `name` with any port, or `name:port`.

    Raises:
        LingmaError: one of `allowed_hosts` is no host.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(map(_configured_host, allowed_hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 421, 403 or 415."""
        fault = None if scope["type"] == "lifespan" else self._fault(scope)
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await send_error(scope, send, fault)

    def _fault(self, scope: Scope) -> LingmaError | None:
        if not self._is_ours(_values(scope, b"host")):
            return LingmaError(
                ErrorKind.MISDIRECTED,
                "the `Host` header names no host of this server",
                hint="use 127.0.0.1 or localhost, or start it with `--allow-host NAME`",
            )
        origins = _values(scope, b"origin")
        sites = _values(scope, b"sec-fetch-site")
        if origins and not self._is_ours([_origin_authority(origin) for origin in origins]):
            return LingmaError(ErrorKind.FORBIDDEN, "requests of other origins are not served")
        if not _OWN_PAGE.issuperset(sites):
            return LingmaError(ErrorKind.FORBIDDEN, "requests of other sites are not served")
        if scope["method"] in _WITH_BODY and _from_browser(scope) and not _is_json(scope):
            return LingmaError(
                ErrorKind.UNSUPPORTED_MEDIA_TYPE, "the body must be `application/json`"
            )
        return None

    def _is_ours(self, named: list[bytes]) -> bool:
        authority = _authority(named[0]) if len(named) == 1 else None
        if authority is None:
            return False
        return is_loopback(authority.name.decode()) or not self._allowed.isdisjoint(
            {authority, _Authority(authority.name, None)}
        )


def _configured_host(text: str) -> _Authority:
    authority = _authority(text.encode())
    if authority is None:
        raise LingmaError(
            ErrorKind.USAGE,
            f"`allowed_hosts` takes `name` or `name:port`, not `{text}`",
            hint="write it as clients do, without `http://` and path; there are no wildcards",
        )
    return authority


def _origin_authority(origin: bytes) -> bytes:
    found = _ORIGIN.fullmatch(origin)
    return b"" if found is None else found["authority"]


def _from_browser(scope: Scope) -> bool:
    return any(name == b"origin" or name.startswith(b"sec-fetch-") for name, _ in scope["headers"])


def _is_json(scope: Scope) -> bool:
    kinds = [value.partition(b";")[0].strip().lower() for value in _values(scope, b"content-type")]
    return kinds == [JSON]


_MAX_KEY_HEADER: Final = 4096
_LOG_EVERY: Final = 60.0


class KeyGuard:
    """Asks for the key that a route's tier needs.

    There is no lock-out: every caller is the same loopback address, and a page must not be able
    to lock the user out; keys are too long to guess.

    Args:
        app: what is behind this door.
        keys: what opens which tier.
        tier_of: the tier of a path; `None` for paths that are no route, which are
            guarded like the API so that nobody can list routes without a key.
        clock: monotonic seconds, for the log's throttle.
    """

    def __init__(
        self,
        app: ASGIApp,
        keys: KeyRing,
        tier_of: Callable[[str], Tier | None],
        *,
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._keys = keys
        self._tier_of = tier_of
        self._clock = clock
        self._failures = 0
        self._silent_until = -float("inf")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with what `caller_of` tells, or answer 401."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        tier = self._tier_of(scope["path"]) or Tier.API
        if self._keys.is_open(tier):
            caller = "local"
        else:
            presented = _presented_key(scope)
            if presented is None or not self._keys.allows(tier, presented):
                self._log_failure()
                await send_error(
                    scope, send, _unauthenticated(tier), [(b"www-authenticate", b"Bearer")]
                )
                return
            caller = caller_label(presented)
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, receive, send)

    def _log_failure(self) -> None:
        self._failures += 1
        now = self._clock()
        if now < self._silent_until:
            return
        _log.warning("requests without a valid key: %d", self._failures)
        self._failures = 0
        self._silent_until = now + _LOG_EVERY


def caller_of(request: Request) -> str:
    """Return the label of the key with which a request came through the `KeyGuard`."""
    caller: str = request.scope["state"]["caller"]
    return caller


def _presented_key(scope: Scope) -> bytes | None:
    """Return the one key in the headers; none if there is none, or more than one reading."""
    bearers = _values(scope, b"authorization")
    plain = _values(scope, b"x-api-key")
    if len(bearers) > 1 or any(len(value) > _MAX_KEY_HEADER for value in bearers + plain):
        return None
    keys = {value.strip() for value in plain}
    for value in bearers:
        scheme, _, key = value.partition(b" ")
        keys.add(key.strip() if scheme.lower() == b"bearer" else b"")
    return keys.pop() if len(keys) == 1 else None


def _unauthenticated(tier: Tier) -> LingmaError:
    is_users = tier is Tier.API
    return LingmaError(
        ErrorKind.UNAUTHENTICATED,
        "a valid key is needed: send it as `Authorization: Bearer KEY` or `x-api-key: KEY`",
        hint=f"run `lingma key show{'' if is_users else ' --admin'}`",
    )
