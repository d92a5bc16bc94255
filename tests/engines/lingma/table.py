"""One ask over a real connection whose other end is the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from lingma_cli.core.chat import ChatRequest, ToolOutputPart
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent, Failed, Finished
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.lingma import jsonrpc
from lingma_cli.engines.lingma.ask import AskTimeouts, LingmaAsk
from lingma_cli.engines.lingma.link import DEFERRED, Link
from lingma_cli.engines.lingma.prompt import AgentWords
from lingma_cli.engines.lingma.pushes import chat_push, tool_push
from tests.engines.lingma.test_link import LIMIT, Json, Peer, listening
from tests.support.playbook import Line, transcript
from tests.support.tool_turns import QUESTION

T = TypeVar("T")
STREAM = replace(QUESTION, stream=True)


class Table:
    """An ask of ours, and the binary's end of its connection."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.ask: LingmaAsk
        self.link: Link
        self._id = 100

    def hear(self, call: jsonrpc.Call) -> object:
        """Route as the engine does."""
        if call.method.startswith("chat/"):
            self.ask.hear(call.method, chat_push(call.params))
            return None
        self.ask.hear_tool(call.method, tool_push(call.params), call.id)
        return DEFERRED if call.method == "tool/invoke" else None

    async def push(self, method: str, **params: Any) -> int:
        """Send a request of the binary and return its id."""
        self._id += 1
        params = {"requestId": self.ask.request_id, **params}
        message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        await self.peer.send(message)
        return self._id

    async def say(self, text: str) -> None:
        """Send a piece of the answer."""
        await self.push("chat/answer", text=text)

    async def invoke(
        self, tool_id: str = "t", name: str = "Read", *, is_async: bool = True, **more: Any
    ) -> int:
        """Want a tool run, asynchronously unless told otherwise."""
        return await self.push(
            "tool/invoke", toolCallId=tool_id, **{"name": name, "async": is_async} | more
        )

    async def sync(self, status: str = "PENDING", tool_id: str = "t", **more: Any) -> None:
        """Tell a call's state."""
        await self.push("tool/call/sync", toolCallId=tool_id, toolCallStatus=status, **more)

    async def heard(self, *methods: str) -> Json:
        """Return the next request of one of `methods`."""
        while (message := await self.peer.receive()).get("method") not in methods:
            pass
        return message

    async def response(self, id_: int) -> Any:
        """Return the result of a request of the binary's."""
        while (message := await self.peer.receive()).get("id") != id_ or "method" in message:
            pass
        return message["result"]

    async def read(self, marker: str = "read") -> None:
        """Wait until our end has read everything that was sent to it."""
        await self.response(await self.push("chat/answer", text="", extra=marker))

    async def turn(self) -> Sequence[ChatEvent]:
        """Return the events up to an end."""
        events: list[ChatEvent] = []
        while not events or not isinstance(events[-1], Finished | Failed):
            batch = await self.ask.next_batch()
            assert batch
            events += batch
        return events

    async def lines(self) -> list[Line]:
        """Return a turn's events as lines."""
        return transcript(list(await self.turn()))

    async def called(self) -> dict[str, str]:
        """Return the ids of a turn's calls, by name."""
        answer = Collector()
        answer.feed(await self.turn())
        return {block.name: block.call_id for block in answer.blocks if block.name}

    def resume(self, results: Mapping[str, str], request: ChatRequest = STREAM) -> None:
        """Bring results."""
        given = {id_: ToolOutputPart(call_id=id_, text=text) for id_, text in results.items()}
        self.ask.resume(request, given)


def at_table(
    play: Callable[[Table], Awaitable[T]],
    request: ChatRequest = STREAM,
    *,
    first_event: float = LIMIT,
    idle: float = LIMIT,
) -> T:
    """Ask, and let `play` be both the binary and the client; then leave."""

    async def main() -> T:
        arrived: asyncio.Future[Peer] = asyncio.get_running_loop().create_future()

        async def greet(peer: Peer) -> None:
            arrived.set_result(peer)

        async with listening(greet) as port, asyncio.timeout(LIMIT):
            tables: list[Table] = []

            def hear(call: Any) -> Any:
                return tables[0].hear(call)

            _, link = await asyncio.get_running_loop().create_connection(
                lambda: Link(path="/", port=port, headers={}, on_call=hear),
                "127.0.0.1",
                port,
            )
            await link.opened
            tables.append(Table(await arrived))
            try:
                return await play(_seated(tables[0], link, request, first_event, idle))
            finally:
                await link.close()

    return asyncio.run(main())


def _seated(
    table: Table, link: Link, request: ChatRequest, first_event: float, idle: float
) -> Table:
    table.link = link
    table.ask = LingmaAsk(
        link,
        request,
        request_id="R",
        session_id="S",
        new_id=random_hex,
        images={},
        agent=AgentWords(session_type="ask", chat_task="chat", mode="agent"),
        timeouts=AskTimeouts(first_event=first_event, idle=idle),
    )
    table.ask.send()
    return table
