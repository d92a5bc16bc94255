"""Requests of the binary to its client."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.demo.client import Demo, running, talking

REFUSED = {"toolCallId": "call-R", "name": "read_file", "success": False, "errorMessage": "no"}


def quoted(demo: Demo, directive: str, answers: dict[str, Any]) -> str:
    """Ask with answers prepared by method, and return the text."""

    async def exchange() -> str:
        async with talking(demo) as client:
            client.answers |= answers
            return (await client.ask(f'[[demo: say="." {directive}]]')).text

    return asyncio.run(exchange())


@pytest.mark.parametrize(
    ("name", "method", "answer"),
    [
        ("config", "workspace/configuration", [None, None, None]),
        ("register", "client/registerCapability", None),
        ("log", "window/logMessage", None),
        ("edit", "workspace/applyEdit", {"applied": False}),
        ("tool", "tool/invoke", REFUSED),
    ],
)
def test_the_stream_quotes_what_the_client_answers(
    demo: Demo, name: str, method: str, answer: object
) -> None:
    """People and tests see how every request of the binary was answered."""
    text = quoted(demo, f"demand={name}", {method: answer})

    assert text == f"{method} got: {json.dumps(answer)}\n."


def test_the_journal_keeps_the_answers(tmp_path: Path) -> None:
    """A test can prove that every tool call was refused."""
    with running(tmp_path) as demo:
        quoted(demo, "demand=tool", {"tool/invoke": REFUSED})
        note = demo.note("demand-answer")

    assert (note["method"], json.loads(note["answer"])) == ("tool/invoke", REFUSED)


def test_an_asynchronous_tool_waits_for_its_result(demo: Demo) -> None:
    """The acknowledgement comes first, tool/invokeResult later."""

    async def exchange() -> str:
        async with talking(demo) as client:
            await client.begin('[[demo: say="." demand=tool-async]]')
            seen = await client.until(lambda one: one.get("method") == "tool/invoke")
            await client.send(
                {"jsonrpc": "2.0", "id": "r", "method": "tool/invokeResult", "params": REFUSED}
            )
            seen += await client.until(lambda one: one.get("method") == "chat/finish")
            return str(seen[-1]["params"]["fullAnswer"])

    assert asyncio.run(exchange()) == (
        f"tool/invoke got: null\ntool/invokeResult got: {json.dumps(REFUSED)}\n."
    )


def test_an_asynchronous_tool_refused_at_once_waits_no_more(demo: Demo) -> None:
    """A refusal in the response settles the call."""
    text = quoted(demo, "demand=tool-async wait=9", {"tool/invoke": REFUSED})

    assert text == f"tool/invoke got: {json.dumps(REFUSED)}\n."


def test_a_pending_tool_may_stay_unapproved(demo: Demo) -> None:
    """A client that approves nothing is told so after the wait."""
    text = quoted(demo, "demand=sync wait=0.05", {})

    assert text == "tool/call/sync got: null\ntool/call/approve got: nothing\n."


def test_an_approval_is_seen(demo: Demo) -> None:
    """The params of tool/call/approve stand in the text."""
    params = {"type": "tool_call", "toolCallId": "call-R", "approval": False}

    async def exchange() -> str:
        async with talking(demo) as client:
            await client.begin('[[demo: say="." demand=sync]]')
            await client.until(lambda one: one.get("method") == "tool/call/sync")
            await client.send({"jsonrpc": "2.0", "method": "tool/call/approve", "params": params})
            rest = await client.until(lambda one: one.get("method") == "chat/finish")
            return str(rest[-1]["params"]["fullAnswer"])

    assert f"tool/call/approve got: {json.dumps(params)}\n" in asyncio.run(exchange())


def test_an_error_answer_is_quoted_as_one(demo: Demo) -> None:
    """A client may refuse with a JSON-RPC error."""

    async def exchange() -> str:
        async with talking(demo, acks=False) as client:
            await client.begin('[[demo: say="." demand=tool]]')
            seen = await client.until(lambda one: one.get("method") == "tool/invoke")
            error = {"code": -32601, "message": "no"}
            await client.send({"jsonrpc": "2.0", "id": seen[-1]["id"], "error": error})
            rest = await client.until(lambda one: one.get("method") == "chat/finish")
            return str(rest[-1]["params"]["fullAnswer"])

    assert 'got: {"error": {"code": -32601, "message": "no"}}\n' in asyncio.run(exchange())
