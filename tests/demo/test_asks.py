"""Asks in flight: sessions, models, stopping, logins."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.demo.client import Client, Demo, Stream, ask, eventually, running, talking


def test_a_plain_ask_is_answered(demo: Demo) -> None:
    """The whole timeline: answer, steps, deltas, finish."""
    stream = ask(demo, "hello there")
    methods = [message.get("method", "result") for message in stream.messages]

    assert methods[:3] == ["result", "chat/process_step_callback", "chat/process_step_callback"]
    assert stream.replies[0]["result"] == {"success": True, "errorCode": "", "errorMessage": ""}
    assert "> hello there" in stream.text
    assert stream.finish["statusCode"] == 200
    assert stream.finish["fullAnswer"] == stream.text


def test_a_session_goes_on(demo: Demo) -> None:
    """A session id continues across connections; a new one is made when none is given."""
    first = ask(demo, "one")
    session = first.finish["sessionId"]
    second = ask(demo, "two", sessionId=session, isReply=True)

    assert session
    assert "turn 2" in second.text
    assert ask(demo, "three").finish["sessionId"] != session


def test_a_session_knows_what_was_said(demo: Demo) -> None:
    """Questions, answers and directives; without its id nothing is known."""
    session = ask(demo, "[[demo: say=one]] first").finish["sessionId"]
    reply = {"sessionId": session, "isReply": True}

    assert ask(demo, "second", **reply).text == "one"
    known = json.loads(ask(demo, "[[demo: quote=session]]", **reply).text)
    assert known == [
        {"question": "[[demo: say=one]] first", "answer": "one"},
        {"question": "second", "answer": "one"},
        {"question": "[[demo: quote=session]]"},
    ]
    assert len(json.loads(ask(demo, "[[demo: quote=session]]").text)) == 1


@pytest.mark.parametrize(("side", "same"), [("anew", True), ("other", False)])
def test_a_session_may_be_forgotten(tmp_path: Path, side: str, same: bool) -> None:
    """A reply in it starts anew, under its id or another one."""
    with running(tmp_path, sides=f"sessions={side}") as demo:
        session = ask(demo, "first").finish["sessionId"]
        again = ask(demo, "[[demo: quote=session]]", sessionId=session, isReply=True)

    assert json.loads(again.text) == [{"question": "[[demo: quote=session]]"}]
    assert (again.finish["sessionId"] == session) is same


def test_a_reply_in_a_forgotten_session_may_be_refused(tmp_path: Path) -> None:
    """New sessions go on as ever."""
    with running(tmp_path, sides="sessions=refuse") as demo:
        session = ask(demo, "first").finish["sessionId"]
        refused = asyncio.run(answered(demo, "second", sessionId=session, isReply=True))
        new = ask(demo, "third", sessionId="new")

    assert [message["result"]["success"] for message in refused] == [False]
    assert new.finish["sessionId"] == "new"


def test_sessions_are_listed_read_and_deleted(demo: Demo) -> None:
    """Records carry question and answer."""
    asked = ask(demo, "[[demo: echo]] remember me", sessionId="kept")

    async def look() -> tuple[Any, ...]:
        async with talking(demo) as client:
            listed = await client.call("chat/listAllSessions", {"projectUri": ""})
            read = await client.call("chat/getSessionById", {"sessionId": "kept"})
            await client.call("chat/deleteSessionById", {"sessionId": "kept"})
            gone = await client.call("chat/getSessionById", {"sessionId": "kept"})
            return listed["result"], read["result"], gone["result"]

    listed, read, gone = asyncio.run(look())
    assert asked.text == "remember me"
    assert "kept" in [session["sessionId"] for session in listed]
    assert [record["answer"] for record in read["chatRecords"]] == ["remember me"]
    assert gone is None


def test_the_model_is_the_one_asked_for(demo: Demo) -> None:
    """A reasoning model thinks; an unknown one is silently Auto."""
    thinking = {"modelConfig": {"key": "dashscope_qwen_plus_20250428_thinking"}}
    thought = ask(demo, "hi", extra=thinking)

    assert thought.pushes("chat/think")[-1]["step"] == "done"
    assert "model Qwen3-Thinking" in thought.text
    assert "model Auto" in ask(demo, "hi", extra={"modelConfig": {"key": "gpt-4"}}).text
    assert "model Auto" in ask(demo, "hi", extra=None).text


def test_the_payload_can_be_quoted(demo: Demo) -> None:
    """People see what their tool sent."""
    params = json.loads(ask(demo, "[[demo: quote=payload]]", mode="agent").text)

    assert params["mode"] == "agent"


def test_params_of_an_ask_must_be_an_object(demo: Demo) -> None:
    """The error names the ask's own type."""

    async def exchange() -> Any:
        async with talking(demo) as client:
            return await client.call("chat/ask", [])

    assert "definition.AskParams" in asyncio.run(exchange())["error"]["message"]


def test_a_directive_that_cannot_be_read_is_told(demo: Demo) -> None:
    """A typo gives an answer that explains it."""
    assert "unknown key `ecko`" in ask(demo, "[[demo: ecko]]").text


async def stopped(demo: Demo, directive: str, method: str = "chat/stop") -> list[dict[str, Any]]:
    """Begin, stop after the first delta, ping, and return what came after the stop's answer."""
    async with talking(demo) as client:
        await client.begin(directive, sessionId="S")
        await client.until(lambda one: one.get("method") == "chat/answer")
        answer = await client.call(method, {"requestId": "R", "sessionId": "S"})
        assert answer["result"] == {}
        return await until_ping(client)


async def until_ping(client: Client) -> list[dict[str, Any]]:
    """Return every push that comes before the answer to a ping."""
    await client.send({"jsonrpc": "2.0", "id": "p", "method": "ping", "params": {}})
    return (await client.until(lambda one: one.get("id") == "p" and "result" in one))[:-1]


@pytest.mark.parametrize("method", ["chat/stop", "chat/stopSession"])
def test_stopping_ends_with_cancelled(demo: Demo, method: str) -> None:
    """The finish is 200 with reason `cancelled`, and nothing follows it."""
    after = asyncio.run(stopped(demo, "[[demo: chunks=99 delay=0.05]]", method))

    assert [push["method"] for push in after][-1] == "chat/finish"
    assert (after[-1]["params"]["statusCode"], after[-1]["params"]["reason"]) == (200, "cancelled")


def test_late_deltas_follow_a_stop(demo: Demo) -> None:
    """A client must drop them by request id."""
    after = asyncio.run(stopped(demo, "[[demo: chunks=99 delay=0.05 late=2]]"))

    assert [push["method"] for push in after][-3:] == ["chat/finish", "chat/answer", "chat/answer"]


def test_a_silent_stop_has_no_finish(demo: Demo) -> None:
    """The stream just ends."""
    after = asyncio.run(stopped(demo, "[[demo: chunks=99 delay=0.05 stop=silent]]"))

    assert [push for push in after if push["method"] == "chat/finish"] == []


def test_a_deaf_stream_goes_on(demo: Demo) -> None:
    """chat/stop is answered and ignored."""

    async def exchange() -> list[dict[str, Any]]:
        async with talking(demo) as client:
            await client.begin("[[demo: chunks=5 delay=0.05 stop=deaf]]")
            await client.until(lambda one: one.get("method") == "chat/answer")
            await client.send(
                {"jsonrpc": "2.0", "id": 1, "method": "chat/stop", "params": {"requestId": "R"}}
            )
            return await client.until(lambda one: one.get("method") == "chat/finish")

    assert asyncio.run(exchange())[-1]["params"]["fullAnswer"] == "1 2 3 4 5"


def test_the_journal_proves_a_stop(tmp_path: Path) -> None:
    """Tests can see that chat/stop arrived, when, and that no stream is left."""
    with running(tmp_path) as demo:
        asyncio.run(stopped(demo, "[[demo: chunks=99 delay=0.05]]"))
        start, end = demo.note("ask-start"), demo.note("ask-end")

        assert demo.received("chat/stop")[0]["params"] == {"requestId": "R", "sessionId": "S"}
        assert (start["active"], end["active"]) == (1, 0)
        assert (end["ending"], end["requestId"]) == ("cancelled", "R")


def test_a_lost_connection_loses_its_streams(tmp_path: Path) -> None:
    """Streams do not survive the socket, sessions do."""

    async def leave(demo: Demo) -> None:
        async with talking(demo) as client:
            await client.begin("[[demo: chunks=99 delay=0.05]]", sessionId="S")
            await client.until(lambda one: one.get("method") == "chat/answer")

    with running(tmp_path) as demo:
        asyncio.run(leave(demo))
        assert demo.note("ask-end")["ending"] == "lost"
        assert "turn 2" in ask(demo, "[[demo: plain]] again", sessionId="S", isReply=True).text


@pytest.mark.parametrize(("form", "status"), [("401", 401), ("403", 403)])
def test_an_ask_without_login_finishes_with_a_code(tmp_path: Path, form: str, status: int) -> None:
    """Not logged in is 401 or 403 without any delta."""
    with running(tmp_path, login="state=out", sides=f"logged_out={form}") as demo:
        stream = ask(demo, "hi")

    assert (stream.deltas, stream.finish["statusCode"]) == ([], status)


async def answered(demo: Demo, prompt: str, **more: object) -> list[dict[str, Any]]:
    """Begin an ask and return everything that comes before the answer to a ping."""
    async with talking(demo) as client:
        await client.begin(prompt, **more)
        return await until_ping(client)


def test_an_ask_without_login_may_fail_at_once(tmp_path: Path) -> None:
    """The other side answers chat/ask with an error."""
    with running(tmp_path, login="state=out", sides="logged_out=error") as demo:
        messages = asyncio.run(answered(demo, "hi"))

    assert [message["error"]["code"] for message in messages] == [-32603]


@pytest.mark.parametrize(
    ("side", "good", "bad"),
    [("upper", "FREE_INPUT", "free_input"), ("lower", "free_input", "FREE_INPUT")],
)
def test_the_task_may_be_wanted_in_one_case(tmp_path: Path, side: str, good: str, bad: str) -> None:
    """Sources write chatTask in either case."""
    with running(tmp_path, sides=f"task={side}") as demo:
        refused = asyncio.run(answered(demo, "hi", chatTask=bad))

        assert ask(demo, "hi", chatTask=good).finish["statusCode"] == 200
    assert [message["result"]["success"] for message in refused] == [False]


def test_defaults_of_the_environment_apply_once(tmp_path: Path) -> None:
    """`once` spoils the first ask of a work directory and no other, across starts."""
    statuses = []
    for _ in range(2):
        with running(tmp_path, faults="finish=500 once") as demo:
            statuses += [ask(demo, "hi").finish["statusCode"] for _ in range(2)]

    assert statuses == [500, 200, 200, 200]


def test_the_prompt_stands_over_the_environment(tmp_path: Path) -> None:
    """Every ask has the defaults unless it says otherwise."""
    with running(tmp_path, faults="finish=500") as demo:
        prompts = ("hi", "[[demo: finish=200]]", "[[demo: plain]]", "[[demo: echo]]")
        statuses = [ask(demo, prompt).finish["statusCode"] for prompt in prompts]

    assert statuses == [500, 200, 200, 500]


def test_a_directive_can_apply_once(demo: Demo) -> None:
    """The same prompt sent again is answered plainly: retries can be seen to work."""
    prompt = "[[demo: echo finish=500 once]] try"

    assert ask(demo, prompt).finish["statusCode"] == 500
    assert ask(demo, prompt).finish["statusCode"] == 200


def test_many_streams_run_side_by_side(demo: Demo) -> None:
    """Streams of one connection interleave and each is complete."""

    async def exchange() -> dict[str, Stream]:
        async with talking(demo) as client:
            for number in range(50):
                await client.begin("[[demo: chunks=40]]", requestId=str(number))
            messages: list[dict[str, Any]] = []
            while sum(one.get("method") == "chat/finish" for one in messages) < 50:
                messages.append(await client.receive())
            return {
                str(number): Stream(
                    [
                        one
                        for one in messages
                        if one.get("params", {}).get("requestId") == str(number)
                    ]
                )
                for number in range(50)
            }

    streams = asyncio.run(exchange())
    assert {stream.text for stream in streams.values()} == {" ".join(map(str, range(1, 41)))}
    assert eventually(lambda: demo.notes("ask-end"))[-1]["active"] == 0
    assert max(note["active"] for note in demo.notes("ask-start")) > 10


CALLS = """calls='[{"name":"Write","arguments":{"path":"a"}},{"name":"Bash"}]'"""
WRITE = {"type": "function", "function": {"name": "Write", "parameters": {}}}


def test_text_calls_follow_the_transcript(tmp_path: Path) -> None:
    """Each ask plays the next step, and the one after the last answers."""
    question = f"## User\n\n[[demo: {CALLS} dialect=tool_call]] go"
    results = [f"\n\n## Tool\n\nTool result for id call_{n}:\nresult {n}" for n in (1, 2)]
    with running(tmp_path) as demo:
        texts = [ask(demo, question + "".join(results[:count])).text for count in range(3)]
        starts = demo.notes("ask-start")

    assert texts == [
        '<tool_call>\n{"name": "Write", "arguments": {"path": "a"}}\n</tool_call>',
        '<tool_call>\n{"name": "Bash", "arguments": {}}\n</tool_call>',
        'The tools are done. "result 2"',
    ]
    assert [(note["route"], note["steps"], note["done"]) for note in starts] == [
        ("text", 2, 0),
        ("text", 2, 1),
        ("text", 2, 2),
    ]


def test_text_calls_are_cut_like_any_answer(demo: Demo) -> None:
    """Fences are torn apart by the deltas, and `say` is for the end."""
    stream = ask(demo, f"[[demo: {CALLS} say=end split=1]]")

    assert set(map(len, stream.deltas)) == {1}
    assert stream.text.startswith("```json action\n")
    assert stream.pushes("tool/invoke") == []


def test_the_journal_has_what_was_offered(tmp_path: Path) -> None:
    """Names, place, choice and mode; the native side takes forwarded tools."""
    extra = {"tools": [WRITE], "toolChoice": "required"}

    async def invoked(demo: Demo) -> None:
        async with talking(demo) as client:
            prompt = f"[[demo: {CALLS} order=invoke-only]]"
            await client.begin(prompt, extra=extra, mode="chat")
            await client.until(lambda one: one.get("method") == "tool/invoke")

    with running(tmp_path, sides="tools=native") as demo:
        asyncio.run(invoked(demo))
        note = demo.note("ask-start")

    assert (note["tools"], note["toolsAt"], note["toolsOdd"]) == (["Write"], "extra", 0)
    assert (note["toolChoice"], note["mode"], note["agent"]) == ("required", "chat", False)
    assert note["route"] == "native"


def test_calls_that_cannot_be_read_are_told(demo: Demo) -> None:
    """As any other typo."""
    assert "`calls` is no JSON" in ask(demo, "[[demo: calls=nonsense]]").text
