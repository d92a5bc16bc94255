"""A Lingma with odd habits: a real process that speaks the local protocol, but not always well.

Runs as the binary does: `odd_lingma.py start --workDir DIR --socketPort PORT …`. The habit of the
process is named by `LINGMA_DEMO_ODD`; what happens during one answer is chosen by the question.
What it hears and pushes is written to `odd.jsonl` in the work folder. Imports nothing of the
product: two ends that share code share their misreadings.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SEND_EOF
from websockets.server import ServerProtocol

# A method and its parameters.
Push = tuple[str, dict[str, Any]]

INTERNAL_ERROR: Final = -32603
LATE_SECONDS: Final = 6.0
FLOOD_PUSHES, FLOOD_PIECE = 200, "x" * 100_000
SECRETS: Final = ("rt-1234567890abcdef", "pt-abcdef0987654321", "state=abc", "token=qwertyuiop")
LAST_WORDS: Final = "fatal: {3} {0} {1} https://login.example/callback?{2}".format(*SECRETS)

# What the deaf one still understands; all else it ignores, as if it had never come.
BASIC_METHODS: Final = {"initialize", "auth/status", "config/queryModels", "chat/ask"}
LOGINS: Final[dict[str, dict[str, Any]]] = {
    "id-null": {"status": 2, "id": None},
    "id-number": {"status": 2, "id": 12345},
    "undecided": {"status": 3, "id": "u1"},
}
MODELS: Final = {"chat": [{"key": "org_auto", "displayName": "Auto", "isDefault": True}]}
# Pushed in front of an ordinary answer to the question of that name.
ODD_PUSHES: Final[dict[str, tuple[str, Any]]] = {
    "async-null": (
        "tool/invoke",
        {"requestId": "other", "toolCallId": "t1", "name": "read_file", "async": None},
    ),
    "items-null": ("workspace/configuration", {"items": None}),
    "params-null": ("workspace/configuration", None),
    "status-empty": ("chat/finish", {"requestId": "other", "statusCode": "", "reason": "x"}),
    "error-array": ("error", ["it broke"]),
    # Written as an escape: valid UTF-8, and still no character.
    "lone-surrogate": ("chat/answer", {"requestId": "other", "text": "\ud83d"}),
}
# The pushes that answer the question of that name; their ids are added.
FINISH: Final[Push] = ("chat/finish", {"statusCode": 200, "reason": "success", "fullAnswer": ""})
FINE: Final[list[Push]] = [("chat/answer", {"text": "fine"}), FINISH]
ANSWERS: Final[dict[str, list[Push]]] = {
    "content": [("chat/answer", {"text": "", "content": "abc"}), FINISH],
    "flood": [*[("chat/answer", {"text": FLOOD_PIECE})] * FLOOD_PUSHES, FINISH],
    "tool-and-close": [
        ("tool/call/sync", {"toolCallId": "t1", "toolCallStatus": "PENDING"}),
        ("chat/answer", {"text": "a whole answer"}),
        FINISH,
    ],
    "reason-number": [FINE[0], ("chat/finish", {"statusCode": 200, "reason": 0})],
    "busy": [("chat/finish", {"statusCode": 429, "reason": "too many requests, slow down"})],
    "used-up": [("chat/finish", {"statusCode": 429, "reason": "the daily quota is used up"})],
}
# The error with which `chat/ask` itself is refused.
REFUSALS: Final[dict[str, dict[str, Any]]] = {
    "code-text": {"code": "QUOTA", "message": "daily limit"},
    "message-null": {"code": -32000, "message": None},
}


@dataclass
class Binary:
    """What all connections of the process share."""

    habit: str
    work_dir: Path
    port: int
    pushes: int = 0

    def note(self, **entry: object) -> None:
        """Write one line into the journal."""
        with (self.work_dir / "odd.jsonl").open("a") as journal:
            journal.write(json.dumps({"time": time.time(), **entry}) + "\n")

    def announce(self) -> None:
        """Write both info files."""
        address = {"websocketPort": self.port, "pid": os.getpid()}
        (self.work_dir / ".info").write_text(f"{self.port}\n{os.getpid()}\n")
        (self.work_dir / ".info.json").write_text(json.dumps(address))


@dataclass(frozen=True)
class Ask:
    """One question."""

    rpc_id: int
    request_id: str
    session_id: str
    question: str


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, binary: Binary) -> None:
        self._binary = binary
        self._ws = ServerProtocol(max_size=None)
        self._held: list[Ask] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note that somebody came."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._binary.note(connected=True)
        if self._binary.habit == "handshake-garbage":
            transport.write(b"\x00\x01220 mail.example ready\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        """Hear what came, then send all there is to say in one write."""
        if self._binary.habit.startswith("handshake-"):
            return
        self._ws.receive_data(data)
        for event in self._ws.events_received():
            if isinstance(event, Request):
                self._ws.send_response(self._ws.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                # The client sends one message a frame.
                self._hear(json.loads(bytes(event.data).partition(b"\r\n\r\n")[2]))
        self._flush()

    def _flush(self) -> None:
        pieces = self._ws.data_to_send()
        if not self._transport.is_closing():
            self._transport.write(b"".join(pieces))
            if SEND_EOF in pieces:
                self._transport.close()

    def _hear(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params") or {}
        if method is None:
            self._binary.note(acknowledged=message.get("id"))
            return
        self._binary.note(method=method, session=params.get("sessionId"))
        habit, rpc_id = self._binary.habit, message.get("id")
        if rpc_id is None or (habit == "deaf" and method not in BASIC_METHODS):
            return
        match method:
            case "auth/status" if habit == "login-refused":
                self._refuse(rpc_id, {"code": INTERNAL_ERROR, "message": "not login"})
            case "auth/status":
                self._reply(rpc_id, LOGINS.get(habit, {"status": 2, "id": "u1"}))
            case "config/queryModels" if habit == "models-refused":
                self._refuse(rpc_id, {"code": INTERNAL_ERROR, "message": "internal error"})
            case "config/queryModels":
                self._reply(rpc_id, MODELS)
                if habit == "cycle":
                    asyncio.get_running_loop().call_later(0.02, self._transport.close)
            case "chat/ask":
                words = (params["requestId"], params["sessionId"], params["questionText"])
                self._answer(Ask(rpc_id, *words))
            case "chat/stop" if habit == "never-stops":
                return
            case _:
                self._reply(rpc_id, {})

    def _answer(self, ask: Ask) -> None:
        match ask.question:
            case "silent":
                return
            case "hold":
                self._play(ask, [("chat/answer", {"text": "one "})])
                self._held.append(ask)
            case "late":
                asyncio.get_running_loop().call_later(LATE_SECONDS, self._answer_late, ask)
            case question if question in REFUSALS:
                self._refuse(ask.rpc_id, REFUSALS[question])
            case question:
                self._answer_at_once(ask, question)

    def _answer_late(self, ask: Ask) -> None:
        self._play(ask, FINE)
        self._flush()

    def _answer_at_once(self, ask: Ask, question: str) -> None:
        if question in ODD_PUSHES:
            self._push(question, *ODD_PUSHES[question])
        if question == "release":
            for held in self._held:
                self._play(held, [("chat/answer", {"text": "two"}), FINISH])
            self._held.clear()
        self._play(ask, ANSWERS.get(question, FINE))
        if question == "tool-and-close":
            self._ws.send_close(1000)

    def _play(self, ask: Ask, pushes: list[Push]) -> None:
        ids = {"requestId": ask.request_id, "sessionId": ask.session_id}
        for method, params in pushes:
            self._push(ask.question, method, ids | params)

    def _push(self, question: str, method: str, params: Any) -> None:
        self._binary.pushes += 1
        self._binary.note(pushed=self._binary.pushes, question=question)
        self._send({"id": self._binary.pushes, "method": method, "params": params})

    def _reply(self, rpc_id: int, result: Any) -> None:
        self._send({"id": rpc_id, "result": result})

    def _refuse(self, rpc_id: int, error: dict[str, Any]) -> None:
        self._send({"id": rpc_id, "error": error})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self._ws.send_text(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


async def serve(binary: Binary) -> None:
    """Listen until killed."""
    host = "::1" if binary.habit == "other-loopback" else "127.0.0.1"
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(binary), host, binary.port)
    binary.announce()
    await server.serve_forever()


def main() -> int:
    """Run with the flags that the product passes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--workDir", type=Path, required=True)
    parser.add_argument("--socketPort", type=int, required=True)
    flags, _ = parser.parse_known_args()
    binary = Binary(os.environ.get("LINGMA_DEMO_ODD", ""), flags.workDir, flags.socketPort)
    binary.note(started=os.getpid())
    if binary.habit == "last-words":
        sys.stdout.write(f"{LAST_WORDS}\n")
        return 3
    asyncio.run(serve(binary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
