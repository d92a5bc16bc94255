"""Native tool calls: round trips in every order."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.demo.client import (
    Client,
    Demo,
    Json,
    Stream,
    done,
    eventually,
    failed,
    running,
    talking,
)

WRITE = """{"name":"Write","arguments":{"path":"a.txt","text":"hi]]"}}"""
BASH = """{"name":"Bash","arguments":{"command":"ls"}}"""


def directive(calls: str, more: str = "") -> str:
    """Return a prompt that makes native calls."""
    return f"[[demo: calls='{calls}' via=native steps=off {more}]] do it"


def worked(demo: Demo, calls: str, more: str = "", tool: Callable[[Json], Json] = done) -> Stream:
    """Ask for native calls, approve and answer them, and return the stream."""

    async def exchange() -> Stream:
        async with talking(demo) as client:
            return await client.work(directive(calls, more), tool)

    return asyncio.run(exchange())


def talk(demo: Demo, exchange: Callable[[Client], Awaitable[Any]]) -> Any:
    """Run an exchange on a connection of its own."""

    async def once() -> Any:
        async with talking(demo) as client:
            return await exchange(client)

    return asyncio.run(once())


def outline(stream: Stream) -> list[str]:
    """Write the tool messages in short: states, and `invoke` with the tool's name."""
    return [
        one["params"].get("toolCallStatus") or f"invoke {one['params']['name']}"
        for one in stream.messages
        if one.get("method", "").startswith("tool/")
    ]


@pytest.mark.parametrize(
    ("more", "messages"),
    [
        ("", ["PENDING", "RUNNING", "invoke Write", "FINISHED"]),
        ("invoke=sync", ["PENDING", "RUNNING", "invoke Write", "FINISHED"]),
        ("order=marker", ["PENDING", "RUNNING", "invoke Write", "FINISHED"]),
        ("order=invoke-first", ["invoke Write", "PENDING", "RUNNING", "FINISHED"]),
        ("order=invoke-first invoke=sync", ["invoke Write", "PENDING", "RUNNING", "FINISHED"]),
        ("order=invoke-only", ["invoke Write"]),
        ("order=upstream", ["RUNNING", "FINISHED"]),
        (
            "states=all",
            ["INIT", "PENDING", "RUNNING", "invoke Write", "FINISHED", "REQUEST_FINISHED"],
        ),
        (
            "states=twice",
            ["PENDING", "PENDING", "RUNNING", "RUNNING", "invoke Write", "FINISHED", "FINISHED"],
        ),
    ],
)
def test_orders_of_tool_messages(demo: Demo, more: str, messages: list[str]) -> None:
    """Each order is one stream with one finish, and the answer quotes the result."""
    stream = worked(demo, WRITE, more)
    said = "Write ran upstream." if "upstream" in more else 'Write said: "a.txt,hi]]"'

    assert outline(stream) == messages
    assert stream.text.endswith(f"The tools are done. {said}")
    assert len(stream.pushes("chat/finish")) == 1
    assert stream.finish["statusCode"] == 200


def test_invocations_are_of_the_protocols_form(demo: Demo) -> None:
    """tool/invoke has no session, sync has all its fields, results are objects."""
    stream = worked(demo, WRITE)
    invoked, ended = stream.pushes("tool/invoke")[0], stream.pushes("tool/call/sync")[-1]

    assert invoked == {
        "requestId": "R",
        "toolCallId": "call-R-1-1",
        "name": "Write",
        "parameters": {"path": "a.txt", "text": "hi]]"},
        "async": True,
    }
    assert set(ended) == set(
        "sessionId requestId projectPath toolCallId toolCallStatus parameters results errorCode"
        " errorMsg name".split()
    )
    assert ended["results"] == [{"content": "a.txt,hi]]"}]


@pytest.mark.parametrize("order", ["sync-only", "marker-only"])
@pytest.mark.parametrize("eager", [False, True])
def test_a_call_may_never_be_invoked(demo: Demo, order: str, *, eager: bool) -> None:
    """After the approval the result is waited for; it may come right behind the approval."""

    async def exchange(client: Client) -> Stream:
        await client.begin(directive(WRITE, f"order={order}"), sessionId="S")
        wanted = "PENDING" if eager else "RUNNING"
        seen: list[Json] = []
        while not seen or seen[-1].get("method") != "chat/finish":
            seen.append(await client.receive())
            params = seen[-1].get("params", {})
            if params.get("toolCallStatus") == "PENDING":
                await client.approve(params["toolCallId"])
            if params.get("toolCallStatus") == wanted:
                result = done(params | {"name": "Write"})
                await client.notify("tool/invokeResult", **result)
        return Stream(seen)

    stream = talk(demo, exchange)
    assert "invoke Write" not in outline(stream)
    assert outline(stream)[-1] == "FINISHED"
    assert 'Write said: "a.txt,hi]]"' in stream.text


def test_the_marker_names_the_call(demo: Demo) -> None:
    """A fence in the text, cut anywhere, stands before a sync without a name."""
    stream = worked(demo, WRITE, "order=marker split=3")
    methods = [one.get("method") for one in stream.messages]

    assert stream.text.startswith("\n```toolCall::Write::call-R-1-1::PENDING\n{")
    assert methods.index("chat/answer") < methods.index("tool/call/sync")
    assert max(map(len, stream.deltas)) == 3
    assert "name" not in stream.pushes("tool/call/sync")[0]


def test_steps_follow_each_other_in_one_stream(demo: Demo) -> None:
    """The second call comes after the first one's result; the last result is quoted."""
    stream = worked(demo, f"[[{WRITE}],[{BASH}]]", "order=invoke-only")

    assert outline(stream) == ["invoke Write", "invoke Bash"]
    assert stream.text == 'The tools are done. Bash said: "ls"'


def test_the_journal_proves_one_ask_and_one_answer_a_call(tmp_path: Path) -> None:
    """Approvals and results are there as they came, each once and as expected."""
    with running(tmp_path) as demo:
        worked(demo, f"[[{WRITE}],[{BASH}]]", "invoke=sync")
        notes = demo.notes("tool-answer")

        assert len(demo.received("chat/ask")) == 1
    assert [(note["method"], note["toolCallId"], note["nth"]) for note in notes] == [
        ("tool/call/approve", "call-R-1-1", 1),
        ("tool/invoke", "call-R-1-1", 1),
        ("tool/call/approve", "call-R-2-1", 1),
        ("tool/invoke", "call-R-2-1", 1),
    ]
    assert [(note["expected"], note["odd"]) for note in notes] == [(True, [])] * 4
    assert notes[1]["answer"]["result"] == {"content": "a.txt,hi]]"}


@pytest.mark.parametrize("gap", ["", "gap=0.02"])
def test_parallel_calls_take_results_in_any_order(demo: Demo, gap: str) -> None:
    """All invocations are out before a result is needed."""

    async def exchange(client: Client) -> list[Json]:
        await client.begin(directive(f"[[{WRITE},{BASH}]]", f"order=invoke-only {gap}"))
        invoked: list[Json] = []
        while len(invoked) < 2:
            message = await client.receive()
            invoked += [message["params"]] if message.get("method") == "tool/invoke" else []
        for params in reversed(invoked):
            await client.notify("tool/invokeResult", **done(params))
        return await client.until(lambda one: one.get("method") == "chat/finish")

    finish = talk(demo, exchange)[-1]["params"]
    assert finish["fullAnswer"].endswith('Write said: "a.txt,hi]]" Bash said: "ls"')


def test_a_refused_call_is_told_and_the_answer_goes_on(demo: Demo) -> None:
    """No invocation follows a refusal."""

    async def exchange(client: Client) -> Stream:
        await client.begin(directive(f"[[{WRITE}],[{BASH}]]", 'say="So be it."'))
        seen: list[Json] = []
        while not seen or seen[-1].get("method") != "chat/finish":
            seen.append(await client.receive())
            params = seen[-1].get("params", {})
            if params.get("toolCallStatus") == "PENDING":
                await client.approve(params["toolCallId"], approval=False)
        return Stream(seen)

    stream = talk(demo, exchange)
    assert outline(stream) == ["PENDING", "CANCELLED"] * 2
    assert stream.text == (
        'Write was refused: "the call was not approved"\n'
        'Bash was refused: "the call was not approved"\nSo be it.'
    )


def test_a_failure_is_quoted(demo: Demo) -> None:
    """`success:false` ends the call with ERROR and the model says why."""
    stream = worked(demo, WRITE, tool=failed)

    assert stream.text == 'Write failed: "disk full"\nI go on without the tools.'
    assert stream.pushes("tool/call/sync")[-1]["toolCallStatus"] == "ERROR"
    assert stream.pushes("tool/call/sync")[-1]["errorMsg"] == "disk full"


def test_a_synchronous_call_needs_its_own_result(demo: Demo) -> None:
    """An acknowledgement instead of the five fields is a failure."""
    stream = worked(demo, WRITE, "invoke=sync", tool=lambda one: {})

    assert "Write failed: " in stream.text


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    """After `tool_wait` the call is given up, the stream ends well, and a late result is noted."""

    async def exchange(client: Client) -> Stream:
        more = "order=invoke-only tool_wait=0.05 say=unsaid"
        stream = await client.ask(directive(f"[[{WRITE}],[{BASH}]]", more))
        await client.notify("tool/invokeResult", **done(stream.pushes("tool/invoke")[0]))
        await client.call("ping")
        return stream

    with running(tmp_path) as demo:
        stream = talk(demo, exchange)
        late = demo.notes("tool-answer")[-1]

    assert stream.text == "Write gave no result in time.\n"
    assert stream.finish["statusCode"] == 200
    assert (late["method"], late["expected"]) == ("tool/invokeResult", False)


@pytest.mark.parametrize(("acks", "position"), [("now", 0), ("late", 1), ("never", None)])
def test_answers_to_tool_messages_may_come_late(
    demo: Demo, acks: str, position: int | None
) -> None:
    """At once, after the call's last sync, or never."""

    async def exchange(client: Client) -> list[Json]:
        await client.begin(directive(WRITE, f"tool_acks={acks}"), sessionId="S")
        seen: list[Json] = []
        while not seen or seen[-1].get("method") != "chat/finish":
            seen.append(await client.receive())
            params = seen[-1].get("params", {})
            if params.get("toolCallStatus") == "PENDING":
                await client.approve(params["toolCallId"])
            if seen[-1].get("method") == "tool/invoke":
                call = {"id": "res", "method": "tool/invokeResult", "params": done(params)}
                await client.send({"jsonrpc": "2.0", **call})
        return seen

    told = [
        "answer" if one.get("id") == "res" else "end"
        for one in talk(demo, exchange)
        if one.get("id") == "res" or one.get("params", {}).get("toolCallStatus") == "FINISHED"
    ]
    assert told == (["end"] if position is None else ["answer", "end"][:: -1 if position else 1])


def test_stopping_cancels_what_waits(demo: Demo) -> None:
    """chat/stop ends the call first, then the stream."""

    async def exchange(client: Client) -> list[Json]:
        await client.begin(directive(WRITE, "order=invoke-first"))
        await client.until(lambda one: one.get("params", {}).get("toolCallStatus") == "RUNNING")
        await client.notify("chat/stop", requestId="R")
        return await client.until(lambda one: one.get("method") == "chat/finish")

    rest = [one["params"] for one in talk(demo, exchange)]
    assert [one.get("toolCallStatus") or one["reason"] for one in rest] == [
        "CANCELLED",
        "cancelled",
    ]


def test_a_crash_while_a_call_waits(tmp_path: Path) -> None:
    """`at=waiting` breaks things after the invocation; a transcript goes on behind the step."""
    prompt = directive(f"[[{WRITE}],[{BASH}]]", "crash=3 at=waiting order=invoke-only")

    async def exchange(client: Client) -> None:
        await client.begin(prompt)
        await client.until(lambda one: one.get("method") == "tool/invoke")

    with running(tmp_path) as demo:
        talk(demo, exchange)
        assert demo.process.wait(5) == 3
    again = f"## User\n\n{prompt}\n\n## Tool\n\nTool result for id call_1:\nwritten"
    with running(tmp_path) as demo:
        stream = talk(demo, lambda client: client.work(again, done))
    assert outline(stream) == ["invoke Bash"]
    assert stream.text == 'The tools are done. Bash said: "ls"'


def test_an_ending_while_a_call_waits(demo: Demo) -> None:
    """`finish` with `at=waiting` leaves the call open; `after` counts steps."""
    stream = worked(demo, f"[[{BASH}],[{WRITE}]]", "at=waiting after=1 finish=500")

    assert outline(stream) == [
        *("PENDING", "RUNNING", "invoke Bash", "FINISHED"),
        *("PENDING", "RUNNING", "invoke Write"),
    ]
    assert stream.finish["statusCode"] == 500


def test_the_results_of_a_session_can_be_read(demo: Demo) -> None:
    """tool/call/results has the calls that ended."""

    async def exchange(client: Client) -> Json:
        await client.work(directive(WRITE), done)
        return dict(await client.call("tool/call/results", {"sessionId": "S"}))

    result = talk(demo, exchange)["result"]
    assert result["successful"] is True
    assert result["toolResults"][-1]["toolCallStatus"] == "FINISHED"


def test_the_strict_side_waits_for_acknowledged_syncs(tmp_path: Path) -> None:
    """Tool messages are pushes of the stream like any other."""

    async def exchange(demo: Demo) -> Any:
        async with talking(demo, acks=False) as client:
            return (await client.ask(directive(WRITE))).finish["statusCode"]

    with running(tmp_path, sides="acks=strict ack_wait=0.1") as demo:
        assert asyncio.run(exchange(demo)) == 500
        assert eventually(lambda: demo.notes("ask-end"))[0]["ending"] == "unacknowledged"


@pytest.mark.parametrize("prose", ["before", "after", "all"])
def test_prose_stands_around_native_calls(demo: Demo, prose: str) -> None:
    """The text before a call is sent before it."""
    stream = worked(demo, WRITE, f"prose={prose} say=end order=invoke-only")

    assert stream.text.startswith("I will use the tools now.") == (prose != "after")
    assert ("That is what I need." in stream.text) == (prose != "before")
