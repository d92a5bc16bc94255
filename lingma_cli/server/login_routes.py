"""`/internal/auto-login/*` and `/internal/session/export`: the logins of the engines."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.auth.bundles.bundle import pack, to_text
from lingma_cli.control.logins import Logins, LoginView, Post
from lingma_cli.server.replies import json_app, send_json


class LoginRoutes:
    """The handlers; the query's `instance` or `account` names which one is meant.

    Args:
        logins: sees to them.
    """

    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    async def status(self, _: Request) -> ASGIApp:
        """Tell the state of every login."""
        return json_app({"instances": [_shown(view) for view in self._logins.views()]})

    async def start(self, request: Request) -> ASGIApp:
        """Begin a login, and tell the state at the beginning."""
        view = await self._logins.start(self._meant(request))
        return json_app({"instances": [_shown(view)]})

    async def export(self, request: Request) -> ASGIApp:
        """Return a login as a bundle."""
        bundle = await self._logins.export(self._meant(request))
        body = msgspec.json.encode({"bundle_b64": to_text(pack(bundle))})

        async def reply(_scope: Scope, _receive: Receive, send: Send) -> None:
            await send_json(send, 200, body, [(b"cache-control", b"no-store")])

        return reply

    def _meant(self, request: Request) -> Post:
        query = request.query_params
        return self._logins.find(
            instance=query.get("instance", ""), account=query.get("account", "")
        )


def _shown(view: LoginView) -> dict[str, str | int | None]:
    return {
        "instance": view.instance,
        "account": view.account or None,
        "state": view.state,
        "method": view.method,
        "tries": view.tries,
        "last_error": view.last_error or None,
        "next_step": view.next_step or None,
    }
