"""The WebSocket side: handshake rules, both kinds of messages, ids of its own."""

import asyncio
import json
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.demo.client import Demo, ask, eventually, frame, running, talking


def refusal(demo: Demo, path: str, **headers: str) -> int:
    """Return the status of a handshake, 101 for one that passes."""

    async def shake() -> int:
        try:
            more = {name.replace("_", "-"): value for name, value in headers.items()}
            async with talking(demo, path, headers=more):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    return asyncio.run(shake())


def test_the_root_needs_no_header(demo: Demo) -> None:
    """Lingma builds: path `/`, and an unneeded token does no harm."""
    assert refusal(demo, "/") == 101
    assert refusal(demo, "/", Cosy_MachineToken="x", Origin="http://a") == 101
    assert refusal(demo, "/ws") == 404


def test_the_qoder_side_wants_path_and_token(tmp_path: Path) -> None:
    """Qoder CN builds: `/ws` with the token of the cache; the journal shows no token."""
    with running(tmp_path, sides="path=ws origin=refuse") as demo:
        token = json.loads((tmp_path / "cache/machine_token.json").read_text())["token"]

        assert refusal(demo, "/") == 404
        assert refusal(demo, "/ws") == 403
        assert refusal(demo, "/ws", Cosy_MachineToken="wrong") == 403
        assert refusal(demo, "/ws", Cosy_MachineToken=token, Origin="http://a") == 403
        assert refusal(demo, "/ws", Cosy_MachineToken=token) == 101
        assert [note["machineToken"] for note in demo.notes("refused")] == [
            False, False, True, True,
        ]  # fmt: skip
        assert [note["origin"] for note in demo.notes("refused")] == [False, False, False, True]
        assert token not in (tmp_path / "logs/demo.jsonl").read_text()


def test_any_cut_of_what_comes_in_is_read(demo: Demo) -> None:
    """Text and binary messages are one byte stream, several frames to a message or less."""
    body = json.dumps({"jsonrpc": "2.0", "id": "好", "method": "ping", "params": {}}).encode()
    stream = frame(body) * 2

    async def exchange() -> list[object]:
        async with talking(demo) as client:
            await client.socket.send(stream[:30].decode())
            for index in range(30, 60):
                await client.socket.send(stream[index : index + 1])
            await client.socket.send(stream[60:])
            return [await client.receive() for _ in range(2)]

    assert (
        asyncio.run(exchange()) == [{"jsonrpc": "2.0", "id": "好", "result": {"success": True}}] * 2
    )


def test_bare_json_is_ignored_with_a_log_line(tmp_path: Path) -> None:
    """Without a header the message is dropped and the next one answered."""

    async def exchange(demo: Demo) -> None:
        async with talking(demo) as client:
            await client.socket.send('{"jsonrpc":"2.0","id":9,"method":"ping","params":{}}')
            answer = await client.call("ping")
            assert answer["id"] == 1

    with running(tmp_path) as demo:
        asyncio.run(exchange(demo))
        assert "Unknown message header" in demo.log()


def test_broken_json_gets_a_parse_error(demo: Demo) -> None:
    """A framed body that is no JSON is answered with -32700 and a null id."""

    async def exchange() -> object:
        async with talking(demo) as client:
            await client.socket.send(frame(b"{").decode())
            return await client.receive()

    error = {"code": -32700, "message": "parse error: JSONDecodeError"}
    assert asyncio.run(exchange()) == {"jsonrpc": "2.0", "id": None, "error": error}


def test_pushes_have_ids_of_their_own(demo: Demo) -> None:
    """The id space begins at 1 on every connection and collides with the client's."""
    stream = ask(demo, "[[demo: chunks=3]]")

    ids = [message["id"] for message in stream.messages if "method" in message]
    assert ids == list(range(1, len(ids) + 1))


def test_the_notification_side_has_no_ids(tmp_path: Path) -> None:
    """Some see pushes without an id."""
    with running(tmp_path, sides="pushes=notifications") as demo:
        stream = ask(demo, "[[demo: chunks=3]]")

    assert stream.text == "1 2 3"
    assert [message for message in stream.messages if "method" in message and "id" in message] == []


def test_missing_acknowledgements_are_logged(tmp_path: Path) -> None:
    """The stream still ends, and the log tells about the silence."""

    async def exchange(demo: Demo) -> None:
        async with talking(demo, acks=False) as client:
            assert (await client.ask("[[demo: chunks=2]]")).text == "1 2"
            await asyncio.to_thread(eventually, lambda: len(demo.notes("unacknowledged")) == 5)

    with running(tmp_path, sides="ack_wait=0.05") as demo:
        asyncio.run(exchange(demo))
        assert "no response from client, timeout reached" in demo.log()
        assert demo.notes("all-acked") == []


@pytest.mark.parametrize(
    "wire",
    ["cut=1", "cut=7 message=mixed", "coalesce=5", "header=typed message=binary", "separator=lf"],
)
def test_every_wire_carries_the_same_answer(tmp_path: Path, wire: str) -> None:
    """Frames cut at every byte, shared, mixed and with other headers read back alike."""
    text = "你好🙂, wörld! " * 5
    with running(tmp_path, wire=wire) as demo:
        stream = ask(demo, f'[[demo: say="{text}" split=3]]')

    assert stream.text == text


def test_a_directive_shapes_the_wire_of_its_own_stream(demo: Demo) -> None:
    """`cut=1` sends every byte in a message of its own, inside characters as binary."""

    async def exchange() -> list[str | bytes]:
        async with talking(demo) as client:
            stream = await client.ask('[[demo: say="你🙂" cut=1]]')
            assert stream.deltas == ["你", "🙂"]
            return client.messages

    messages = asyncio.run(exchange())
    assert {len(message) for message in messages} == {1}
    assert {type(message) for message in messages} == {str, bytes}


@pytest.mark.parametrize("size", [5_000_000])
def test_large_messages_pass_both_ways(demo: Demo, size: int) -> None:
    """Neither direction has the library's usual limit."""

    async def exchange() -> tuple[str, list[str]]:
        async with talking(demo) as client:
            stream = await client.ask(f"[[demo: quote=prompt chunks=1]]{'好' * size}")
            return stream.text, stream.deltas

    text, deltas = asyncio.run(exchange())
    assert text.endswith("好" * size)
    assert len(deltas) == 1


def test_a_websocket_ping_is_answered(demo: Demo) -> None:
    """The library's own keep-alive works."""

    async def exchange() -> float:
        async with talking(demo) as client:
            waiter = await client.socket.ping()
            return await asyncio.wait_for(waiter, 5)

    assert asyncio.run(exchange()) >= 0


def test_a_polite_close_is_answered(tmp_path: Path) -> None:
    """The journal shows that the client left."""

    async def leave(demo: Demo) -> None:
        async with talking(demo) as client:
            await client.call("ping")
            await client.socket.close()
            with pytest.raises(ConnectionClosed):
                await client.socket.recv()

    with running(tmp_path) as demo:
        asyncio.run(leave(demo))
        assert demo.note("disconnect")
