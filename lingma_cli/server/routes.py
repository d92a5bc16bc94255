"""Every path that is served, with who may use it: the table and its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.auth.keys import Tier
from lingma_cli.control.registry import EngineState
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.protocols import anthropic_messages, openai_responses
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.protocols.wire import WireProtocol
from lingma_cli.server.bodies import read_body
from lingma_cli.server.conversation_routes import ConversationRoutes
from lingma_cli.server.exchange_response import Envelope, ExchangeResponse
from lingma_cli.server.house import House
from lingma_cli.server.login_routes import LoginRoutes
from lingma_cli.server.model_routes import ModelRoutes
from lingma_cli.server.replies import json_app, send_body
from lingma_cli.server.response_routes import ResponseRoutes
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
    logins = LoginRoutes(house.logins)
    models = ModelRoutes(house.gateway, started=int(house.wall_clock()))
    stateless = [one for one in PROTOCOLS if one is not openai_responses.PROTOCOL]
    return (
        _endpoint("GET", "/healthz", Tier.NONE, views.health),
        _endpoint("GET", "/", Tier.NONE, views.front),
        _endpoint("GET", "/v1/models", Tier.API, models.list),
        _endpoint("GET", "/v1/models/{model:path}", Tier.API, models.one),
        *(
            _endpoint("POST", path, Tier.API, _chat(house, protocol))
            for protocol in stateless
            for path in protocol.paths
        ),
        _endpoint("POST", "/v1/messages/count_tokens", Tier.API, _count_tokens(house)),
        *_responses(ResponseRoutes(house, store)),
        *(_conversations(ConversationRoutes(house, store)) if store is not None else ()),
        _endpoint("GET", "/metrics", Tier.METRICS, views.metrics),
        _endpoint("GET", "/internal/stats", Tier.ADMIN, views.stats),
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


def _chat(house: House, protocol: WireProtocol) -> Handler:
    async def chat(request: Request) -> ASGIApp:
        body = await read_body(request.scope, request.receive, house.body_limit)
        parsed = protocol.parse(body)
        state = request.scope["state"]
        envelope = Envelope(
            protocol=protocol,
            request=parsed,
            response_id=house.new_id(),
            created=int(house.wall_clock()),
        )
        return ExchangeResponse(
            lambda: house.gateway.open(
                parsed,
                request_id=state["request_id"],
                protocol=protocol.name,
                caller=state["caller"],
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

    async def stats(self, _: Request) -> ASGIApp:
        gateway = self._gateway
        admission, totals = gateway.admission, gateway.totals
        pool = [
            {
                "name": slot.engine.name,
                "state": slot.state.value,
                "generation": slot.generation,
                "in_flight": slot.in_flight,
                "last_error": slot.last_error.message if slot.last_error else None,
                "account": slot.account or None,
                "login": slot.engine.login.value,
            }
            for slot in gateway.registry.slots
        ]
        return json_app(
            {
                "stats": {
                    "requests_total": totals.requests,
                    "success_total": totals.success,
                    "error_total": totals.error,
                    "cancelled_total": totals.cancelled,
                    "tokens_estimated_total": totals.tokens_estimated,
                },
                "concurrency": {
                    "in_flight": admission.in_flight,
                    "queued": admission.queued,
                    "rejected_total": admission.rejected_total,
                    "limit": max(admission.limits.max_in_flight, 0),
                },
                "pool": pool,
            }
        )

    async def metrics(self, _: Request) -> ASGIApp:
        gateway = self._gateway
        admission, totals = gateway.admission, gateway.totals
        values = {
            ("gateway_in_flight", "gauge"): admission.in_flight,
            ("gateway_queued", "gauge"): admission.queued,
            ("gateway_rejected_total", "counter"): admission.rejected_total,
            ("gateway_chat_requests_total", "counter"): totals.requests,
            ("gateway_chat_requests_success", "counter"): totals.success,
            ("gateway_chat_requests_error", "counter"): totals.error,
            ("gateway_total_tokens_estimated", "counter"): totals.tokens_estimated,
        }
        lines = [
            f"# TYPE {name} {kind}\n{name} {value}\n" for (name, kind), value in values.items()
        ]
        for index, slot in enumerate(gateway.registry.slots):
            labels = f'{{name="{slot.engine.name}",idx="{index}"}}'
            ready = int(slot.state is EngineState.READY)
            lines.append(f"gateway_pool_instance_ready{labels} {ready}\n")
            lines.append(f"gateway_pool_instance_in_flight{labels} {slot.in_flight}\n")
        return _text("".join(lines))


def _text(value: str) -> ASGIApp:
    async def reply(_scope: Scope, _receive: Receive, send: Send) -> None:
        content_type = b"text/plain; version=0.0.4; charset=utf-8"
        await send_body(send, 200, value.encode(), content_type)

    return reply
