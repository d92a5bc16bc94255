"""The whole application over a fleet of scripted engines, on a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.auth.keys import KeyRing
from lingma_cli.control.logins import Logins
from lingma_cli.control.registry import Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.core.ids import random_hex
from lingma_cli.secret import Secret
from lingma_cli.server.app import build_app
from lingma_cli.server.guarded_http import guarded_protocol
from lingma_cli.server.house import House
from tests.support import house
from tests.support.fleets import Fleets
from tests.support.raw_http import WAIT_SECONDS, listening

API = "lgm-an-api-key-of-some-length"
ADMIN = "lga-an-admin-token-of-some-length"


class _Supervised:
    """Runs a supervisor beside an app, from the first request on."""

    def __init__(self, app: ASGIApp, supervisor: Supervisor) -> None:
        self._app = app
        self._supervisor = supervisor
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running is None:
            self._running = asyncio.ensure_future(self._supervisor.run())
            await asyncio.sleep(0)
        await self._app(scope, receive, send)


class ControlPlane:
    """A server and its only client, who has the admin token."""

    def __init__(self, fleets: Fleets, address: tuple[str, int]) -> None:
        self.fleets = fleets
        self.address = address
        self.url = f"http://127.0.0.1:{address[1]}"

    def ask(
        self, method: str, path: str, body: object = None, *, key: str = ADMIN
    ) -> httpx.Response:
        """Send one request."""
        return httpx.request(
            method,
            self.url + path,
            json=body,
            headers={"authorization": f"Bearer {key}"},
            trust_env=False,
            timeout=WAIT_SECONDS,
        )

    def get(self, path: str) -> Any:
        """Return the JSON of a GET that goes well."""
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object = None) -> Any:
        """Return the JSON of a POST that goes well."""
        answer = self.ask("POST", path, body)
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    def engine(self, id_: str) -> dict[str, Any] | None:
        """Return the EngineInfo of one engine."""
        engines = self.get("/v1/management/engines")["engines"]
        return next((one for one in engines if one["engine_id"] == id_), None)

    def wait_for(self, id_: str, state: str | None) -> None:
        """Wait until an engine is in a state, or gone."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (one := self.engine(id_)) is None or one["state"] != state:
            if one is None and state is None:
                return
            assert time.monotonic() < deadline, one


@contextlib.contextmanager
def control_plane(folder: Path, *slots: Slot, is_guarded: bool = True) -> Iterator[ControlPlane]:
    """Serve an application over these engines and those that are added."""
    gateway = house.House().gateway
    for slot in slots:
        gateway.registry.add(slot)
    fleets = Fleets(folder, registry=gateway.registry, remembers=is_guarded)
    app = build_app(
        House(
            gateway=gateway,
            fleet=fleets.fleet,
            logins=Logins(gateway.registry, [], max_retry=0, on_trouble=lambda _: None),
            body_limit=100_000,
            new_id=random_hex,
            wall_clock=time.time,
            is_guarded=is_guarded,
        ),
        None,
        keys=KeyRing(api_keys=(Secret(API),), admin_token=Secret(ADMIN)),
        allowed_hosts=(),
        clock=time.monotonic,
    )
    protocol = guarded_protocol(head_timeout=WAIT_SECONDS, max_connections=20)
    with listening(_Supervised(app, fleets.supervisor), protocol) as address:
        yield ControlPlane(fleets, address)
