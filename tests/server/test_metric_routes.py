"""`/metrics`: the gateway's own values, as text or as JSON."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.requests import Request

from lingma_cli.core.events import BlockDelta, BlockKind, Finished, FinishReason
from lingma_cli.core.record import Attempt, Record, Reuse, ReuseReason
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.records import RecordKeeper
from lingma_cli.server.metric_routes import MetricRoutes, last_turns, session_values, snapshot
from tests.metrics.support import samples
from tests.support.house import House
from tests.support.scripted_engine import ScriptedEngine
from tests.support.virtual_time import run

TEXT = BlockDelta(kind=BlockKind.TEXT, text="a" * 8)
STOP = Finished(reason=FinishReason.STOP)


async def _get(routes: MetricRoutes, accept: str = "", query: str = "") -> tuple[str, bytes]:
    """Return content type and body of a GET."""
    headers = [(b"accept", accept.encode())] if accept else []
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "query_string": query.encode(),
        "headers": headers,
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.get_running_loop().create_future()

    answer = await routes.metrics(Request(scope))
    await answer(scope, receive, send)
    return dict(sent[0]["headers"])[b"content-type"].decode(), sent[1]["body"]


@pytest.mark.parametrize(
    ("accept", "query", "is_json"),
    [
        ("", "", False),
        ("*/*", "", False),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1", "", False),
        ("text/plain, application/json", "", False),
        ("application/json", "", True),
        ("Application/JSON; charset=utf-8", "", True),
        ("text/plain", "format=json", True),
        ("*/*", "format=text", False),
    ],
)
def test_json_is_given_to_those_who_ask(accept: str, query: str, is_json: bool) -> None:
    """By the header or in the address; scrapers get text."""

    async def main() -> tuple[str, bytes]:
        return await _get(MetricRoutes(House(ScriptedEngine()).gateway), accept, query)

    content_type, body = run(main())

    assert content_type.startswith("application/json" if is_json else "text/plain; version=0.0.4")
    if is_json:
        assert json.loads(body)["router"]["worker_loads"] == {"scripted": 0}
    else:
        assert samples(body)["gateway_in_flight", frozenset()] == 0


def test_what_an_answer_leaves() -> None:
    """One answer of three batches is one exchange, one first token, two gaps."""

    async def main() -> bytes:
        house = House(ScriptedEngine([[TEXT], [TEXT], [STOP]]))
        await house.ask()
        return (await _get(MetricRoutes(house.gateway)))[1]

    found = samples(run(main()))
    protocol = frozenset({("protocol", "openai_chat")})

    assert found["gateway_chat_requests_success", frozenset()] == 1
    assert found["gateway_first_token_seconds_count", protocol] == 1
    assert found["gateway_chunk_gap_seconds_count", protocol] == 2
    assert found["gateway_request_seconds_count", protocol] == 1
    assert found["gateway_model_requests_total", frozenset({("model", "org_auto")})] == 1


def test_what_is_seen_of_the_gateway() -> None:
    """Who is inside, and how each engine is."""

    async def main() -> None:
        house = House(ScriptedEngine(name="one"), ScriptedEngine(name="two"))
        one, two = house.registry.slots
        for _ in range(20):
            house.registry.heard(two, LingmaError(ErrorKind.ENGINE_FAILED, "x"))
        house.registry.heard(two, LingmaError(ErrorKind.QUOTA_EXCEEDED, "x", retry_after=30))
        async with house.admission.ticket():
            with house.registry.lease():
                seen = snapshot(house.gateway)
        assert (seen.in_flight, seen.limit, seen.parked) == (1, 2, 0)
        assert [(engine.name, engine.in_flight) for engine in seen.engines] == [
            ("one", 1),
            ("two", 0),
        ]
        assert [engine.breaker for engine in seen.engines] == ["closed", "open"]
        assert seen.engines[0].cooldown == 0 < seen.engines[1].cooldown
        assert (one.generation, seen.engines[0].generation, seen.engines[0].is_ready) == (1, 1, 1)

    run(main())


def _record(reuse: Reuse) -> Record:
    keeper = RecordKeeper("req-1", caller="key-1", protocol="openai_chat", clock=lambda: 0.0)
    keeper.model, keeper.reuse = "org_auto", reuse
    keeper.attempts.append(Attempt(engine="inst-0", generation=1))
    return keeper.finish("stop", (), None)


def test_hits_and_misses() -> None:
    """Turns that never looked for a session are neither."""

    async def main() -> None:
        reuse = House(ScriptedEngine()).gateway.reuse
        for reason in ReuseReason:
            reuse.note(_record(Reuse(reason=reason)))
        values = session_values(reuse)
        hits = [reason for reason in ReuseReason if Reuse(reason=reason).is_hit]
        assert values.hits == len(hits) > 0
        assert 0 < values.misses < len(ReuseReason) - len(hits)
        assert values.reasons == {reason.name.lower(): 1 for reason in ReuseReason}

    run(main())


def test_the_last_turns() -> None:
    """Each with its reason, and the first message that is unlike what is known."""

    async def main() -> None:
        reuse = House(ScriptedEngine()).gateway.reuse
        reuse.note(_record(Reuse(reason=ReuseReason.DIFFERS, message=4, role="user")))
        reuse.note(_record(Reuse(reason=ReuseReason.CONTINUED)))
        known = {"request_id": "req-1", "model": "org_auto", "engine": "inst-0"}
        differs = {
            "reused": False,
            "reason": "differs",
            "message": 4,
            "role": "user",
            "told": "new session: the first message unlike what is known: messages[4] (user)",
        }
        continued = {
            "reused": True,
            "reason": "continued",
            "message": None,
            "role": None,
            "told": "reused: the conversation is known",
        }
        assert last_turns(reuse) == [known | differs, known | continued]

    run(main())
