"""The whole application over HTTP engines, on a real socket and in one loop with them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.auth.keys import KeyRing
from lingma_cli.control.logins import Logins
from lingma_cli.control.registry import EngineState, Slot
from lingma_cli.control.supervisor import Supervisor
from lingma_cli.core.ids import random_hex
from lingma_cli.core.record import Record
from lingma_cli.engines.openai_http.engine import OpenAiHttpEngine
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.router import PolicyRules
from lingma_cli.secret import Secret
from lingma_cli.server.app import build_app
from lingma_cli.server.exchange_response import Patience
from lingma_cli.server.guarded_http import guarded_protocol
from lingma_cli.server.house import House
from tests.engines.openai_http.live import options
from tests.support import house
from tests.support.fleets import idle_fleet
from tests.support.raw_http import WAIT_SECONDS, listening
from tests.support.serving import wait_until

KEY = "lgm-an-api-key-of-some-length"
EAGER = Patience(ping_interval=0.2)


def http_slot(url: str, name: str = "box", kind: str = "llm") -> Slot:
    """Return a place for an engine at `url`."""
    engine = OpenAiHttpEngine(name, options(url), random_hex)
    return Slot(engine=engine, kind=kind, is_owned=False)


class ForwardServer:
    """A server and what its tests may do to it."""

    def __init__(self, gateway: house.House, app: _Supervised, port: int) -> None:
        self._house = gateway
        self._app = app
        self.url = f"http://127.0.0.1:{port}"

    @property
    def records(self) -> Sequence[Record]:
        """Of what has ended."""
        return self._house.records

    @property
    def in_flight(self) -> int:
        """Tickets and leases that are out."""
        slots = self._house.registry.slots
        return self._house.admission.in_flight + sum(slot.in_flight for slot in slots)

    def client(self) -> httpx.Client:
        """Return a client with the key."""
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.Client(
            base_url=self.url, headers=headers, trust_env=False, timeout=WAIT_SECONDS
        )

    def post(self, path: str, body: object) -> httpx.Response:
        """POST `body` and return the whole answer."""
        with self.client() as client:
            return client.post(path, json=body)

    def abort(self, error: LingmaError) -> None:
        """End everything that is under way."""
        self._app.soon(lambda: self._house.gateway.abort(error))

    def has_states(self, states: Sequence[EngineState]) -> bool:
        """Tell whether the engines are in these states."""
        return [slot.state for slot in self._house.registry.slots] == list(states)


class _Supervised:
    """Runs the engines beside an app, from the first request on."""

    def __init__(self, app: ASGIApp, supervisor: Supervisor) -> None:
        self._app = app
        self._supervisor = supervisor
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running is None:
            self._running = asyncio.ensure_future(self._supervisor.run())
        await self._app(scope, receive, send)

    def soon(self, act: Callable[[], object]) -> None:
        """Do something on the loop of the engines."""
        assert self._running is not None
        self._running.get_loop().call_soon_threadsafe(act)


@contextlib.contextmanager
def forward_server(
    *slots: Slot, patience: Patience = EAGER, rules: PolicyRules = house.RULES
) -> Iterator[ForwardServer]:
    """Serve over these engines; all that have somebody to talk to are ready."""
    inner = house.House(cap=10, rules=rules)
    for slot in slots:
        inner.registry.add(slot)
    registry = inner.registry
    app = build_app(
        House(
            gateway=inner.gateway,
            fleet=idle_fleet(registry),
            logins=Logins(registry, [], max_retry=0, on_trouble=lambda _: None),
            body_limit=100_000,
            new_id=random_hex,
            wall_clock=time.time,
            patience=patience,
        ),
        None,
        keys=KeyRing(api_keys=(Secret(KEY),)),
        allowed_hosts=(),
        clock=time.monotonic,
    )
    supervised = _Supervised(app, Supervisor(registry, on_trouble=lambda _: None))
    protocol = guarded_protocol(head_timeout=WAIT_SECONDS, max_connections=50)
    with listening(supervised, protocol) as (_, port):
        server = ForwardServer(inner, supervised, port)
        with server.client() as client:
            client.get("/healthz")
        wait_until(lambda: server.has_states([EngineState.READY] * len(slots)), what="engines")
        yield server
