"""Every path that is served, with who may use it: the table and its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp

from lingma_cli.auth.keys import Tier
from lingma_cli.control.registry import EngineState
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.protocols import anthropic_messages, openai_responses
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.protocols.wire import WireProtocol
from lingma_cli.server.bodies import read_body
from lingma_cli.server.conversation_routes import ConversationRoutes
from lingma_cli.server.doors import caller_of
from lingma_cli.server.exchange_response import Envelope, ExchangeResponse
from lingma_cli.server.forward_routes import ForwardRoutes
from lingma_cli.server.house import House
from lingma_cli.server.login_routes import LoginRoutes
from lingma_cli.server.management_routes import BASE, ManagementRoutes
from lingma_cli.server.metric_routes import MetricRoutes
from lingma_cli.server.model_routes import ModelRoutes
from lingma_cli.server.replies import json_app
from lingma_cli.server.response_routes import ResponseRoutes
from lingma_cli.server.session_routes import SessionRoutes
from lingma_cli.server.threads import Threads
from lingma_cli.server.worker_routes import WorkerRoutes
from lingma_cli.sessions.stored import ResponseStore
from lingma_cli.transforms.counting import count_tokens

Handler = Callable[[Request], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path: its methods, who may use it, and what answers."""

    path: str
    methods: tuple[str, ...]
    tier: Tier
    handler: Handler


def endpoints(house: House, store: ResponseStore | None) -> tuple[Endpoint, ...]:
    """Return the table of all paths; `store` keeps responses, `None` keeps none."""
    views = _Views(house.gateway)
    logins = LoginRoutes(house)
    metrics = MetricRoutes(house.gateway)
    models = ModelRoutes(house.gateway, started=int(house.wall_clock()))
    forwards = ForwardRoutes(house, house.gateway.forwarding)
    threads = Threads(store, new_id=house.new_id, wall_clock=house.wall_clock)
    stateless = [one for one in PROTOCOLS if one is not openai_responses.PROTOCOL]
    return (
        _endpoint("GET", "/healthz", Tier.NONE, views.health),
        _endpoint("GET", "/", Tier.NONE, views.front),
        _endpoint("GET", "/v1/models", Tier.API, models.list),
        _endpoint("GET", "/v1/models/{model:path}", Tier.API, models.one),
        *(
            _endpoint("POST", path, Tier.API, _chat(house, protocol, threads))
            for protocol in stateless
            for path in protocol.paths
        ),
        _endpoint("POST", "/v1/messages/count_tokens", Tier.API, _count_tokens(house)),
        _endpoint("POST", "/v1/completions", Tier.API, forwards.completions),
        _endpoint("POST", "/v1/embeddings", Tier.API, forwards.embeddings),
        *_responses(ResponseRoutes(house, store)),
        *(_conversations(ConversationRoutes(house, store)) if store is not None else ()),
        *_sessions(SessionRoutes(house, store)),
        _endpoint("GET", "/metrics", Tier.METRICS, metrics.metrics),
        *_management(ManagementRoutes(house)),
        *_workers(WorkerRoutes(house)),
        _endpoint("GET", "/internal/stats", Tier.ADMIN, metrics.stats),
        _endpoint("GET", "/internal/auto-login/status", Tier.ADMIN, logins.status),
        _endpoint("POST", "/internal/auto-login/start", Tier.ADMIN, logins.start),
        _endpoint("POST", "/internal/session/export", Tier.ADMIN, logins.export),
    )


def _endpoint(method: str, path: str, tier: Tier, handler: Handler) -> Endpoint:
    return Endpoint(path=path, methods=(method,), tier=tier, handler=handler)


def _responses(routes: ResponseRoutes) -> Iterator[Endpoint]:
    for base in openai_responses.PROTOCOL.paths:
        one = f"{base}/{{response_id}}"
        yield _endpoint("POST", base, Tier.API, routes.create)
        yield _endpoint("GET", one, Tier.API, routes.get)
        yield _endpoint("DELETE", one, Tier.API, routes.delete)
        yield _endpoint("POST", f"{one}/cancel", Tier.API, routes.cancel)
        yield _endpoint("GET", f"{one}/input_items", Tier.API, routes.input_items)


def _conversations(routes: ConversationRoutes) -> Iterator[Endpoint]:
    base = "/v1/conversations"
    one = f"{base}/{{conversation_id}}"
    item = f"{one}/items/{{item_id}}"
    yield _endpoint("POST", base, Tier.API, routes.create)
    yield _endpoint("GET", one, Tier.API, routes.get)
    yield _endpoint("POST", one, Tier.API, routes.update)
    yield _endpoint("DELETE", one, Tier.API, routes.delete)
    yield _endpoint("GET", f"{one}/items", Tier.API, routes.items)
    yield _endpoint("POST", f"{one}/items", Tier.API, routes.add_items)
    yield _endpoint("GET", item, Tier.API, routes.item)
    yield _endpoint("DELETE", item, Tier.API, routes.delete_item)


def _sessions(routes: SessionRoutes) -> Iterator[Endpoint]:
    base = "/sessions"
    one = f"{base}/{{session_id}}"
    yield _endpoint("GET", base, Tier.API, routes.list)
    yield _endpoint("POST", base, Tier.API, routes.create)
    yield _endpoint("POST", f"{base}/cleanup", Tier.API, routes.cleanup)
    yield _endpoint("GET", one, Tier.API, routes.get)
    yield _endpoint("DELETE", one, Tier.API, routes.delete)
    yield _endpoint("POST", f"{one}/clear", Tier.API, routes.clear)
    yield _endpoint("PATCH", f"{one}/title", Tier.API, routes.rename)


def _management(routes: ManagementRoutes) -> Iterator[Endpoint]:
    one = f"{BASE}/engines/{{engine_id}}"
    for method, path, handler in (
        ("GET", BASE, routes.map),
        ("GET", f"{BASE}/engines", routes.engines),
        ("POST", f"{BASE}/engines", routes.start),
        ("POST", f"{BASE}/engines/start", routes.start),
        ("POST", f"{BASE}/engines/register", routes.register),
        ("POST", f"{BASE}/engines/prune", routes.prune),
        ("DELETE", one, routes.stop),
        ("POST", f"{one}/stop", routes.stop),
        ("POST", f"{one}/drain", routes.drain),
        ("POST", f"{one}/restart", routes.restart),
        ("GET", f"{one}/logs", routes.logs),
        ("GET", f"{BASE}/backends", routes.backends),
        ("GET", f"{BASE}/gpu", routes.gpu),
        ("GET", f"{BASE}/status", routes.status),
        ("POST", f"{BASE}/thaw", routes.thaw),
        ("GET", "/internal/models/raw", routes.raw_models),
    ):
        yield _endpoint(method, path, Tier.ADMIN, handler)


def _workers(routes: WorkerRoutes) -> Iterator[Endpoint]:
    one = "/workers/{worker_id}"
    for method, path, handler in (
        ("GET", "/workers", routes.list),
        ("POST", "/workers", routes.add),
        ("GET", one, routes.get),
        ("PUT", one, routes.change),
        ("DELETE", one, routes.remove),
        ("POST", "/add_worker", routes.add_by_url),
        ("GET", "/list_workers", routes.urls),
        ("POST", "/remove_worker", routes.remove_by_url),
    ):
        yield _endpoint(method, path, Tier.ADMIN, handler)


def _chat(house: House, protocol: WireProtocol, threads: Threads) -> Handler:
    async def chat(request: Request) -> ASGIApp:
        body = await read_body(request.scope, request.receive, house.body_limit)
        caller = caller_of(request)
        turn = await threads.turn(protocol.parse(body), caller)
        envelope = Envelope(
            protocol=protocol,
            request=turn.request,
            response_id=house.new_id(),
            created=int(house.wall_clock()),
            remember=turn.remember,
        )
        return ExchangeResponse(
            lambda: turn.within(
                house.gateway.open(
                    turn.request,
                    request_id=request.scope["state"]["request_id"],
                    protocol=protocol.name,
                    caller=caller,
                    headers=request.headers,
                )
            ),
            envelope,
            house.patience,
        )

    return chat


def _count_tokens(house: House) -> Handler:
    async def count(request: Request) -> ASGIApp:
        body = await read_body(request.scope, request.receive, house.body_limit)
        parsed = anthropic_messages.PROTOCOL.parse(body)
        return json_app({"input_tokens": count_tokens(parsed)})

    return count


class _Views:
    """Answers that only look."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def front(self, _: Request) -> ASGIApp:
        """Answer the probe that clients send to see whether somebody is there."""
        return json_app({"name": "lingma", "ok": True})

    async def health(self, _: Request) -> ASGIApp:
        slots = self._gateway.registry.slots
        ready = sum(slot.state is EngineState.READY for slot in slots)
        instances = [{"name": slot.engine.name, "state": slot.state.value} for slot in slots]
        return json_app(
            {"ok": True, "pool_size": len(slots), "pool_ready": ready, "instances": instances}
        )
