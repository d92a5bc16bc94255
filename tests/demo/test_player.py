"""Faults and endings as a client meets them."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from tests.demo.client import Client, Demo, ask, eventually, running, talking


async def deltas_until_lost(client: Client) -> list[str]:
    """Return the deltas that come before the connection is lost."""
    seen: list[dict[str, Any]] = []

    def remember(message: dict[str, Any]) -> bool:
        seen.append(message)
        return False

    with pytest.raises(ConnectionClosed):
        await client.until(remember)
    return [one["params"]["text"] for one in seen if one.get("method") == "chat/answer"]


@pytest.mark.parametrize("after", ["0", "2", "last"])
@pytest.mark.parametrize("fault", ["drop", "close=4000", "garbage=websocket", "garbage=text"])
def test_connections_break_at_any_point(demo: Demo, fault: str, after: str) -> None:
    """Exactly the deltas before the point arrive, and the next connection works."""

    async def exchange() -> list[str]:
        async with talking(demo) as client:
            await client.begin(f"[[demo: chunks=3 {fault} after={after}]]")
            return await deltas_until_lost(client)

    deltas = asyncio.run(exchange())
    assert deltas == ["1", " 2", " 3"][: {"0": 0, "2": 2, "last": 3}[after]]
    assert ask(demo, "[[demo: echo]] next").text == "next"


@pytest.mark.parametrize(("code", "after"), [("crash", 0), ("crash=7", 2)])
def test_a_crash_ends_the_process(tmp_path: Path, code: str, after: int) -> None:
    """The deltas before it arrive, then the process is gone with its code."""

    async def exchange(demo: Demo) -> list[str]:
        async with talking(demo) as client:
            await client.begin(f"[[demo: chunks=3 {code} after={after}]]")
            return await deltas_until_lost(client)

    with running(tmp_path) as demo:
        assert asyncio.run(exchange(demo)) == ["1", " 2", " 3"][:after]
        assert demo.process.wait(5) == int(code.partition("=")[2] or 1)


async def pong(client: Client, seconds: float) -> bool:
    """Whether a WebSocket ping is answered in time."""
    waiter = await client.socket.ping()
    try:
        await asyncio.wait_for(waiter, seconds)
    except TimeoutError:
        return False
    return True


async def last_breath(client: Client, directive: str) -> None:
    """Begin an ask and wait for its only delta before the fault."""
    await client.begin(directive)
    await client.until(lambda one: one.get("method") == "chat/answer")


async def ping_rpc(client: Client, seconds: float) -> bool:
    """Whether a JSON-RPC ping is answered in time."""
    try:
        await asyncio.wait_for(client.call("ping"), seconds)
    except TimeoutError:
        return False
    return True


def test_a_hanging_process_only_answers_websocket_pings(tmp_path: Path) -> None:
    """Alive, connected, and silent; SIGTERM still ends it."""

    async def exchange(demo: Demo) -> tuple[bool, bool]:
        async with talking(demo) as client:
            await last_breath(client, "[[demo: chunks=3 hang after=1]]")
            return await ping_rpc(client, 0.2), await pong(client, 5)

    with running(tmp_path) as demo:
        assert asyncio.run(exchange(demo)) == (False, True)
        demo.process.terminate()
        assert demo.process.wait(5) == 0


def test_a_frozen_process_answers_nothing(tmp_path: Path) -> None:
    """The event loop stands still: no pong, and SIGTERM does not help."""

    async def exchange(demo: Demo) -> bool:
        async with talking(demo) as client:
            await last_breath(client, "[[demo: chunks=3 freeze after=1]]")
            client.socket.close_timeout = 0.1
            return await pong(client, 0.2)

    with running(tmp_path) as demo:
        assert asyncio.run(exchange(demo)) is False
        demo.process.terminate()
        assert demo.process.poll() is None


def test_a_freeze_may_pass(demo: Demo) -> None:
    """After its seconds the stream goes on."""
    begun = time.monotonic()

    assert ask(demo, "[[demo: chunks=3 freeze=0.1 after=1]]").text == "1 2 3"
    assert time.monotonic() - begun >= 0.1


def test_a_silent_stream_leaves_the_others_alone(demo: Demo) -> None:
    """No finish comes, pings are answered, and chat/stop ends it."""

    async def exchange() -> list[dict[str, Any]]:
        async with talking(demo) as client:
            await last_breath(client, "[[demo: chunks=1 end=silence]]")
            assert await ping_rpc(client, 5)
            await client.send(
                {"jsonrpc": "2.0", "id": 5, "method": "chat/stop", "params": {"requestId": "R"}}
            )
            return await client.until(lambda one: one.get("method") == "chat/finish")

    assert asyncio.run(exchange())[-1]["params"]["reason"] == "cancelled"


@pytest.mark.parametrize("kind", ["array", "params", "types", "utf8", "json", "deep"])
def test_framed_garbage_leaves_the_stream_readable(demo: Demo, kind: str) -> None:
    """A client that skips the bad body still gets the whole answer."""

    async def exchange() -> bytes:
        async with talking(demo) as client:
            await client.begin(f"[[demo: chunks=3 garbage={kind} after=1]]")
            stream = b""
            while b"chat/finish" not in stream:
                payload = await asyncio.wait_for(client.socket.recv(), 5)
                stream += payload.encode() if isinstance(payload, str) else payload
            return stream

    stream = asyncio.run(exchange())
    assert b'"text":" 3"' in stream
    assert b'"fullAnswer":"1 2 3"' in stream


@pytest.mark.parametrize(
    ("form", "key"), [("success", "success"), ("result", "isSuccess"), ("late", "success")]
)
def test_an_ask_answers_in_three_ways(demo: Demo, form: str, key: str) -> None:
    """Before the pushes, or after the finish."""

    async def exchange() -> list[dict[str, Any]]:
        async with talking(demo) as client:
            await client.begin(f"[[demo: echo reply={form}]]")
            return await client.until(
                lambda one: (
                    one.get("id" if form == "late" else "method")
                    == ("ask" if form == "late" else "chat/finish")
                )
            )

    messages = asyncio.run(exchange())
    reply = messages[-1 if form == "late" else 0]
    assert (reply["id"], reply["result"][key]) == ("ask", True)


def test_an_ask_may_never_answer(demo: Demo) -> None:
    """The stream alone tells."""
    stream = ask(demo, "[[demo: echo reply=none]] hi")

    assert (stream.replies, stream.text) == ([], "hi")


@pytest.mark.parametrize("form", ["failure", "result-failure", "error", "unknown"])
def test_a_refused_ask_has_no_stream(demo: Demo, form: str) -> None:
    """Nothing is pushed after a refusal."""

    async def exchange() -> list[dict[str, Any]]:
        async with talking(demo) as client:
            await client.begin(f"[[demo: reply={form}]]")
            await client.send({"jsonrpc": "2.0", "id": "p", "method": "ping", "params": {}})
            return await client.until(lambda one: one.get("id") == "p")

    assert [message["id"] for message in asyncio.run(exchange())] == ["ask", "p"]


def test_the_strict_side_streams_to_those_who_acknowledge(tmp_path: Path) -> None:
    """With every push acknowledged the answer is complete."""
    with running(tmp_path, sides="acks=strict ack_wait=5") as demo:
        assert ask(demo, "[[demo: chunks=5]]").text == "1 2 3 4 5"
        assert eventually(lambda: demo.notes("all-acked"))[0]["pushed"] == 8


def test_the_strict_side_fails_those_who_do_not(tmp_path: Path) -> None:
    """The stream ends in the middle with 500."""

    async def exchange(demo: Demo) -> Any:
        async with talking(demo, acks=False) as client:
            return (await client.ask("[[demo: chunks=5]]")).finish

    with running(tmp_path, sides="acks=strict ack_wait=0.1") as demo:
        finish = asyncio.run(exchange(demo))

    assert (finish["statusCode"], finish["fullAnswer"]) == (500, "")
    assert finish["reason"] == "no response from client, timeout reached"


def test_delays_are_kept(demo: Demo) -> None:
    """`first` and `delay` make a paced stream."""
    begun = time.monotonic()
    ask(demo, "[[demo: chunks=4 first=0.1 delay=0.05]]")

    assert time.monotonic() - begun >= 0.3


def test_every_ack_can_be_journalled(tmp_path: Path) -> None:
    """At level `acks` each acknowledgement has its line."""
    with running(tmp_path, journal="level=acks") as demo:
        ask(demo, "[[demo: chunks=2]]")
        assert eventually(lambda: len(demo.notes("ack")) == 5)
        assert demo.notes("ack")[0]["result"] is None


def test_a_reset_may_take_deltas_with_it(demo: Demo) -> None:
    """What arrives before a reset is in order; the next connection works."""

    async def exchange() -> list[str]:
        async with talking(demo) as client:
            await client.begin("[[demo: chunks=3 drop=reset after=2]]")
            return await deltas_until_lost(client)

    deltas = asyncio.run(exchange())
    assert deltas == ["1", " 2"][: len(deltas)]
    assert ask(demo, "[[demo: echo]] next").text == "next"


def test_a_close_carries_its_code(demo: Demo) -> None:
    """A polite end of the WebSocket says why."""

    async def exchange() -> int | None:
        async with talking(demo) as client:
            await client.begin("[[demo: close=4001]]")
            with pytest.raises(ConnectionClosedError) as caught:
                await client.until(lambda _: False)
            return caught.value.rcvd.code if caught.value.rcvd else None

    assert asyncio.run(exchange()) == 4001
