"""A real HTTP server that answers from a script and remembers what it was asked."""

import json
import socket
import ssl
import struct
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


class _Reset:
    """A piece at which the server resets the connection."""


@dataclass(frozen=True)
class Until:
    """A piece at which the server waits for the test, ten seconds at most."""

    told: threading.Event


UNTIL_CLIENT_LEAVES = _UntilClientLeaves()
BREAK_OFF = _BreakOff()
RESET = _Reset()
Piece = bytes | _UntilClientLeaves | _BreakOff | _Reset | Until


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer; its body is sent piece by piece.

    Attributes:
        before: what happens before the head; a hang-up there leaves the request without a byte.
        raw: bytes that are sent instead of an HTTP head and body.
        hangs_up: whether the connection is closed after the answer, without a word about it.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[Piece] = ()
    before: Sequence[Piece] = ()
    raw: bytes | None = None
    hangs_up: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int = 0

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
        self.chat_came = threading.Event()

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


def event(value: Any) -> bytes:
    """Return one event of a stream."""
    return b"data: %b\n\n" % json.dumps(value, ensure_ascii=False).encode()


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> bytes:
    """Return one chunk with these fields in its delta."""
    return event({"choices": [{"index": index, "delta": fields, "finish_reason": finish}]})


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
        source: int = self.client_address[1]
        asked = Asked(path=self.path, headers=headers, body=body, connection=source)
        self.told.asked.append(asked)
        reply = self.told.next_reply(self.path)
        if self.path.endswith("/chat/completions"):
            self.told.chat_came.set()
        if not self._perform(reply.before):
            return
        if reply.hangs_up or reply.raw is not None:
            self.close_connection = True
        if reply.raw is not None:
            self.wfile.write(reply.raw)
            return
        self.send_response(reply.status)
        for name, value in {**reply.headers, "transfer-encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            if self._perform(reply.pieces):
                self.wfile.write(b"0\r\n\r\n")
        except ConnectionError:
            self.close_connection = True
            self.told.client_left.set()

    def _perform(self, pieces: Sequence[Piece]) -> bool:
        """Send pieces and do what they order; false when the connection is over."""
        for piece in pieces:
            if isinstance(piece, bytes):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            elif isinstance(piece, Until):
                piece.told.wait(10)
            else:
                self._hang_up(piece)
                return False
        return True

    def _hang_up(self, piece: Piece) -> None:
        self.close_connection = True
        if isinstance(piece, _Reset):
            # Closing with nothing to linger for sends a reset instead of a farewell.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif isinstance(piece, _UntilClientLeaves):
            with suppress(ConnectionError):
                self.connection.recv(1)
            self.told.client_left.set()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def openai_server(
    tls: ssl.SSLContext | None = None, **replies: Reply | Sequence[Reply]
) -> Iterator[OpenAiServer]:
    """Serve `chat`, `models`, `stats` … from `replies`; `/healthz` is well unless told otherwise.

    Args:
        tls: serve https with it.
        replies: by the names in `paths`.
    """
    paths = {
        "engine_health": "/health",
        "embeddings": "/v1/embeddings",
        "completions": "/v1/completions",
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
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    told = OpenAiServer(f"{scheme}://127.0.0.1:{server.server_address[1]}", script)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"told": told})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
