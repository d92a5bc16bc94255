"""Native tool calls of one stream: announced, invoked, waited for, ended.

Source: Lingma local protocol, sections 4.7 and 5. Owns the order of tool messages; who answers
what is the business of `tooldesk`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from lingma_cli.demo import answers, rpc
from lingma_cli.demo.answers import Ask
from lingma_cli.demo.directives import Directives
from lingma_cli.demo.outcomes import Outcome
from lingma_cli.demo.script import Push, Script
from lingma_cli.demo.toolcalls import ToolCall
from lingma_cli.demo.tooldesk import Pending, ToolDesk
from lingma_cli.demo.toolpushes import Tool

SYNC = "tool/call/sync"
_ANNOUNCED = frozenset({"sync-first", "sync-only", "marker", "marker-only"})
_INVOKED = frozenset({"sync-first", "invoke-first", "invoke-only", "marker"})

Send = Callable[[Push], Awaitable[None]]
Demand = Callable[[str, object, Callable[[rpc.Answer], None], float | None], None]


class Rounds:
    """The rounds of one stream, one at a time.

    Args:
        send: sends a push of the stream.
        demand: sends a request whose answer is wanted, within so many seconds.
    """

    def __init__(
        self,
        ask: Ask,
        wish: Directives,
        script: Script,
        *,
        desk: ToolDesk,
        send: Send,
        demand: Demand,
    ) -> None:
        self._ask = ask
        self._wish = wish
        self._script = script
        self._desk = desk
        self._send = send
        self._demand = demand
        self._open: list[tuple[Tool, Pending]] = []
        self._count = 0
        self.results: list[dict[str, object]] = []

    async def begin(self, calls: Sequence[ToolCall]) -> None:
        """Announce and invoke every call of a step; waits for approvals, not for results."""
        order = self._wish.order
        self._count += 1
        self._open = [self._make(call, number) for number, call in enumerate(calls, 1)]
        for tool, _ in self._open:
            if order.startswith("marker"):
                for piece in answers.deltas(tool.marker(), self._wish):
                    await self._send(self._script.answer(piece))
            if order in _ANNOUNCED:
                await self._announce(tool)
        for number, (tool, pending) in enumerate(self._open):
            if number and self._wish.gap:
                await asyncio.sleep(self._wish.gap)
            await self._start(tool, pending)

    async def wait(self) -> list[Outcome]:
        """Wait for the results in any order, end the calls and return what came of them."""
        waiting = [self._outcome(*one) for one in self._open]
        for next_one in asyncio.as_completed(waiting):
            await self._end(*await next_one)
        outcomes = [pending.outcome.result() for _, pending in self._open]
        if self._wish.states == "all" and self._wish.order != "invoke-only":
            for tool, _ in self._open:
                await self._sync(tool.sync("REQUEST_FINISHED"))
        self._open.clear()
        return outcomes

    def cancelled(self) -> list[Push]:
        """Forget the calls that wait, and return the pushes that tell so."""
        cancelled = [
            Push(method=SYNC, params=tool.sync("CANCELLED"))
            for tool, pending in self._open
            if not pending.outcome.done()
        ]
        for _, pending in self._open:
            self._desk.close(pending)
        self._open.clear()
        return [] if self._wish.order == "invoke-only" else cancelled

    def _make(self, call: ToolCall, number: int) -> tuple[Tool, Pending]:
        order = self._wish.order
        named = "none" if order.startswith("marker") else self._wish.named
        tool_id = call.id or f"call-{self._ask.request_id}-{self._count}-{number}"
        tool = Tool(ask=self._ask, id=tool_id, call=call, named=named)
        pending = Pending(self._ask.request_id, tool_id, call.name, self._wish.tool_acks)
        self._desk.open(pending)
        return tool, pending

    async def _announce(self, tool: Tool) -> None:
        if self._wish.states == "all":
            await self._sync(tool.sync("INIT"))
        await self._sync(tool.sync("PENDING"))

    async def _start(self, tool: Tool, pending: Pending) -> None:
        order = self._wish.order
        if order in _ANNOUNCED:
            await self._approval(pending)
            if pending.outcome.done():
                return
            await self._sync(tool.sync("RUNNING"))
        if order in _INVOKED and not pending.outcome.done():
            self._invoke(tool, pending)
        if order == "invoke-first":
            await self._announce(tool)
            await self._sync(tool.sync("RUNNING"))
        if order == "upstream":
            await self._sync(tool.sync("RUNNING"))
            result = {"content": f"{tool.call.name} ran upstream"}
            pending.settle(Outcome(name=pending.name, ending="upstream", result=result))

    async def _approval(self, pending: Pending) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(pending.approved), self._wish.tool_wait)
        except TimeoutError:
            pending.settle(Outcome(name=pending.name, ending="overdue"))

    def _invoke(self, tool: Tool, pending: Pending) -> None:
        asynchronous = self._wish.invoke == "async"
        pending.takes_results = asynchronous

        def take(answer: rpc.Answer) -> None:
            self._desk.invoked(pending, answer, asynchronous=asynchronous)

        patience = None if asynchronous else self._wish.tool_wait
        self._demand("tool/invoke", tool.invoke(asynchronous=asynchronous), take, patience)

    async def _outcome(self, tool: Tool, pending: Pending) -> tuple[Tool, Pending]:
        try:
            await asyncio.wait_for(asyncio.shield(pending.outcome), self._wish.tool_wait)
        except TimeoutError:
            pending.settle(Outcome(name=pending.name, ending="overdue"))
        return tool, pending

    async def _end(self, tool: Tool, pending: Pending) -> None:
        ended = tool.ended(pending.outcome.result())
        self.results.append(ended)
        if self._wish.order != "invoke-only":
            await self._sync(ended)
        self._desk.close(pending)

    async def _sync(self, params: dict[str, object]) -> None:
        for _ in range(2 if self._wish.states == "twice" else 1):
            await self._send(Push(method=SYNC, params=params))
