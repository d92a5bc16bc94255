"""`/internal/auto-login/*` and `/internal/session/export`: the logins of the engines."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.auth.bundles.bundle import pack, to_text
from lingma_cli.control.logins import LoginView
from lingma_cli.server.house import House
from lingma_cli.server.replies import json_app


class LoginRoutes:
    """The handlers; the query's `instance` or `account` names which one is meant.

    Args:
        house: what every handler needs.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._logins = house.logins

    async def status(self, _: Request) -> ASGIApp:
        """Tell the state of every login."""
        return json_app({"instances": [_shown(view) for view in self._logins.views()]})

    async def start(self, request: Request) -> ASGIApp:
        """Begin a login, and tell the state at the beginning."""
        instance, account = _meant(request)
        recruit = None if instance else await self._logins.recruit(account)
        if recruit is not None:
            self._house.fleet.join(recruit.slot)
            return json_app({"instances": [_shown(self._logins.view(recruit))]})
        views = await self._logins.start(instance=instance, account=account)
        return json_app({"instances": [*map(_shown, views)]})

    async def export(self, request: Request) -> ASGIApp:
        """Return a login as a bundle."""
        if not self._house.is_demo:
            self._house.check_trust("export logins")
        instance, account = _meant(request)
        bundle = await self._logins.export(self._logins.find(instance=instance, account=account))
        told = {"bundle_b64": to_text(pack(bundle))}
        return json_app(told, headers=[(b"cache-control", b"no-store")])


def _meant(request: Request) -> tuple[str, str]:
    query = request.query_params
    return query.get("instance", ""), query.get("account", "")


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
