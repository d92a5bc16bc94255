"""The scripted Lingma, driven over its own wire by a plain WebSocket client."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from benchmarks.frames import take_message
from benchmarks.port_file import read_port
from benchmarks.processes import running, wait_until, write_launcher
from benchmarks.script import Script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs CPU clocks and affinity")

LIMIT = 10


class Wire:
    """JSON-RPC in Content-Length frames, cut into WebSocket messages of odd sizes."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._buffer = bytearray()

    def send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0"} | message).encode()
        framed = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        self._socket.send(framed[:7])
        self._socket.send(framed[7:].decode())

    def receive(self) -> dict[str, Any]:
        while (message := take_message(self._buffer)) is None:
            received = self._socket.recv(timeout=LIMIT)
            self._buffer += received.encode() if isinstance(received, str) else received
        return message

    def call(self, method: str) -> dict[str, Any]:
        self.send(id=1, method=method, params={})
        return self.receive()

    def ask(self, script: Script) -> None:
        params = {"requestId": "r", "sessionId": "", "questionText": script.prompt()}
        self.send(id="ask", method="chat/ask", params=params)

    def receive_pushes(self, count: int) -> list[dict[str, Any]]:
        """The next pushes, without the responses that may come between them."""
        pushes: list[dict[str, Any]] = []
        while len(pushes) < count:
            message = self.receive()
            if "method" in message:
                pushes.append(message)
        return pushes


@contextmanager
def scripted_lingma(folder: Path) -> Iterator[int]:
    binary = write_launcher(folder / "lingma", min(os.sched_getaffinity(0)))
    command: list[str | Path] = [binary, "start", "--workDir", folder, "--socketPort=0"]
    command += ["--httpPort", "0", "--transportType", "websocket"]
    with running(command, folder / "log", min(os.sched_getaffinity(0))) as process:
        yield wait_until(lambda: read_port(folder / ".info.json"), "the scripted Lingma", process)
        assert json.loads((folder / ".info.json").read_text())["pid"] == process.pid


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with scripted_lingma(tmp_path_factory.mktemp("work")) as port:
        yield port


@pytest.fixture
def wire(port: int) -> Iterator[Wire]:
    with connect(f"ws://127.0.0.1:{port}/", proxy=None) as socket:
        yield Wire(socket)


def test_handshake_shows_a_logged_in_account_with_a_model(wire: Wire) -> None:
    """A client that checks the login and lists models gets what it needs."""
    assert wire.call("initialize")["result"]["serverInfo"]["name"] == "lingma"
    assert wire.call("auth/status")["result"]["status"] == 2
    assert wire.call("config/queryModels")["result"]["chat"][0]["key"] == "org_auto"
    assert wire.call("tool/unknown")["error"]["code"] == -32601


@pytest.mark.parametrize("rate", [0, 1000])
def test_an_ask_plays_its_script(wire: Wire, rate: int) -> None:
    """All chunks arrive in order, then a good finish, at full speed and paced."""
    script = Script(stream=3, chunks=70, rate=rate)

    wire.ask(script)

    *answers, finish = wire.receive_pushes(71)
    assert script.texts() == [answer["params"]["text"] for answer in answers]
    assert {"chat/answer"} == {answer["method"] for answer in answers}
    assert finish["method"] == "chat/finish"
    assert finish["params"]["statusCode"] == 200
    assert not any("id" in push for push in [*answers, finish])


def test_the_end_waits_for_every_acknowledgement(wire: Wire) -> None:
    """A stream with ids does not finish while one push is unanswered."""
    wire.ask(Script(stream=0, chunks=3, rate=0, ids=True))
    answers = wire.receive_pushes(3)

    for answer in answers[1:]:
        wire.send(id=answer["id"], result=None)
    assert wire.call("ping")["id"] == 1
    wire.send(id=answers[0]["id"], result=None)

    assert wire.receive_pushes(1)[0]["method"] == "chat/finish"


def test_stop_ends_a_stream(wire: Wire) -> None:
    """A cancelled ask finishes at once and sends no more text."""
    wire.ask(Script(stream=0, chunks=100_000, rate=100))
    wire.receive_pushes(2)

    wire.send(id=2, method="chat/stop", params={"requestId": "r", "sessionId": ""})

    pushes = wire.receive_pushes(1)
    while pushes[-1]["method"] == "chat/answer":  # sent before the stop arrived
        pushes = wire.receive_pushes(1)
    assert pushes[-1]["params"]["reason"] == "cancelled"
