"""A scripted Lingma: the binary's command line and wire, reduced to what a measurement needs.

Answers only prompts that carry a directive of `benchmarks.script`. Source: "Lingma local
protocol" sections 2 to 4. Runs as a program of its own and must not know the product.
"""

import argparse
import asyncio
import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from benchmarks.frames import answer, finish, lingma_message, take_message
from benchmarks.metronome import Metronome
from benchmarks.player import Player
from benchmarks.port_file import announce
from benchmarks.script import Script

_MESSAGE_LIMIT = 64 * 2**20
_MODEL = {
    "key": "org_auto",
    "displayName": "Auto",
    "isVl": False,
    "isReasoning": False,
    "isDefault": True,
    "maxInputTokens": 180_000,
}
_RESULTS: dict[str, Any] = {
    "initialize": {
        "capabilities": {"textDocumentSync": 1},
        "serverInfo": {"name": "lingma", "version": "2.11.1"},
    },
    "auth/status": {"messageId": "m", "status": 2, "id": "u1", "name": "bench", "whitelist": 3},
    "config/queryModels": {"assistant": [_MODEL], "chat": [_MODEL]},
    "ping": {"success": True},
    "chat/stop": {"success": True},
}


class _Acknowledgements:
    """The pushes of one stream that the client has not answered yet."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._waiting = set(ids)
        self._done = asyncio.Event()

    def take(self, push_id: int) -> bool:
        """Note an answer; False if it belongs to another stream."""
        if push_id not in self._waiting:
            return False
        self._waiting.discard(push_id)
        if not self._waiting:
            self._done.set()
        return True

    async def all(self) -> None:
        if self._waiting:
            await self._done.wait()


class LingmaConnection(Player):
    """One WebSocket client."""

    def __init__(self, metronome: Metronome) -> None:
        super().__init__(metronome)
        self._socket = ServerProtocol(max_size=_MESSAGE_LIMIT)
        self._buffer = bytearray()
        self._ids = itertools.count(1)
        self._asks: dict[str, asyncio.Task[None]] = {}
        self._unanswered: list[_Acknowledgements] = []

    def data_received(self, data: bytes) -> None:
        self._socket.receive_data(data)
        for event in self._socket.events_received():
            if isinstance(event, Request):
                self._socket.send_response(self._socket.accept(event))
            elif isinstance(event, Frame):
                # Only data frames carry stream bytes; the protocol answers control frames itself.
                self._buffer += event.data if event.opcode < 8 else b""
        self._flush()
        while (message := take_message(self._buffer)) is not None:
            self._dispatch(message)

    def _flush(self) -> None:
        for out in self._socket.data_to_send():
            if out:
                self.write(out)
            elif self._transport is not None:  # the protocol's sign for the end
                self._transport.close()

    def _dispatch(self, message: dict[str, Any]) -> None:
        method = message.get("method")
        if method is None:
            any(waiting.take(message["id"]) for waiting in self._unanswered)
        elif method == "chat/ask":
            self._ask(message["params"])
            self._respond(message, {"success": True, "errorCode": "", "errorMessage": ""})
        else:
            if method == "chat/stop":
                self._stop(message["params"]["requestId"])
            self._respond(message, _RESULTS.get(method))

    def _respond(self, request: dict[str, Any], result: dict[str, Any] | None) -> None:
        if "id" in request:
            body = {"jsonrpc": "2.0", "id": request["id"]}
            error = {"code": -32601, "message": f"method not found: {request['method']}"}
            body |= {"error": error} if result is None else {"result": result}
            self.write(lingma_message(msgspec.json.encode(body)))

    def _ask(self, params: dict[str, Any]) -> None:
        script = Script.find(msgspec.json.encode(params))
        if script is None:
            script = Script(stream=0, chunks=1, rate=0)
        request = params["requestId"]
        task = self.spawn(self._answer(request, script))
        self._asks[request] = task
        task.add_done_callback(lambda _: self._asks.pop(request, None))

    async def _answer(self, request: str, script: Script) -> None:
        session = f"session-{script.stream}"
        ids = list(itertools.islice(self._ids, script.chunks if script.ids else 0))
        waiting = _Acknowledgements(ids)
        self._unanswered.append(waiting)
        try:
            pushes = itertools.zip_longest(script.texts(), ids)
            await self.play(
                script, [answer(request, session, text, push_id) for text, push_id in pushes]
            )
            await waiting.all()
        finally:
            self._unanswered.remove(waiting)
        self.write(finish(request, session))

    def _stop(self, request: str) -> None:
        task = self._asks.pop(request, None)
        if task is not None:
            task.cancel()
            self.write(finish(request, "", "cancelled"))


async def serve(work_dir: Path, port: int, alive: Callable[[], bool]) -> None:
    """Serve on loopback, announce it in `.info.json`, and end soon after `alive` turns false."""
    loop = asyncio.get_running_loop()
    with Metronome() as metronome:
        server = await loop.create_server(lambda: LingmaConnection(metronome), "127.0.0.1", port)
        announce(work_dir / ".info.json", server.sockets[0].getsockname()[1])
        while alive():  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        server.close()


def main() -> None:
    """The command line of the binary: `start` with its flags, and `version`."""
    parser = argparse.ArgumentParser("scripted-lingma")
    parser.add_argument("command", choices=("start", "version"))
    parser.add_argument("--workDir", type=Path, default=Path())
    parser.add_argument("--socketPort", type=int, default=0)
    options, _ = parser.parse_known_args()
    if options.command == "version":
        print("version: 2.11.1")
        return
    parent = os.getppid()
    with suppress(KeyboardInterrupt):
        uvloop.run(serve(options.workDir, options.socketPort, lambda: os.getppid() == parent))


if __name__ == "__main__":
    main()
