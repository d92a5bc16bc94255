"""One WebSocket connection to the binary, against a real WebSocket server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from lingma_cli.engines.lingma import jsonrpc
from lingma_cli.engines.lingma.link import HandshakeRefusedError, Link
from lingma_cli.engines.lingma.pushes import reply_to
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.strategies import byte_cuts

T = TypeVar("T")
Json = dict[str, Any]
LIMIT = 10.0


def framed(message: Json, head: str = "Content-Length: {}\r\n\r\n") -> bytes:
    """Return a message as the binary would frame it."""
    body = json.dumps(message, ensure_ascii=False).encode()
    return head.format(len(body)).encode() + body


class Peer:
    """The other end: it shares no code with ours."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def send(self, *messages: Json) -> None:
        """Send messages, one in a text message each."""
        for message in messages:
            await self.socket.send(framed(message).decode())

    async def receive(self) -> Json:
        """Return the next message; each of ours comes whole in one text message."""
        async with asyncio.timeout(LIMIT):
            text = await self.socket.recv()
        assert isinstance(text, str)
        head, _, body = text.partition("\r\n\r\n")
        assert f"Content-Length: {len(body.encode())}" == head
        message: Json = json.loads(body)
        assert message["jsonrpc"] == "2.0"
        return message

    async def answer(self, result: Any = None) -> Json:
        """Receive a request and answer it."""
        message = await self.receive()
        await self.send({"jsonrpc": "2.0", "id": message["id"], "result": result})
        return message


Play = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def listening(play: Play, **options: Any) -> AsyncIterator[int]:
    """Serve one play to each connection; yields the port."""

    async def greet(socket: ServerConnection) -> None:
        await play(Peer(socket))
        await socket.wait_closed()

    server: Server
    async with serve(
        greet, "127.0.0.1", 0, compression=None, ping_interval=None, **options
    ) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@asynccontextmanager
async def linked(
    port: int, *, path: str = "/", headers: Mapping[str, str] | None = None
) -> AsyncIterator[tuple[Link, list[jsonrpc.Call]]]:
    """Connect; yields the link and what it hears."""
    calls: list[jsonrpc.Call] = []

    def hear(call: jsonrpc.Call) -> object:
        calls.append(call)
        return reply_to(call.method, call.params)

    _, link = await asyncio.get_running_loop().create_connection(
        lambda: Link(path=path, port=port, headers=headers or {}, on_call=hear),
        "127.0.0.1",
        port,
    )
    try:
        async with asyncio.timeout(LIMIT):
            await link.opened
        yield link, calls
    finally:
        await link.close()


def _talk(play: Play, look: Callable[[Link, list[jsonrpc.Call]], Awaitable[T]]) -> T:
    async def main() -> T:
        async with listening(play) as port, linked(port) as (link, calls):
            async with asyncio.timeout(LIMIT):
                return await look(link, calls)

    return asyncio.run(main())


async def _silence(_: Peer) -> None:
    """Say nothing."""


def _push(id_: Any, method: str = "chat/answer", **params: Any) -> Json:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


# requests of ours


def test_calls_are_answered() -> None:
    """Method and parameters go out, the undecoded result comes back."""
    seen: list[Json] = []

    async def play(peer: Peer) -> None:
        seen.append(await peer.answer({"好": 1}))
        seen.append(await peer.answer())

    async def look(link: Link, _: object) -> list[Any]:
        return [json.loads(await link.call(name, {"a": "好"}, LIMIT)) for name in "xy"]

    assert _talk(play, look) == [{"好": 1}, None]
    assert [(message["method"], message["params"]) for message in seen] == [
        ("x", {"a": "好"}),
        ("y", {"a": "好"}),
    ]
    assert seen[0]["id"] != seen[1]["id"]


@pytest.mark.parametrize("echo", [int, str], ids=["number", "text"])
def test_answers_find_their_calls(echo: Callable[[int], Any]) -> None:
    """In any order, with the id as a number or echoed as text."""

    async def play(peer: Peer) -> None:
        calls = [await peer.receive() for _ in range(3)]
        for call in reversed(calls):
            await peer.send({"jsonrpc": "2.0", "id": echo(call["id"]), "result": call["method"]})

    async def look(link: Link, _: object) -> list[bytes]:
        return await asyncio.gather(*(link.call(name, {}, LIMIT) for name in "abc"))

    assert _talk(play, look) == [b'"a"', b'"b"', b'"c"']


def test_a_refused_call() -> None:
    """The error has the binary's words and code."""

    async def play(peer: Peer) -> None:
        call = await peer.receive()
        error = {"code": -32000, "message": "no such thing"}
        await peer.send({"jsonrpc": "2.0", "id": call["id"], "error": error})

    async def look(link: Link, _: object) -> LingmaError:
        with pytest.raises(LingmaError) as caught:
            await link.call("x", {}, LIMIT)
        return caught.value

    error = _talk(play, look)

    assert error.kind is ErrorKind.ENGINE_FAILED
    assert "no such thing" in error.message


def test_a_call_without_an_answer() -> None:
    """Time is up; the answer that comes too late disturbs nobody."""

    async def play(peer: Peer) -> None:
        late, fresh = await peer.receive(), await peer.receive()
        for call in (late, fresh):
            await peer.send({"jsonrpc": "2.0", "id": call["id"], "result": call["method"]})

    async def look(link: Link, _: object) -> tuple[ErrorKind, bytes]:
        with pytest.raises(LingmaError) as caught:
            await link.call("slow", {}, 0.05)
        return caught.value.kind, await link.call("fresh", {}, LIMIT)

    assert _talk(play, look) == (ErrorKind.ENGINE_TIMEOUT, b'"fresh"')


def test_a_request_that_is_not_awaited() -> None:
    """Its answer is heard if it comes, and not when nobody cares any more."""
    heard: list[Any] = []

    async def play(peer: Peer) -> None:
        for _ in range(3):
            await peer.answer(1)

    async def look(link: Link, _: object) -> None:
        first = link.send("a", {}, heard.append)
        link.forget(link.send("b", {}, heard.append))
        await link.call("c", {}, LIMIT)
        assert [jsonrpc.Response(id=first, result=b"1")] == heard

    _talk(play, look)


def test_notifications_have_no_id() -> None:
    """They ask for nothing."""
    seen: list[Json] = []

    async def play(peer: Peer) -> None:
        seen.append(await peer.receive())
        await peer.answer()

    async def look(link: Link, _: object) -> None:
        link.notify("initialized", {})
        await link.call("x", {}, LIMIT)

    _talk(play, look)

    assert seen[0] == {"jsonrpc": "2.0", "method": "initialized", "params": {}}


# what the binary sends


def test_every_request_of_the_binary_is_answered() -> None:
    """Pushes with `null`, the others with what they wait for, under the binary's own ids."""
    replies: list[Json] = []

    async def play(peer: Peer) -> None:
        await peer.send(
            _push(1, text="a"),
            _push("s-2", text="b"),
            _push(3, "workspace/configuration", items=[{}, {}]),
            _push(4, "workspace/applyEdit", edit={}),
        )
        replies.extend([await peer.receive() for _ in range(4)])
        await peer.answer()

    async def look(link: Link, calls: list[jsonrpc.Call]) -> list[str]:
        await link.call("x", {}, LIMIT)
        return [call.method for call in calls]

    methods = ["chat/answer", "chat/answer", "workspace/configuration", "workspace/applyEdit"]
    assert methods == _talk(play, look)
    assert [(reply["id"], reply["result"]) for reply in replies] == [
        (1, None),
        ("s-2", None),
        (3, [None, None]),
        (4, {"applied": False}),
    ]


def test_a_push_without_an_id_is_not_answered() -> None:
    """There is nothing to answer."""
    seen: list[Json] = []

    async def play(peer: Peer) -> None:
        await peer.send({"jsonrpc": "2.0", "method": "chat/answer", "params": {}})
        seen.append(await peer.answer())

    async def look(link: Link, calls: list[jsonrpc.Call]) -> int:
        await link.call("x", {}, LIMIT)
        return len(calls)

    assert _talk(play, look) == 1
    assert [message["method"] for message in seen] == ["x"]


def test_the_ids_of_both_directions_may_collide() -> None:
    """A push with the id of our open call is no answer to it."""

    async def play(peer: Peer) -> None:
        call = await peer.receive()
        await peer.send(_push(call["id"], text="a"))
        await peer.receive()
        await peer.send({"jsonrpc": "2.0", "id": call["id"], "result": "mine"})

    async def look(link: Link, calls: list[jsonrpc.Call]) -> tuple[bytes, int]:
        return await link.call("x", {}, LIMIT), len(calls)

    assert _talk(play, look) == (b'"mine"', 1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_messages_may_be_cut_anywhere(data: st.DataObject) -> None:
    """Text or binary, parts of frames or several at once: the order and the bytes are kept."""
    texts = ["你好", "", "😀", "a" * 50]
    heads = [
        "Content-Length: {}\r\n\r\n",
        "content-length:{}\n\n",
        "X: y\r\nContent-Length: {}\r\n\r\n",
    ]
    stream = b"".join(
        framed(_push(None, text=text), data.draw(st.sampled_from(heads))) for text in texts
    )
    pieces = data.draw(byte_cuts(stream))

    async def play(peer: Peer) -> None:
        for piece in pieces:
            await peer.socket.send(piece)
        await peer.answer()

    async def look(link: Link, calls: list[jsonrpc.Call]) -> list[str]:
        await link.call("x", {}, LIMIT)
        return [msgspec.json.decode(call.params)["text"] for call in calls]

    assert texts == _talk(play, look)


def test_text_messages_and_large_ones() -> None:
    """Text frames are the rule, and five megabytes are nothing."""
    text = "好" * 1_700_000

    async def play(peer: Peer) -> None:
        await peer.send(_push(1, text=text))
        await peer.receive()
        await peer.answer()

    async def look(link: Link, calls: list[jsonrpc.Call]) -> bool:
        await link.call("x", {}, LIMIT)
        return bool(msgspec.json.decode(calls[0].params)["text"] == text)

    assert _talk(play, look)


# the handshake


def test_the_handshake() -> None:
    """The path and the extra headers as told, no Origin, no subprotocol."""
    seen: list[Request] = []

    def note(_: ServerConnection, request: Request) -> None:
        seen.append(request)

    async def main() -> None:
        headers = {"Cosy-MachineToken": "abc"}
        async with (
            listening(_silence, process_request=note) as port,
            linked(port, path="/ws", headers=headers) as (link, _),
        ):
            assert link.is_open

    asyncio.run(main())

    (request,) = seen
    assert (request.path, request.headers["Cosy-MachineToken"]) == ("/ws", "abc")
    assert "Origin" not in request.headers
    assert "Sec-WebSocket-Protocol" not in request.headers


@pytest.mark.parametrize("status", [403, 404, 503])
def test_a_refused_handshake_has_its_status(status: int) -> None:
    """The owner decides what to try next."""

    def refuse(connection: ServerConnection, _: Request) -> Response:
        return connection.respond(status, "no")

    async def main() -> int:
        async with listening(_silence, process_request=refuse) as port:
            with pytest.raises(HandshakeRefusedError) as caught:
                async with linked(port):
                    pass
            return caught.value.status

    assert status == asyncio.run(main())


@pytest.mark.parametrize("words", [b"", b"220 smtp\r\n", b"\x00\xff" * 100])
def test_a_stranger_is_no_websocket(words: bytes) -> None:
    """Whatever else listens there is a connection error."""

    async def main() -> None:
        def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(words)
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(ConnectionError):
                async with linked(port):
                    pass

    asyncio.run(main())


# ends


def _ends(play: Play) -> LingmaError:
    """Return what a call under way hears when the connection ends."""

    async def look(link: Link, _: object) -> LingmaError:
        with pytest.raises(LingmaError) as caught:
            await link.call("x", {}, LIMIT)
        await link.closed
        assert not link.is_open
        with pytest.raises(LingmaError):
            link.send("y", {})
        return caught.value

    return _talk(play, look)


BROKEN = {
    "garbage": b"\x00\x01 no head\r\n\r\n",
    "no length": b"Content-Type: x\r\n\r\n{}",
    "huge": b"Content-Length: 999999999999\r\n\r\n{",
    "no JSON": b"Content-Length: 2\r\n\r\n{]",
    "array": b"Content-Length: 2\r\n\r\n[]",
    "deep": b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
    "params deep": b'Content-Length: 200024\r\n\r\n{"method":"m","params":' + b"[" * 200_001,
}


@pytest.mark.parametrize("words", BROKEN.values(), ids=BROKEN.keys())
def test_a_stream_out_of_step_is_dropped(words: bytes) -> None:
    """One clear failure rather than a silent gap, whatever the bytes."""

    async def play(peer: Peer) -> None:
        await peer.receive()
        await peer.socket.send(words)

    error = _ends(play)

    assert ErrorKind.ENGINE_FAILED is error.kind
    assert error.message.startswith("the connection to Lingma was lost: ")


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_the_binary_closes(code: int) -> None:
    """Calls under way fail at once."""

    async def play(peer: Peer) -> None:
        await peer.receive()
        await peer.socket.close(code)

    assert "Lingma closed the connection" in _ends(play).message


def test_the_connection_is_cut() -> None:
    """A lost TCP connection too."""

    async def play(peer: Peer) -> None:
        await peer.receive()
        peer.socket.transport.abort()

    assert ErrorKind.ENGINE_FAILED is _ends(play).kind


def test_closing_fails_what_waits_and_closing_again_does_nothing() -> None:
    """Nobody waits for an answer that cannot come."""

    async def look(link: Link, _: object) -> BaseException | None:
        waiting = asyncio.ensure_future(link.call("x", {}, LIMIT))
        await asyncio.sleep(0)
        await link.close()
        await link.close()
        await asyncio.wait([waiting])
        return waiting.exception()

    assert isinstance(_talk(_silence, look), LingmaError)


# signs of life


def test_a_spoken_sign_of_life() -> None:
    """Any JSON-RPC message dispels the doubt."""
    signs: list[bool] = []

    async def play(peer: Peer) -> None:
        await peer.answer({"success": True})
        await peer.answer()

    async def look(link: Link, _: object) -> bool:
        link.want_sign_of_life(LIMIT, lambda: signs.append(True))
        await link.call("x", {}, LIMIT)
        return link.is_open

    assert _talk(play, look)
    assert signs == [True]


def test_a_pong_is_a_sign_of_life_unless_words_are_wanted() -> None:
    """A process that has answered the method `ping` and now answers only pongs hangs."""

    async def play(peer: Peer) -> None:
        call = await peer.receive()
        await peer.send({"jsonrpc": "2.0", "id": call["id"], "result": {"success": True}})
        await _silence(peer)

    async def look(link: Link, _: object) -> tuple[bool, ErrorKind]:
        link.ping()
        heard = asyncio.Event()
        link.want_sign_of_life(LIMIT, heard.set)
        await heard.wait()
        heard.clear()
        link.want_sign_of_life(LIMIT, heard.set, spoken=False)
        await heard.wait()
        link.want_sign_of_life(0.1)
        await link.closed
        return link.unresponsive, link.lost().kind

    assert _talk(play, look) == (True, ErrorKind.ENGINE_TIMEOUT)


def test_a_frozen_peer_cannot_hold_up_the_end() -> None:
    """Somebody who shakes hands and then neither reads nor answers is left after a moment."""

    async def freeze(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = ServerProtocol()
        while not (requests := server.events_received()):
            server.receive_data(await reader.read(4096))
        (request,) = requests
        assert isinstance(request, Request)
        server.send_response(server.accept(request))
        writer.write(b"".join(server.data_to_send()))
        frozen.append(writer)

    frozen: list[asyncio.StreamWriter] = []

    async def main() -> float:
        server = await asyncio.start_server(freeze, "127.0.0.1", 0)
        async with server:
            async with linked(server.sockets[0].getsockname()[1]) as (link, _):
                assert link.is_open
                started = time.monotonic()
            took = time.monotonic() - started
            frozen[0].close()
            return took

    assert asyncio.run(main()) < 3
