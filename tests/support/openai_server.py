"""A real HTTP server that answers from a script and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar


class _UntilClientLeaves:
    """A piece at which the server waits until the client hangs up."""


class _BreakOff:
    """A piece at which the server hangs up in the middle of the body."""


UNTIL_CLIENT_LEAVES = _UntilClientLeaves()
BREAK_OFF = _BreakOff()
Piece = bytes | _UntilClientLeaves | _BreakOff


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer; its body is sent piece by piece."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[Piece] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.body)


class OpenAiServer:
    """What the test sees of the server: the script and the requests so far."""

    def __init__(self, url: str, replies: dict[str, list[Reply]]) -> None:
        self.url = url
        self.replies = replies
        self.asked: list[Asked] = []
        self.client_left = threading.Event()

    def next_reply(self, path: str) -> Reply:
        """Return the next reply for `path`; the last one is repeated."""
        replies = self.replies.get(path) or [Reply(status=404)]
        return replies.pop(0) if len(replies) > 1 else replies[0]


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status=status, pieces=[json.dumps(value).encode()])


def error_reply(status: int, message: str, code: str) -> Reply:
    """Return OpenAI's error object."""
    return json_reply({"error": {"message": message, "code": code, "param": None}}, status)


def chunk(text: str = "", reasoning: str = "", finish: str | None = None) -> bytes:
    """Return one chunk of a streamed answer."""
    delta = {"content": text} if text else {}
    delta |= {"reasoning_content": reasoning} if reasoning else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "model": "org_auto", "choices": [choice]}
    return b"data: %b\n\n" % json.dumps(body).encode()


def answer(*texts: str, reasoning: str = "", headers: Mapping[str, str] | None = None) -> Reply:
    """Return a complete streamed answer of `texts`."""
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}
    pieces = [
        *([chunk(reasoning=reasoning)] if reasoning else []),
        *map(chunk, texts),
        chunk(finish="stop"),
        b"data: %b\n\n" % json.dumps(usage).encode(),
        b"data: [DONE]\n\n",
    ]
    return Reply(headers=headers or {}, pieces=pieces)


class _Handler(BaseHTTPRequestHandler):
    told: ClassVar[OpenAiServer]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.told.asked.append(Asked(path=self.path, headers=headers, body=body))
        reply = self.told.next_reply(self.path)
        self.send_response(reply.status)
        for name, value in {**reply.headers, "transfer-encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        self._send(reply.pieces)

    def _send(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, _BreakOff):
                self.close_connection = True
                return
            if isinstance(piece, _UntilClientLeaves):
                with suppress(ConnectionError):
                    self.connection.recv(1)
                self.told.client_left.set()
                self.close_connection = True
                return
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def openai_server(**replies: Reply | Sequence[Reply]) -> Iterator[OpenAiServer]:
    """Serve `chat`, `models`, `stats` from `replies`; `/healthz` is well unless told otherwise."""
    paths = {
        "chat": "/v1/chat/completions",
        "models": "/v1/models",
        "stats": "/internal/stats",
        "health": "/healthz",
    }
    well = json_reply({"ok": True, "instances": [{"name": "demo-0", "state": "ready"}]})
    script = {"/healthz": [well]}
    for name, reply in replies.items():
        script[paths[name]] = [reply] if isinstance(reply, Reply) else list(reply)

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    told = OpenAiServer(f"http://127.0.0.1:{server.server_address[1]}", script)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"told": told})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
