"""Tool calls of one ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lingma_cli.core.notes import codes
from lingma_cli.engines.lingma.tool_calls import NO_RESULT, NOT_OFFERED
from tests.engines.lingma.table import STREAM, Table, at_table
from tests.engines.lingma.test_link import Json
from tests.support.playbook import Line
from tests.support.tool_turns import READ

QUIET: list[Line] = [("tool_call", "{}"), ("finished", "tool_calls")]

# turns


def test_a_round_trip() -> None:
    """Text, a call, its result, and the same answer goes on to its end."""

    async def play(table: Table) -> tuple[list[Line], list[Line], Json]:
        await table.say("first")
        await table.invoke(parameters={"path": "a"})
        first = await table.lines()
        (call_id,) = table.ask.pending_calls
        table.resume({call_id: "done"})
        assert table.ask.pending_calls == frozenset()
        told = await table.heard("tool/invokeResult")
        await table.say("second")
        await table.push("chat/finish", statusCode=200, fullAnswer="firstsecond")
        return first, await table.lines(), told["params"]

    first, second, told = at_table(play)

    assert first == [
        ("text", "first"),
        ("tool_call", '{"path": "a"}'),
        ("finished", "tool_calls"),
    ]
    assert second == [("text", "second"), ("finished", "stop")]
    assert (told["toolCallId"], told["success"], told["result"]) == ("t", True, {"content": "done"})


@pytest.mark.parametrize("stream", [True, False])
def test_what_is_said_while_the_client_is_away(stream: bool) -> None:
    """It comes first in the next turn, whether either turn streams or not."""

    async def play(table: Table) -> list[Line]:
        await table.invoke()
        await table.turn()
        (call_id,) = table.ask.pending_calls
        await table.say("one ")
        await table.read()
        table.resume({call_id: "done"}, replace(STREAM, stream=not stream))
        await table.say("two")
        await table.push("chat/finish", statusCode=200, fullAnswer="")
        return await table.lines()

    assert at_table(play, replace(STREAM, stream=stream)) == [
        ("text", "one two"),
        ("finished", "stop"),
    ]


def test_what_is_said_before_the_client_has_heard_the_end() -> None:
    """A client that reads slowly loses nothing of it: it belongs to the next turn."""

    async def play(table: Table) -> tuple[list[Line], list[Line]]:
        await table.invoke()
        while not (pending := table.ask.pending_calls):
            await table.read()
        await table.say("one ")
        await table.read()
        first = await table.lines()
        assert await table.ask.next_batch() == []
        table.resume(dict.fromkeys(pending, "done"))
        await table.say("two")
        await table.push("chat/finish", statusCode=200)
        return first, await table.lines()

    assert at_table(play) == (QUIET, [("text", "one two"), ("finished", "stop")])


def test_calls_of_one_step_come_together() -> None:
    """In one turn, each with an id of its own, synchronous or not."""

    async def play(table: Table) -> tuple[int, Any, Any]:
        waiting = await table.invoke("a", is_async=False)
        await table.invoke("b", "Bash")
        ids = await table.called()
        assert set(ids.values()) == table.ask.pending_calls
        table.resume({ids["Read"]: "red", ids["Bash"]: "ran"})
        response = await table.response(waiting)
        sent = await table.heard("tool/invokeResult")
        return len(ids), response["result"], sent["params"]["result"]

    assert at_table(play) == (2, {"content": "red"}, {"content": "ran"})


def test_one_call_a_turn() -> None:
    """The client wants no parallel calls: the others wait for their turn."""

    async def play(table: Table) -> list[list[str]]:
        await table.invoke("a")
        await table.invoke("b", "Bash")
        first = await table.called()
        table.resume(dict.fromkeys(first.values(), "done"), request)
        told = await table.heard("tool/invokeResult")
        assert told["params"]["toolCallId"] == "a"
        return [list(first), list(await table.called())]

    request = replace(STREAM, parallel_tool_calls=False)

    assert at_table(play, request) == [["Read"], ["Bash"]]


def test_a_call_that_waits_for_its_turn_may_lose_its_tool() -> None:
    """The client offers other tools by then: refused, and not given."""

    async def play(table: Table) -> tuple[list[Line], list[Any], tuple[str, ...]]:
        await table.invoke("a")
        await table.invoke("b", "Bash")
        first = await table.called()
        table.resume(dict.fromkeys(first.values(), "done"), replace(request, tools=(READ,)))
        told = [await table.heard("tool/invokeResult") for _ in range(2)]
        await table.push("chat/finish", statusCode=200, fullAnswer="")
        errors = [one["params"]["errorMessage"] for one in told]
        return await table.lines(), errors, codes(table.ask.notes)

    request = replace(STREAM, parallel_tool_calls=False)

    assert at_table(play, request) == (
        [("finished", "stop")],
        ["", NOT_OFFERED],
        ("tool_refused",),
    )


def test_a_result_that_is_missing() -> None:
    """The binary hears that there is none."""

    async def play(table: Table) -> Any:
        await table.invoke("a")
        await table.turn()
        table.resume({})
        return (await table.heard("tool/invokeResult"))["params"]

    told = at_table(play)

    assert (told["success"], told["errorMessage"]) == (False, NO_RESULT)


def test_a_call_that_is_only_announced() -> None:
    """Approved, waited for, and given when nothing more has come."""

    async def play(table: Table) -> tuple[Any, list[Line]]:
        await table.sync(name="Read", parameters={})
        approved = await table.heard("tool/call/approve")
        return approved["params"]["approval"], await table.lines()

    assert at_table(play) == (True, QUIET)


def test_a_call_without_a_name_does_not_hold_up_the_others() -> None:
    """It is disapproved in the end, and the others are given."""

    async def play(table: Table) -> tuple[list[str], Any]:
        await table.invoke("a")
        await table.sync(tool_id="b")
        given = list(await table.called())
        refused = await table.heard("tool/call/approve")
        return given, (refused["params"]["toolCallId"], refused["params"]["approval"])

    assert at_table(play) == (["Read"], ("b", False))


@pytest.mark.parametrize("odd", ["marker", "init", "running"])
def test_a_call_that_never_gets_ready_does_not_hold_up_the_others(odd: str) -> None:
    """A marker without a call, an announcement that is never followed up."""

    async def play(table: Table) -> list[str]:
        if odd == "marker":
            await table.say("\n```toolCall::Bash::b::FINISHED\n{}\n```\n")
        else:
            await table.sync(odd.upper(), tool_id="b", name="Bash")
        await table.invoke("a")
        return list(await table.called())

    assert at_table(play) == ["Read"]


def test_a_name_that_the_text_tells() -> None:
    """A fence before the announcement; it is no text for the client."""

    async def play(table: Table) -> tuple[list[str], Any]:
        await table.say("\n```toolCall::Read::t::PENDING\n{}\n```\n")
        await table.sync()
        approved = await table.heard("tool/call/approve")
        await table.invoke(name="Read")
        return list(await table.called()), approved["params"]

    names, approved = at_table(play)

    assert names == ["Read"]
    assert approved == {
        "type": "tool_call",
        "requestId": "R",
        "sessionId": "S",
        "toolCallId": "t",
        "approval": True,
    }


# the end of the answer


@pytest.mark.parametrize("parallel", [True, False])
def test_an_answer_that_does_not_wait_for_its_calls(parallel: bool) -> None:
    """What was asked for is still the client's; nothing resumes, later pushes are nothing."""

    async def play(table: Table) -> tuple[list[str], frozenset[str], tuple[str, ...]]:
        await table.say("text")
        await table.invoke("a")
        await table.invoke("b", "Bash")
        for _ in range(2):
            await table.push("chat/finish", statusCode=200, fullAnswer="")
        given = list(await table.called())
        await table.say("late")
        await table.read()
        return given, table.ask.pending_calls, codes(table.ask.notes)

    request = replace(STREAM, parallel_tool_calls=parallel)
    given, dropped = (["Read", "Bash"], ()) if parallel else (["Read"], ("calls_dropped",))

    assert at_table(play, request) == (given, frozenset(), dropped)


def test_an_answer_that_ends_with_an_approved_call() -> None:
    """Nobody has asked to run it, and nobody else will: it is the client's too."""

    async def play(table: Table) -> list[Line]:
        await table.sync(name="Read", parameters={"path": "a"})
        await table.heard("tool/call/approve")
        await table.push("chat/finish", statusCode=200, fullAnswer="")
        return await table.lines()

    assert at_table(play) == [("tool_call", '{"path": "a"}'), ("finished", "tool_calls")]


def test_an_answer_that_fails_with_calls_under_way() -> None:
    """It has failed, and what comes after it does no harm to the connection."""

    async def play(table: Table) -> tuple[list[Line], bool]:
        await table.invoke()
        await table.push("chat/finish", statusCode=500, reason="boom")
        await table.push("chat/finish", statusCode=500, reason="boom")
        await table.say("late")
        await table.read()
        return await table.lines(), table.link.is_open

    assert at_table(play) == ([("failed", "engine_failed")], True)


@pytest.mark.parametrize("how", ["finish", "cancelled", "closed"])
def test_an_ask_that_is_lost_while_its_client_runs_a_tool(how: str) -> None:
    """It waits for no result any more."""

    async def play(table: Table) -> tuple[int, int]:
        await table.invoke()
        await table.turn()
        before = len(table.ask.pending_calls)
        match how:
            case "finish":
                await table.push("chat/finish", statusCode=200)
            case "cancelled":
                await table.sync("CANCELLED", name="Read")
            case _:
                await table.peer.socket.close()
                await table.link.closed
        if how != "closed":
            await table.read()
        table.ask.leave()
        return before, len(table.ask.pending_calls)

    assert at_table(play) == (1, 0)


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("synchronous", [True, False])
def test_leaving_refuses_what_waits_once(given: bool, synchronous: bool) -> None:
    """Then the answer is stopped and its session removed."""

    async def play(table: Table) -> tuple[Any, list[str]]:
        id_ = await table.invoke(is_async=not synchronous)
        if given:
            await table.turn()
        else:
            await table.read()
        table.ask.leave()
        if synchronous:
            refused = await table.response(id_)
        else:
            refused = (await table.heard("tool/invokeResult"))["params"]
        stop = await table.heard("tool/invokeResult", "chat/stop")
        await table.peer.send({"jsonrpc": "2.0", "id": stop["id"], "result": {}})
        gone = await table.heard("tool/invokeResult", "chat/deleteSessionById")
        return refused, [stop["method"], gone["method"]]

    refused, rest = at_table(play)

    assert (refused["success"], refused["toolCallId"]) == (False, "t")
    assert "did not come back" in refused["errorMessage"]
    assert rest == ["chat/stop", "chat/deleteSessionById"]


def test_a_tool_that_is_not_offered() -> None:
    """Refused at once; the answer goes on, and a note tells of it."""

    async def play(table: Table) -> tuple[Any, list[Line], tuple[str, ...]]:
        id_ = await table.invoke(name="format_disk", is_async=False)
        refused = await table.response(id_)
        await table.say("all right")
        await table.push("chat/finish", statusCode=200)
        return refused["errorMessage"], await table.lines(), codes(table.ask.notes)

    assert at_table(play) == (
        NOT_OFFERED,
        [("text", "all right"), ("finished", "stop")],
        ("tool_refused",),
    )


def test_a_tool_that_ran_upstream() -> None:
    """Nothing is passed on, and a note tells of it."""

    async def play(table: Table) -> tuple[list[Line], tuple[str, ...]]:
        await table.sync("RUNNING", name="Read")
        await table.sync("FINISHED", name="Read", results=[{"content": "x"}])
        await table.push("chat/finish", statusCode=200, fullAnswer="done")
        return await table.lines(), codes(table.ask.notes)

    assert at_table(play) == ([("text", "done"), ("finished", "stop")], ("tool_ran_upstream",))
