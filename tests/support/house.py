"""A gateway over scripted engines, with all that it holds in view."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from lingma_cli.control.parking import ParkingLimits, ParkingLot
from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.chat import ChatRequest, Message, Role, TextPart
from lingma_cli.core.events import ChatEvent
from lingma_cli.core.ids import random_hex
from lingma_cli.core.record import Record
from lingma_cli.gateway.admission import Admission, AdmissionLimits
from lingma_cli.gateway.gateway import Gateway, GatewayOptions
from lingma_cli.gateway.model_names import ModelRules
from lingma_cli.gateway.pipeline import ToolOptions
from lingma_cli.gateway.reuse import SessionReuse
from lingma_cli.gateway.router import PolicyRules, Router
from lingma_cli.metrics.tallies import Tallies
from lingma_cli.routing.models import ModelPolicies
from lingma_cli.routing.options import PolicyOptions
from lingma_cli.sessions.upstream import SessionLimits
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import now

REQUEST = ChatRequest(
    model="org_auto", messages=(Message(role=Role.USER, parts=(TextPart(text="a" * 40),)),)
)
AUTO = ToolOptions()
NAMES = ModelRules(default="org_auto")
# The first one that may be chosen: tests name the engines in the order in which they are tried.
RULES = PolicyRules(policy="cache_aware")
TWO_PLACES = ParkingLimits(capacity=2, seconds=600)


def router_of(
    registry: Registry,
    tallies: Tallies,
    *,
    names: ModelRules = NAMES,
    rules: PolicyRules = RULES,
    clock: Callable[[], float] = now,
) -> Router:
    """Return a router whose draws are the same each time."""
    policies = ModelPolicies(PolicyOptions(), clock, Random(0).randrange)
    return Router(registry, names, rules, policies, tallies)


class House:
    """A gateway over scripted engines, all ready, with its records kept."""

    def __init__(
        self,
        *engines: ScriptedEngine,
        cap: int = 2,
        ready: bool = True,
        tools: ToolOptions = AUTO,
        parking: ParkingLimits = TWO_PLACES,
        names: ModelRules = NAMES,
        rules: PolicyRules = RULES,
        sessions: SessionLimits | None = None,
    ) -> None:
        self.records: list[Record] = []
        self.registry = Registry([Slot(engine=engine) for engine in engines])
        self.admission = Admission(
            AdmissionLimits(max_in_flight=cap, queue_size=10, queue_timeout=30.0)
        )
        options = GatewayOptions(startup_timeout=40.0, tools=tools)
        tallies = Tallies()
        self.lot = ParkingLot(parking, now)
        self.gateway = Gateway(
            router_of(self.registry, tallies, names=names, rules=rules),
            self.admission,
            self.lot,
            options,
            reuse=SessionReuse(self.registry, sessions, secret=b"secret", clock=now),
            new_id=random_hex,
            clock=now,
            on_record=self.records.append,
        )
        for slot in self.registry.slots if ready else ():
            self.registry.move(slot, EngineState.READY)

    async def ask(self, request: ChatRequest = REQUEST, caller: str = "key-1") -> list[ChatEvent]:
        """Ask and return all events."""
        events: list[ChatEvent] = []
        async with self.gateway.open(
            request, request_id="r1", protocol="openai_chat", caller=caller
        ) as exchange:
            while batch := await exchange.next_batch():
                events += batch
        return events

    def assert_nothing_is_held(self) -> None:
        """Ticket, lease and ask are back."""
        assert self.admission.in_flight == 0
        for slot in self.registry.slots:
            assert slot.in_flight == 0
            assert isinstance(slot.engine, ScriptedEngine)
            assert slot.engine.open_asks == 0
