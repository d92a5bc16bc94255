"""Tool calls of one ask, over a real connection whose other end is the test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from lingma_cli.core.chat import ChatRequest, ToolOutputPart
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import ChatEvent, Failed, Finished
from lingma_cli.core.ids import random_hex
from lingma_cli.core.notes import codes
from lingma_cli.engines.lingma import jsonrpc
from lingma_cli.engines.lingma.ask import AskTimeouts, LingmaAsk
from lingma_cli.engines.lingma.link import DEFERRED, Link
from lingma_cli.engines.lingma.prompt import AgentWords
from lingma_cli.engines.lingma.pushes import chat_push, tool_push
from lingma_cli.engines.lingma.tool_calls import NO_RESULT, NOT_OFFERED
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.test_link import LIMIT, Json, Peer, listening
from tests.support.playbook import Line, transcript
from tests.support.tool_turns import BASH, QUESTION, READ

T = TypeVar("T")
STREAM = replace(QUESTION, stream=True)
QUIET: list[Line] = [("tool_call", "{}"), ("finished", "tool_calls")]


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


def _at_table(
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
        new_call_id=random_hex,
        images={},
        agent=AgentWords(session_type="ask", chat_task="chat", mode="agent"),
        timeouts=AskTimeouts(first_event=first_event, idle=idle),
    )
    table.ask.send()
    return table


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

    first, second, told = _at_table(play)

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

    assert _at_table(play, replace(STREAM, stream=stream)) == [
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

    assert _at_table(play) == (QUIET, [("text", "one two"), ("finished", "stop")])


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

    assert _at_table(play) == (2, {"content": "red"}, {"content": "ran"})


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

    assert _at_table(play, request) == [["Read"], ["Bash"]]


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

    assert _at_table(play, request) == (
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

    told = _at_table(play)

    assert (told["success"], told["errorMessage"]) == (False, NO_RESULT)


def test_a_call_that_is_only_announced() -> None:
    """Approved, waited for, and given when nothing more has come."""

    async def play(table: Table) -> tuple[Any, list[Line]]:
        await table.sync(name="Read", parameters={})
        approved = await table.heard("tool/call/approve")
        return approved["params"]["approval"], await table.lines()

    assert _at_table(play) == (True, QUIET)


def test_a_call_without_a_name_does_not_hold_up_the_others() -> None:
    """It is disapproved in the end, and the others are given."""

    async def play(table: Table) -> tuple[list[str], Any]:
        await table.invoke("a")
        await table.sync(tool_id="b")
        given = list(await table.called())
        refused = await table.heard("tool/call/approve")
        return given, (refused["params"]["toolCallId"], refused["params"]["approval"])

    assert _at_table(play) == (["Read"], ("b", False))


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

    assert _at_table(play) == ["Read"]


def test_a_name_that_the_text_tells() -> None:
    """A fence before the announcement; it is no text for the client."""

    async def play(table: Table) -> tuple[list[str], Any]:
        await table.say("\n```toolCall::Read::t::PENDING\n{}\n```\n")
        await table.sync()
        approved = await table.heard("tool/call/approve")
        await table.invoke(name="Read")
        return list(await table.called()), approved["params"]

    names, approved = _at_table(play)

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

    assert _at_table(play, request) == (given, frozenset(), dropped)


def test_an_answer_that_ends_with_an_approved_call() -> None:
    """Nobody has asked to run it, and nobody else will: it is the client's too."""

    async def play(table: Table) -> list[Line]:
        await table.sync(name="Read", parameters={"path": "a"})
        await table.heard("tool/call/approve")
        await table.push("chat/finish", statusCode=200, fullAnswer="")
        return await table.lines()

    assert _at_table(play) == [("tool_call", '{"path": "a"}'), ("finished", "tool_calls")]


def test_an_answer_that_fails_with_calls_under_way() -> None:
    """It has failed, and what comes after it does no harm to the connection."""

    async def play(table: Table) -> tuple[list[Line], bool]:
        await table.invoke()
        await table.push("chat/finish", statusCode=500, reason="boom")
        await table.push("chat/finish", statusCode=500, reason="boom")
        await table.say("late")
        await table.read()
        return await table.lines(), table.link.is_open

    assert _at_table(play) == ([("failed", "engine_failed")], True)


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

    assert _at_table(play) == (1, 0)


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

    refused, rest = _at_table(play)

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

    assert _at_table(play) == (
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

    assert _at_table(play) == ([("text", "done"), ("finished", "stop")], ("tool_ran_upstream",))


# time


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

    pending, lines = _at_table(play, first_event=0.4, idle=0.4)

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

    assert _at_table(play, first_event=0.1) == [("failed", "engine_timeout")]


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

    assert _at_table(play) == [("text", "so far"), ("failed", "engine_failed")]


def test_an_abort_in_a_resumed_turn() -> None:
    """The binary is told to stop."""

    async def play(table: Table) -> tuple[list[Line], str]:
        await table.invoke()
        await table.turn()
        table.resume(dict.fromkeys(table.ask.pending_calls, "done"))
        table.ask.abort(LingmaError(ErrorKind.SHUTTING_DOWN, "going down"))
        return await table.lines(), (await table.heard("chat/stop"))["params"]["requestId"]

    assert _at_table(play) == ([("failed", "shutting_down")], "R")


# signs of life


def test_who_was_heard_lately_is_alive() -> None:
    """Nothing is asked then."""

    async def play(table: Table) -> bool:
        await table.read()
        return await table.ask.is_alive()

    assert _at_table(play)


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

    assert _at_table(play)[1]


def test_who_is_gone_is_not_alive() -> None:
    """Neither the connection nor an answer that has ended."""

    async def play(table: Table) -> list[bool]:
        await table.push("chat/finish", statusCode=200)
        await table.turn()
        ended = await table.ask.is_alive()
        await table.peer.socket.close()
        await table.link.closed
        return [ended, await table.link.is_alive(1)]

    assert _at_table(play) == [False, False]


def test_a_response_to_nobody() -> None:
    """Answering a request over a lost connection does nothing."""

    async def play(table: Table) -> bool:
        await table.peer.socket.close()
        await table.link.closed
        table.link.respond(1, {"a": BASH.name})
        return table.link.is_open

    assert not _at_table(play)
