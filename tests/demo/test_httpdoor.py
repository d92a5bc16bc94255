"""The local HTTP port."""

import http.client

import pytest

from lingma_cli.demo.httpdoor import respond
from tests.demo.client import Demo


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

    assert respond(head).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_head_without_host_is_refused() -> None:
    """A body that looks like a header does not help."""
    assert respond(b"GET / HTTP/1.1\r\n\r\nHost: localhost").startswith(b"HTTP/1.1 403 ")


def test_a_websocket_handshake_gets_404(demo: Demo) -> None:
    """The HTTP port is no WebSocket port."""
    connection = http.client.HTTPConnection("127.0.0.1", demo.note("listening")["httpPort"])
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    connection.request("GET", "/ws", headers=headers)
    response = connection.getresponse()

    assert (response.status, response.read()) == (404, b"404 Not Found\n")
    connection.close()
