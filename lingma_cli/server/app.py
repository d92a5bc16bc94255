"""The ASGI application: the route table behind its doors, every error in its path's dialect."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.auth.keys import KeyRing, Tier
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.server.bodies import ClientLeftError
from lingma_cli.server.doors import Farewell, HostGuard, KeyGuard, RequestIds
from lingma_cli.server.house import House
from lingma_cli.server.replies import send_error
from lingma_cli.server.routes import Endpoint, endpoints
from lingma_cli.sessions.stored import ResponseStore

_log: Final = logging.getLogger(__name__)


def build_app(
    house: House,
    store: ResponseStore | None,
    *,
    keys: KeyRing,
    allowed_hosts: tuple[str, ...],
    clock: Callable[[], float],
) -> ASGIApp:
    """Return the application; its doors are put around it from the innermost out."""
    table = endpoints(house, store)
    routes = [
        Route(endpoint.path, endpoint.handler, methods=list(endpoint.methods)) for endpoint in table
    ]
    inner = Starlette(
        routes=routes,
        exception_handlers={
            LingmaError: _own_error,
            HTTPException: _routing_error,
            ClientLeftError: _nobody_there,
            Exception: _unexpected,
        },
    )
    inner.router.redirect_slashes = False
    guarded = KeyGuard(Farewell(inner), keys, tiers(table), clock=clock)
    return RequestIds(HostGuard(guarded, allowed_hosts), house.new_id)


def tiers(table: tuple[Endpoint, ...]) -> Callable[[str], Tier | None]:
    """Return what tells a path's tier, `None` for a path that is not in `table`."""
    patterns = [(compile_path(endpoint.path)[0], endpoint.tier) for endpoint in table]

    def tier_of(path: str) -> Tier | None:
        return next((tier for pattern, tier in patterns if pattern.match(path)), None)

    return tier_of


class _ErrorResponse(Response):
    """A `LingmaError` as Starlette wants it."""

    def __init__(self, error: LingmaError) -> None:
        super().__init__()
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await send_error(scope, send, self._error)


async def _own_error(_: Request, error: Exception) -> Response:
    if not isinstance(error, LingmaError):
        raise error
    return _ErrorResponse(error)


async def _routing_error(request: Request, error: Exception) -> Response:
    path = request.scope["path"][:200]
    if isinstance(error, HTTPException) and error.status_code == 405:
        return _ErrorResponse(
            LingmaError(ErrorKind.METHOD_NOT_ALLOWED, f"{request.method} is not for this path")
        )
    return _ErrorResponse(LingmaError(ErrorKind.NOT_FOUND, f"nothing is served at {path!r}"))


async def _nobody_there(_: Request, _error: Exception) -> Response:
    return _ErrorResponse(LingmaError(ErrorKind.REQUEST_TIMEOUT, "the client went away"))


async def _unexpected(_: Request, error: Exception) -> Response:
    _log.error("unexpected error", exc_info=error)
    return _ErrorResponse(LingmaError(ErrorKind.INTERNAL, "an unexpected error; see the log"))
