"""What `cancel` tells of a response is what becomes of it, whenever the cancel comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Scope

from lingma_cli.control.logins import Logins
from lingma_cli.core.events import BlockDelta, BlockKind, Finished, FinishReason
from lingma_cli.core.ids import random_hex
from lingma_cli.server.exchange_response import Patience
from lingma_cli.server.house import House
from lingma_cli.server.response_routes import ResponseRoutes
from lingma_cli.sessions.memory import MemoryStore
from lingma_cli.sessions.stored import Json, StoredResponse
from tests.support import house
from tests.support.fleets import idle_fleet
from tests.support.scripted_engine import SILENCE, Script, ScriptedEngine
from tests.support.stores import ROOMY, Clock
from tests.support.virtual_time import run, settle

TEXT = BlockDelta(kind=BlockKind.TEXT, text="hello")
STOP = Finished(reason=FinishReason.STOP)
OWNER = "ann"


class GatedStore(MemoryStore):
    """A store that saves when its gate is open."""

    def __init__(self) -> None:
        super().__init__(ROOMY, Clock())
        self.gate = asyncio.Event()

    async def save(self, response: StoredResponse, conversation_items: Sequence[Json] = ()) -> None:
        """Wait at the gate, then store."""
        await self.gate.wait()
        await super().save(response, conversation_items)


class Scene:
    """One streamed response and its client, who reads on only while `reads` is set."""

    def __init__(self, script: Script) -> None:
        self.store = GatedStore()
        self.reads = asyncio.Event()
        self.reads.set()
        self._seen = b""
        gateway = house.House(ScriptedEngine(script)).gateway
        self._routes = ResponseRoutes(
            House(
                gateway=gateway,
                fleet=idle_fleet(gateway.registry),
                logins=Logins(gateway.registry, [], max_retry=0, on_trouble=lambda _: None),
                body_limit=1000,
                new_id=random_hex,
                wall_clock=Clock(),
                patience=Patience(stall_timeout=60.0),
            ),
            self.store,
        )

    async def stream(self) -> None:
        """Ask, and take what comes."""
        request = _request(json.dumps({"input": "hi", "stream": True}).encode())
        app = await self._routes.create(request)
        await app(request.scope, request.receive, self._take)

    async def _take(self, message: Message) -> None:
        self._seen += message.get("body", b"")
        if self._seen:
            await self.reads.wait()

    @property
    def told(self) -> dict[str, Any]:
        """The last response object that was sent."""
        data = [line[6:] for line in self._seen.splitlines() if line.startswith(b"data: {")]
        whole = [told for one in data if "response" in (told := json.loads(one))]
        found: dict[str, Any] = whole[-1]["response"]
        return found

    async def cancel(self) -> dict[str, Any]:
        """Cancel it, and return what is told of it."""
        return await self._asked(await self._routes.cancel(_request(id_=self.told["id"])))

    async def get(self) -> dict[str, Any]:
        """Return what is stored of it."""
        return await self._asked(await self._routes.get(_request(id_=self.told["id"])))

    async def _asked(self, app: ASGIApp) -> dict[str, Any]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        request = _request()
        await app(request.scope, request.receive, send)
        body: dict[str, Any] = json.loads(sent[-1]["body"])
        return body


def _request(body: bytes = b"", *, id_: str = "") -> Request:
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/responses",
        "headers": [],
        "path_params": {"response_id": id_},
        "state": {"caller": OWNER, "request_id": "r1"},
    }
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    return Request(scope, receive)


def test_a_response_under_way() -> None:
    """It is cancelled, in the stream, in the answer and in the store, which has it by then."""

    async def main() -> tuple[dict[str, Any], ...]:
        scene = Scene([[TEXT], SILENCE])
        scene.store.gate.set()
        stream = asyncio.create_task(scene.stream())
        await settle()
        cancelled = await scene.cancel()
        stored = await scene.get()
        await stream
        return cancelled, stored, scene.told

    cancelled, stored, told = run(main())

    assert cancelled["status"] == "cancelled"
    assert cancelled == stored == told


def test_a_response_that_has_just_ended() -> None:
    """Whole, though not yet stored and told, it is not called cancelled."""

    async def main() -> tuple[dict[str, Any], ...]:
        scene = Scene([[TEXT], [STOP]])
        stream = asyncio.create_task(scene.stream())
        await settle()
        cancel = asyncio.create_task(scene.cancel())
        await settle()
        scene.store.gate.set()
        cancelled = await cancel
        await stream
        return cancelled, await scene.get(), scene.told

    cancelled, stored, told = run(main())

    assert told["status"] == "completed"
    assert cancelled == stored == told


def test_a_client_that_does_not_read() -> None:
    """It does not hold up whoever cancels."""

    async def main() -> tuple[dict[str, Any], float]:
        scene = Scene([[TEXT], SILENCE])
        scene.store.gate.set()
        scene.reads.clear()
        stream = asyncio.create_task(scene.stream())
        await settle()
        began = asyncio.get_running_loop().time()
        cancelled = await scene.cancel()
        took = asyncio.get_running_loop().time() - began
        scene.reads.set()
        await stream
        return cancelled, took

    cancelled, took = run(main())

    assert (cancelled["status"], took < 10) == ("cancelled", True)
