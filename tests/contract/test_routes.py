"""Every path declares who may use it, and the door asks the table."""

from __future__ import annotations

import time

from lingma_cli.auth.keys import Tier
from lingma_cli.control.registry import Registry
from lingma_cli.core.chat import AskMode
from lingma_cli.gateway.admission import Admission, AdmissionLimits
from lingma_cli.gateway.gateway import Gateway, GatewayOptions, log_record
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.server.app import tiers
from lingma_cli.server.routes import Endpoint, endpoints

TIERS = {
    "/healthz": Tier.NONE,
    "/v1/models": Tier.API,
    "/v1/chat/completions": Tier.API,
    "/metrics": Tier.METRICS,
    "/internal/stats": Tier.ADMIN,
}


def table() -> tuple[Endpoint, ...]:
    """Return the table as the server builds it."""
    gateway = Gateway(
        Registry([]),
        Admission(AdmissionLimits(max_in_flight=1, queue_size=0, queue_timeout=0)),
        GatewayOptions(default_model="", default_mode=AskMode.CHAT, startup_timeout=0),
        clock=time.monotonic,
        on_record=log_record,
    )
    return endpoints(gateway, body_limit=1, wall_clock=time.time)


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

    assert {path: tier_of(path) for path in TIERS} == TIERS
    assert tier_of("/v1/models/") is None
    assert tier_of("/internal/stats/x") is None
