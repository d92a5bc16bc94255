"""How long an ask waits, for its answer and for its client, and who is alive."""

from __future__ import annotations

import asyncio

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.table import Table, at_table
from tests.support.playbook import Line
from tests.support.tool_turns import BASH


def test_a_client_may_take_its_time() -> None:
    """Words of the binary start no clock while a tool runs; the next turn has its own."""

    async def play(table: Table) -> tuple[frozenset[str], list[Line]]:
        await table.invoke()
        await table.turn()
        await table.say("still here ")
        # Another ask on the same connection would have been given up by now.
        await _outlast(table, 0.9)
        pending = table.ask.pending_calls
        table.resume(dict.fromkeys(pending, "done"))
        await table.push("chat/finish", statusCode=200)
        return pending, await table.lines()

    pending, lines = at_table(play, first_event=0.4, idle=0.4)

    assert (len(pending), lines) == (1, [("text", "still here "), ("finished", "stop")])


async def _outlast(table: Table, seconds: float) -> None:
    """Let time pass until the loop's clock says so."""
    passed = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, passed.set_result, None)
    await passed
    assert table.link.is_open


def test_a_resumed_turn_that_stays_silent() -> None:
    """It ends as any other would."""

    async def play(table: Table) -> list[Line]:
        await table.invoke()
        await table.turn()
        table.resume(dict.fromkeys(table.ask.pending_calls, "done"))
        while table.link.is_open and not table.ask.pending_calls:
            message = await table.peer.receive()
            if message.get("method") == "chat/stop":
                break
            if message.get("method") == "ping":
                await table.peer.send({"jsonrpc": "2.0", "id": message["id"], "result": {}})
        return await table.lines()

    assert at_table(play, first_event=0.1) == [("failed", "engine_timeout")]


def test_a_resumed_turn_whose_connection_dies() -> None:
    """It fails, with what came before."""

    async def play(table: Table) -> list[Line]:
        await table.invoke()
        await table.turn()
        table.resume(dict.fromkeys(table.ask.pending_calls, "done"))
        await table.say("so far")
        await table.read()
        await table.peer.socket.close()
        await table.link.closed
        table.ask.fail(table.link.lost())
        return await table.lines()

    assert at_table(play) == [("text", "so far"), ("failed", "engine_failed")]


def test_an_abort_in_a_resumed_turn() -> None:
    """The binary is told to stop."""

    async def play(table: Table) -> tuple[list[Line], str]:
        await table.invoke()
        await table.turn()
        table.resume(dict.fromkeys(table.ask.pending_calls, "done"))
        table.ask.abort(LingmaError(ErrorKind.SHUTTING_DOWN, "going down"))
        return await table.lines(), (await table.heard("chat/stop"))["params"]["requestId"]

    assert at_table(play) == ([("failed", "shutting_down")], "R")


# signs of life


def test_who_was_heard_lately_is_alive() -> None:
    """Nothing is asked then."""

    async def play(table: Table) -> bool:
        await table.read()
        return await table.ask.is_alive()

    assert at_table(play)


@pytest.mark.parametrize("answers", [True, False])
def test_who_is_silent_is_asked(answers: bool) -> None:
    """One answer serves all who ask; without one nobody is alive, and nothing is dropped."""

    async def play(table: Table) -> tuple[list[bool], bool]:
        await _outlast(table, 0.1)
        asking = [asyncio.ensure_future(table.link.is_alive(0.05)) for _ in range(3)]
        ping = await table.heard("ping")
        if answers:
            await table.peer.send({"jsonrpc": "2.0", "id": ping["id"], "result": {}})
        return [await one for one in asking], table.link.is_open

    assert at_table(play)[1]


def test_who_is_gone_is_not_alive() -> None:
    """Neither the connection nor an answer that has ended."""

    async def play(table: Table) -> list[bool]:
        await table.push("chat/finish", statusCode=200)
        await table.turn()
        ended = await table.ask.is_alive()
        await table.peer.socket.close()
        await table.link.closed
        return [ended, await table.link.is_alive(1)]

    assert at_table(play) == [False, False]


def test_a_response_to_nobody() -> None:
    """Answering a request over a lost connection does nothing."""

    async def play(table: Table) -> bool:
        await table.peer.socket.close()
        await table.link.closed
        table.link.respond(1, {"a": BASH.name})
        return table.link.is_open

    assert not at_table(play)
