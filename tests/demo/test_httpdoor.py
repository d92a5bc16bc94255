"""HTTP on loopback."""

import asyncio
import http.client

import pytest

from lingma_cli.demo.httpdoor import HttpDoor, Request, Response, not_found, respond
from tests.demo.client import Demo


def nothing(_: Request) -> Response:
    """Know no path."""
    return not_found()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 404),
        ("127.0.0.1:37510", 404),
        ("LOCALHOST:1", 404),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost@evil", 403),
    ],
)
def test_only_loopback_names_pass(host: str, status: int) -> None:
    """Any other Host is refused before the path is looked at."""
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()

    assert (respond(head, nothing) or b"").startswith(f"HTTP/1.1 {status} ".encode())


def test_a_head_without_host_is_refused() -> None:
    """A body that looks like a header does not help."""
    came = b"GET / HTTP/1.1\r\n\r\nHost: localhost"

    assert (respond(came, nothing) or b"").startswith(b"HTTP/1.1 403 ")


def test_a_request_is_read() -> None:
    """Method, path, and the fields of query and body; the body's come last."""
    seen: list[Request] = []
    came = b"POST /p?a=1&b=%E4%BD%A0 HTTP/1.1\r\nHost: localhost\r\n\r\na=2&c="

    def look(request: Request) -> Response:
        seen.append(request)
        return not_found()

    respond(came, look)

    assert seen == [Request(method="POST", path="/p", fields={"a": "2", "b": "你", "c": ""})]


def test_a_redirect_and_its_manners() -> None:
    """The address goes into the head, and nothing of it into a cache or another site."""
    came = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = (respond(came, lambda _: Response(location="/next?x=1")) or b"").decode()

    assert answer.startswith("HTTP/1.1 303 See Other\r\n")
    assert "\r\nLocation: /next?x=1\r\n" in answer
    assert "\r\nCache-Control: no-store\r\n" in answer
    assert "\r\nReferrer-Policy: no-referrer\r\n" in answer


def test_no_answer_is_no_answer() -> None:
    """A dead site says nothing at all."""
    assert respond(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", lambda _: None) is None


def test_a_websocket_handshake_gets_404(demo: Demo) -> None:
    """The HTTP port is no WebSocket port."""
    connection = http.client.HTTPConnection("127.0.0.1", demo.note("listening")["httpPort"])
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    connection.request("GET", "/ws", headers=headers)
    response = connection.getresponse()

    assert (response.status, response.read()) == (404, b"404 Not Found\n")
    connection.close()


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it."""
        self.written += data

    def close(self) -> None:
        """Tell."""
        self.closed.set()


def test_a_request_may_come_in_pieces() -> None:
    """It is answered once, when its body is whole."""
    came = b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\na=12"
    door, wire = HttpDoor(lambda request: Response(body=request.fields["a"])), Wire()
    door.connection_made(wire)
    for place in range(len(came)):
        assert wire.written == b""
        door.data_received(came[place : place + 1])

    assert wire.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.written.endswith(b"\r\n\r\n12")


def test_an_answer_may_take_its_time() -> None:
    """Nothing comes at first, and everything later."""

    async def main() -> tuple[bytes, bytes]:
        door, wire = HttpDoor(nothing, delay=0.01), Wire()
        door.connection_made(wire)
        door.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        first = wire.written
        async with asyncio.timeout(5):
            await wire.closed.wait()
        return first, wire.written

    first, last = asyncio.run(main())

    assert first == b""
    assert last.startswith(b"HTTP/1.1 404 ")
