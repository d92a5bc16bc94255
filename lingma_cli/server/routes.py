"""Every path that is served, with who may use it: the table and its handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from lingma_cli.auth.keys import Tier
from lingma_cli.control.registry import EngineState
from lingma_cli.core.chat import Model
from lingma_cli.gateway.gateway import Gateway
from lingma_cli.protocols.registry import PROTOCOLS
from lingma_cli.protocols.wire import WireProtocol
from lingma_cli.server.bodies import read_body
from lingma_cli.server.exchange_response import Envelope, ExchangeResponse
from lingma_cli.server.replies import send_body, send_json

Handler = Callable[[Request], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One path: its methods, who may use it, and what answers."""

    path: str
    methods: tuple[str, ...]
    tier: Tier
    handler: Handler


def endpoints(
    gateway: Gateway, body_limit: int, wall_clock: Callable[[], float]
) -> tuple[Endpoint, ...]:
    """Return the table of all paths; `body_limit` is bytes, `wall_clock` gives epoch seconds."""
    views = _Views(gateway, started=int(wall_clock()))
    return (
        Endpoint(path="/healthz", methods=("GET",), tier=Tier.NONE, handler=views.health),
        Endpoint(path="/v1/models", methods=("GET",), tier=Tier.API, handler=views.models),
        *(
            Endpoint(
                path=path,
                methods=("POST",),
                tier=Tier.API,
                handler=_chat(gateway, protocol, body_limit, wall_clock),
            )
            for protocol in PROTOCOLS
            for path in protocol.paths
        ),
        Endpoint(path="/metrics", methods=("GET",), tier=Tier.METRICS, handler=views.metrics),
        Endpoint(path="/internal/stats", methods=("GET",), tier=Tier.ADMIN, handler=views.stats),
    )


def _chat(
    gateway: Gateway, protocol: WireProtocol, body_limit: int, wall_clock: Callable[[], float]
) -> Handler:
    async def chat(request: Request) -> ASGIApp:
        body = await read_body(request.scope, request.receive, body_limit)
        parsed = protocol.parse(body)
        state = request.scope["state"]
        request_id: str = state["request_id"]
        return ExchangeResponse(
            lambda: gateway.open(
                parsed, request_id=request_id, protocol=protocol.name, caller=state["caller"]
            ),
            Envelope(
                protocol=protocol,
                request=parsed,
                response_id=request_id,
                created=int(wall_clock()),
            ),
        )

    return chat


class _Views:
    """Answers that only look."""

    def __init__(self, gateway: Gateway, *, started: int) -> None:
        self._gateway = gateway
        self._started = started

    async def health(self, _: Request) -> ASGIApp:
        slots = self._gateway.registry.slots
        ready = sum(slot.state is EngineState.READY for slot in slots)
        instances = [{"name": slot.engine.name, "state": slot.state.value} for slot in slots]
        return _json(
            {"ok": True, "pool_size": len(slots), "pool_ready": ready, "instances": instances}
        )

    async def models(self, _: Request) -> ASGIApp:
        models = await self._gateway.models()
        return _json({"object": "list", "data": [self._model(model) for model in models]})

    def _model(self, model: Model) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "id": model.key,
            "object": "model",
            "created": self._started,
            "owned_by": "lingma",
            "name": model.name,
        }
        entry["capabilities"] = {"vision": model.vision, "reasoning": model.reasoning}
        if model.context_tokens:
            # Clients look for one name or the other.
            entry |= {
                "context_length": model.context_tokens,
                "context_window": model.context_tokens,
            }
        return entry

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
            }
            for slot in gateway.registry.slots
        ]
        return _json(
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


def _json(value: Any) -> ASGIApp:
    async def reply(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send_json(send, 200, msgspec.json.encode(value))

    return reply


def _text(value: str) -> ASGIApp:
    async def reply(_scope: Scope, _receive: Receive, send: Send) -> None:
        content_type = b"text/plain; version=0.0.4; charset=utf-8"
        await send_body(send, 200, value.encode(), content_type)

    return reply
