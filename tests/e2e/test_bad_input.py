"""Whatever is sent, the answer is a 4xx in OpenAI's envelope: no 5xx, no traceback, no hang."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.serving import Serving

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
USER = '{"role": "user", "content": "hi"}'
BODIES = {
    "empty": (b"", None),
    "not JSON": (b"hello", None),
    "cut off": (b'{"messages": [', None),
    "an array": (b"[]", None),
    "a number": (b"7", None),
    "null": (b"null", None),
    "no messages": (b"{}", "messages"),
    "empty messages": (b'{"messages": []}', "messages"),
    "messages a text": (b'{"messages": "hi"}', "messages"),
    "message a text": (b'{"messages": ["hi"]}', "messages[0]"),
    "role a number": (b'{"messages": [{"role": 7}]}', "messages[0].role"),
    "unknown role": (b'{"messages": [{"role": "ghost", "content": "x"}]}', "messages[0].role"),
    "content a number": (b'{"messages": [{"role": "user", "content": 7}]}', "messages[0].content"),
    "part without text": (
        b'{"messages": [{"role": "user", "content": [{"type": "text"}]}]}',
        "messages[0].content[0].text",
    ),
    "stream a text": (f'{{"messages": [{USER}], "stream": "yes"}}'.encode(), "stream"),
    "model a number": (f'{{"messages": [{USER}], "model": 7}}'.encode(), "model"),
    "temperature a text": (
        f'{{"messages": [{USER}], "temperature": "hot"}}'.encode(),
        "temperature",
    ),
    "n nine": (f'{{"messages": [{USER}], "n": 9}}'.encode(), "n"),
    "NaN": (f'{{"messages": [{USER}], "temperature": NaN}}'.encode(), None),
    "Infinity": (f'{{"messages": [{USER}], "temperature": Infinity}}'.encode(), None),
    "huge number": (f'{{"messages": [{USER}], "seed": {"9" * 5000}}}'.encode(), None),
    "deep nesting": (b'{"messages": ' + b"[" * 100_000, None),
    "closed deep nesting": (b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", None),
    "lone surrogate": (rb'{"messages": [{"role": "user", "content": "\ud800"}]}', None),
    "not UTF-8": (b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', None),
    "NUL bytes": (b"\x00" * 64, None),
}


@pytest.mark.parametrize("name", BODIES)
def test_wrong_bodies(demo: Serving, name: str) -> None:
    """A wrong body gets a 400 that names the path, and is not echoed."""
    body, param = BODIES[name]

    answer = httpx.post(f"{demo.url}/v1/chat/completions", content=body, trust_env=False)

    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert answer.headers["x-should-retry"] == "false"
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    "limit", ["", "0", "101", "-1", "1.0", "x", "\u00b2", "\u0663", "1" * 5000]
)
def test_wrong_page_sizes(demo: Serving, limit: str) -> None:
    """What is no number from 1 to 100 is a 400 that names the parameter, however long it is."""
    talk = demo.post({}, "/v1/conversations").json()["id"]

    answer = demo.get(f"/v1/conversations/{talk}/items", params={"limit": limit})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


@pytest.mark.parametrize("value", [[], "", 0, False, "x", 5])
@pytest.mark.parametrize("name", ["metadata", "items"])
def test_wrong_conversations(demo: Serving, name: str, value: object) -> None:
    """A field of a wrong type is named, though it be empty; `null` is as good as absence."""
    answer = demo.post({name: value}, "/v1/conversations")

    if name == "items" and value == []:
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)
    assert demo.post({name: None}, "/v1/conversations").status_code == 200


def test_a_hundred_megabytes(demo: Serving) -> None:
    """A body over the limit is refused, declared or chunked, without being read to its end."""
    declared = raw(
        demo,
        POST + b"Content-Length: 104857600\r\n\r\n",
    )
    piece = b"x" * (1 << 20)
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
    chunked = raw(demo, POST + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 100)

    assert declared.startswith(b"HTTP/1.1 413 ")
    assert chunked.startswith(b"HTTP/1.1 413 ")
    assert json.loads(declared.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_large"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Odd: \xff\xfe\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xe4\xbd\xa0\r\n\r\n",
    ],
)
def test_odd_header_bytes_do_no_harm(demo: Serving, head: bytes) -> None:
    """Bytes that are not ASCII in a header value are no reason to fall over."""
    status = int(raw(demo, head).split(b" ")[1])

    assert status in {200, 400}


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/models HTTP/1.1\r\nHost: \xff\r\n\r\n", {400, 421}),
        (b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 421}),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n", {421}),
        (b"GET /healthz HTTP/1.1\r\n\r\n", {400, 421}),
        (
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n\r\n",
            {403},
        ),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}),
        (b"GET /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n\r\n", {405}),
        (b"nonsense\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", {431}),
    ],
)
def test_wrong_heads(demo: Serving, head: bytes, status: set[int]) -> None:
    """A head that is wrong, foreign or too large is refused in OpenAI's envelope."""
    answer = raw(demo, head)

    assert int(answer.split(b" ")[1]) in status
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]


def test_nothing_was_an_accident(demo: Serving) -> None:
    """None of all that left a traceback in the log."""
    assert "Traceback" not in demo.log


def raw(server: Serving, *pieces: bytes) -> bytes:
    """Send bytes as they are and return the first answer."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        seen = b""
        while b"\r\n\r\n" not in seen or not _complete(seen):
            more = client.recv(65536)
            if not more:
                break
            seen += more
        return seen


def _complete(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False
