"""A real server around any ASGI app, and a client that sends exactly the bytes it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

WAIT_SECONDS = 10.0

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@contextlib.contextmanager
def listening(
    app: ASGIApp,
    protocol: type[asyncio.Protocol],
    *,
    keep_alive: float = 5,
    loop_factory: LoopFactory = asyncio.new_event_loop,
) -> Iterator[tuple[str, int]]:
    """Serve `app` in a thread and yield its address."""
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        # uvicorn hands it to `call_later`, which takes fractions.
        timeout_keep_alive=keep_alive,  # type: ignore[arg-type]
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(server.serve(sockets=[listener]))

    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            server.should_exit = True
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive()


class Echo:
    """An app that tells what reached it.

    `/hold` waits for `release` before it reads, `/late` waits and then answers without reading,
    `/early` answers without reading at once, and `/endless` never answers.

    `arrived` gets the path of each request as it starts, `left` of each whose client went away.
    """

    def __init__(self) -> None:
        self.forget()
        self._gate: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def forget(self) -> None:
        """Start both lists anew."""
        self.arrived: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.left: queue.SimpleQueue[str] = queue.SimpleQueue()

    def release(self) -> None:
        """Let the requests for `/hold…` go on."""
        assert self._loop is not None
        assert self._gate is not None
        self._loop.call_soon_threadsafe(self._gate.set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in {"/hold", "/late"}:
            self._gate, self._loop = asyncio.Event(), asyncio.get_running_loop()
        self.arrived.put(path)
        if path in {"/hold", "/late"} and self._gate is not None:
            await self._gate.wait()
        body = b"" if path in {"/early", "/late"} else await self._read(path, receive)
        if body is None:
            return
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        told = {
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode(),
            "headers": headers,
            "body": body.decode("latin-1"),
            "state": scope.get("state"),
        }
        answer = json.dumps(told).encode()
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": answer})
        if path == "/late":
            self.left.put(path)

    async def _read(self, path: str, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.put(path)
                return None
            body += message["body"]
            if not message["more_body"] and path != "/endless":
                return bytes(body)


@dataclass(frozen=True)
class Answer:
    """One response, read off the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        """Return the values of `name`."""
        return [value for key, value in self.headers if key == name]

    @property
    def told(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        """The error object of OpenAI's envelope."""
        assert self.header("content-type") == ["application/json"]
        assert set(self.told) == {"error"}
        assert set(self.told["error"]) == {"message", "type", "param", "code"}
        return self.told["error"]


class RawClient:
    """One TCP connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=WAIT_SECONDS)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def send(self, piece: bytes) -> None:
        """Send exactly `piece`."""
        self._socket.sendall(piece)

    def is_silent(self, seconds: float) -> bool:
        """Tell whether nothing at all comes for so long, neither bytes nor the end."""
        self._socket.settimeout(seconds)
        try:
            self._buffer += self._socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(WAIT_SECONDS)
        return False

    def receive(self, *, has_body: bool = True) -> Answer:
        """Return the next answer; the length of its body must be declared."""
        while b"\r\n\r\n" not in self._buffer:
            self._read_more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        headers = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
        answer = Answer(int(start.split()[1]), headers, b"")
        declared = answer.header("content-length") if has_body else []
        length = int(declared[0]) if declared else 0
        while len(self._buffer) < length:
            self._read_more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Answer(answer.status, headers, body)

    def rest(self) -> bytes:
        """Return what comes until the server closes; a reset is an error."""
        while piece := self._socket.recv(65536):
            self._buffer += piece
        return self._buffer

    def ask(self, request: bytes) -> Answer:
        """Send `request` and return the answer."""
        self.send(request)
        return self.receive(has_body=not request.startswith(b"HEAD "))

    def _read_more(self) -> None:
        piece = self._socket.recv(65536)
        assert piece, f"the server closed after {self._buffer!r}"
        self._buffer += piece


def ask(address: tuple[str, int], request: bytes) -> Answer:
    """Return the first answer to `request` on a connection of its own."""
    with RawClient(address) as client:
        return client.ask(request)
