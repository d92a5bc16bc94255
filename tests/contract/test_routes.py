"""Every path declares who may use it, and the door asks the table."""

from __future__ import annotations

import time

from lingma_cli.auth.keys import Tier
from lingma_cli.control.logins import Logins
from lingma_cli.control.parking import ParkingLimits, ParkingLot
from lingma_cli.control.registry import Registry
from lingma_cli.core.ids import random_hex
from lingma_cli.gateway.admission import Admission, AdmissionLimits
from lingma_cli.gateway.gateway import Gateway, GatewayOptions
from lingma_cli.gateway.pipeline import ToolOptions
from lingma_cli.gateway.records import log_record
from lingma_cli.metrics.tallies import Tallies
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.server.app import tiers
from lingma_cli.server.house import House
from lingma_cli.server.routes import Endpoint, endpoints
from lingma_cli.sessions.memory import NoStore
from tests.support.fleets import idle_fleet
from tests.support.house import router_of

TIERS = {
    "/healthz": Tier.NONE,
    "/": Tier.NONE,
    "/v1/models": Tier.API,
    "/v1/models/{model:path}": Tier.API,
    "/v1/messages/count_tokens": Tier.API,
    "/v1/completions": Tier.API,
    "/v1/embeddings": Tier.API,
    **{
        f"{base}{below}": Tier.API
        for base in ("/v1/responses", "/responses")
        for below in ("/{response_id}", "/{response_id}/cancel", "/{response_id}/input_items")
    },
    "/v1/conversations": Tier.API,
    "/v1/conversations/{conversation_id}": Tier.API,
    "/v1/conversations/{conversation_id}/items": Tier.API,
    "/v1/conversations/{conversation_id}/items/{item_id}": Tier.API,
    "/sessions": Tier.API,
    "/sessions/cleanup": Tier.API,
    "/sessions/{session_id}": Tier.API,
    "/sessions/{session_id}/clear": Tier.API,
    "/sessions/{session_id}/title": Tier.API,
    "/v1/chat/completions": Tier.API,
    "/v1/messages": Tier.API,
    "/v1/responses": Tier.API,
    "/responses": Tier.API,
    "/metrics": Tier.METRICS,
    "/internal/stats": Tier.ADMIN,
    "/internal/auto-login/status": Tier.ADMIN,
    "/internal/auto-login/start": Tier.ADMIN,
    "/internal/session/export": Tier.ADMIN,
    "/internal/models/raw": Tier.ADMIN,
    "/v1/management": Tier.ADMIN,
    **{
        f"/v1/management/{below}": Tier.ADMIN
        for below in (
            *("engines", "engines/start", "engines/register", "engines/prune"),
            *("backends", "gpu", "status", "thaw", "engines/{engine_id}"),
            *(f"engines/{{engine_id}}/{one}" for one in ("stop", "drain", "restart", "logs")),
        )
    },
    "/workers": Tier.ADMIN,
    "/workers/{worker_id}": Tier.ADMIN,
    "/add_worker": Tier.ADMIN,
    "/list_workers": Tier.ADMIN,
    "/remove_worker": Tier.ADMIN,
}


def table() -> tuple[Endpoint, ...]:
    """Return the table as the server builds it."""
    registry = Registry([])
    tallies = Tallies()
    gateway = Gateway(
        router_of(registry, tallies),
        Admission(AdmissionLimits(max_in_flight=1, queue_size=0, queue_timeout=0)),
        ParkingLot(ParkingLimits(capacity=0, seconds=0), time.monotonic),
        GatewayOptions(startup_timeout=0, tools=ToolOptions()),
        new_id=random_hex,
        clock=time.monotonic,
        on_record=log_record,
    )
    logins = Logins(registry, [], max_retry=0, on_trouble=lambda _: None)
    house = House(
        gateway=gateway,
        fleet=idle_fleet(registry),
        logins=logins,
        body_limit=1,
        new_id=random_hex,
        wall_clock=time.time,
    )
    return endpoints(house, NoStore())


def test_every_path_declares_its_tier() -> None:
    """A new path must be put into the list above, by somebody who thought about it."""
    assert {endpoint.path: endpoint.tier for endpoint in table()} == TIERS


def test_every_protocol_is_served() -> None:
    """Joining the registry of protocols means being routed."""
    paths = {path for protocol in PROTOCOLS for path in protocol.paths}

    assert paths <= {endpoint.path for endpoint in table()}


def test_the_door_asks_the_table() -> None:
    """What the key guard is told is what the table says, and nothing of an unknown path."""
    tier_of = tiers(table())

    assert {path: tier_of(path) for path in TIERS if "{" not in path} == {
        path: tier for path, tier in TIERS.items() if "{" not in path
    }
    assert tier_of("/v1/models/a/b") is Tier.API
    assert tier_of("/v1/responses/resp_1/cancel") is Tier.API
    assert tier_of("/internal/stats/x") is None
