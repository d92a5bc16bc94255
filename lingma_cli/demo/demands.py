"""Requests of the binary to its client (sections 4.7 and 4.8), to see what comes back.

Owns their params and the waiting for answers; the answer ends as text in the stream.
"""

import asyncio
from collections.abc import Callable

from lingma_cli.demo import rpc
from lingma_cli.demo.answers import Ask
from lingma_cli.demo.connection import Connection
from lingma_cli.demo.journal import compact
from lingma_cli.demo.script import Demand


def build(name: str, ask: Ask) -> tuple[str, dict[str, object]]:
    """Return method and params of a demand."""
    match name:
        case "config":
            items = [{"section": "lingma"}, {"section": "editor"}, {"section": "files"}]
            return "workspace/configuration", {"items": items}
        case "register":
            registration = {"id": "demo", "method": "workspace/didChangeWatchedFiles"}
            return "client/registerCapability", {"registrations": [registration]}
        case "log":
            return "window/logMessage", {"type": 3, "message": "the simulator says hello"}
        case "edit":
            return "workspace/applyEdit", {"edit": {"changes": {}}}
        case "sync":
            return "tool/call/sync", _sync(ask)
        case _:
            return "tool/invoke", {
                "requestId": ask.request_id,
                "toolCallId": tool_call_id(ask),
                "name": "read_file",
                "parameters": {"file_path": "a.txt"},
                "async": name == "tool-async",
            }


def tool_call_id(ask: Ask) -> str:
    """Return the id of the ask's only tool call."""
    return f"call-{ask.request_id}"


def _sync(ask: Ask) -> dict[str, object]:
    return {
        "sessionId": ask.session_id,
        "requestId": ask.request_id,
        "projectPath": "",
        "toolCallId": tool_call_id(ask),
        "toolCallStatus": "PENDING",
        "parameters": {"file_path": "a.txt"},
        "results": [],
        "errorCode": "",
        "errorMsg": "",
    }


class Waits:
    """Tool messages of the client that a stream waits for, by method and tool call id."""

    def __init__(self) -> None:
        self._futures: dict[tuple[str, str], asyncio.Future[object]] = {}

    def expect(self, method: str, call_id: str) -> asyncio.Future[object]:
        """Return the future that the message will fill."""
        future = asyncio.get_running_loop().create_future()
        self._futures[method, call_id] = future
        return future

    def deliver(self, method: str, params: rpc.Params) -> None:
        """Fill the future that waits for this message, if one does."""
        future = self._futures.pop((method, str(params.get("toolCallId"))), None)
        if future is not None and not future.done():
            future.set_result(params)


Note = Callable[..., None]


async def perform(
    demand: Demand, ask: Ask, connection: Connection, waits: Waits, note: Note
) -> str:
    """Send a demand, wait for what comes back and return the sentence that quotes it."""
    method, params = build(demand.name, ask)
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    second = {"tool-async": "tool/invokeResult", "sync": "tool/call/approve"}.get(demand.name)
    later = waits.expect(second, tool_call_id(ask)) if second else None
    connection.push(method, params, on_reply=lambda got: _keep(reply, got), demand=True)
    answer = await _within(reply, demand.wait)
    note("demand-answer", method=method, answer=answer)
    settled = demand.name == "tool-async" and answer not in {"null", "{}"}  # refused at once
    sentence = f"{method} got: {answer}\n"
    if second and later is not None and not settled:
        followed = await _within(later, demand.wait)
        note("demand-answer", method=second, answer=followed)
        sentence += f"{second} got: {followed}\n"
    return sentence


def _keep(future: asyncio.Future[object], got: rpc.Answer) -> None:
    if not future.done():
        future.set_result({"error": got.payload} if got.is_error else got.payload)


async def _within(future: asyncio.Future[object], seconds: float) -> str:
    try:
        return compact(await asyncio.wait_for(future, seconds))
    except TimeoutError:
        return "nothing"
