"""A client that leaves, at every point, in both modes: Lingma is told within a second."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from tests.support.serving import Serving, wait_until


def leave_during(server: Serving, directive: str, *, stream: bool, after: bytes) -> float:
    """Ask, read until `after` has come, hang up; return when that was."""
    question = {"role": "user", "content": f"[[demo: {directive}]]"}
    body = json.dumps({"model": "org_auto", "messages": [question], "stream": stream}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    )
    address = urlsplit(server.url)
    asks = len(stops_and_asks(server, "chat/ask"))
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(head.encode() + b"\r\n" + body)
        wait_until(lambda: len(stops_and_asks(server, "chat/ask")) > asks, within=5)
        seen = b""
        while after not in seen:
            seen += client.recv(65536)
    return time.time()


def stops_and_asks(server: Serving, method: str) -> list[dict[str, object]]:
    """Return what the demo received of one method."""
    return [entry for entry in server.journal_entries() if entry.get("method") == method]


@pytest.mark.parametrize(
    ("directive", "stream", "after"),
    [
        ("first=30", True, b""),
        ("first=30", False, b""),
        ("chunks=1000 delay=0.02", True, b'3"}'),
        ("chunks=1000 delay=0.02", False, b""),
        ("hang after=2", True, b"data: "),
    ],
    ids=["before-stream", "before-whole", "mid-stream", "mid-whole", "hanging"],
)
def test_leaving_stops_the_answer(
    demo: Serving, directive: str, stream: bool, after: bytes
) -> None:
    """`chat/stop` arrives within a second and everything taken is given back."""
    before = len(stops_and_asks(demo, "chat/stop"))

    left = leave_during(demo, directive, stream=stream, after=after)

    wait_until(lambda: demo.in_flight() == 0, within=2, what="released leases")
    if "hang" in directive:
        # A hanging process takes nothing in: it is noticed and replaced.
        assert demo.ask("hello").status_code in {200, 504}
        assert demo.ask("hello").status_code == 200
        return
    wait_until(lambda: len(stops_and_asks(demo, "chat/stop")) == before + 1, within=2)
    stop = stops_and_asks(demo, "chat/stop")[-1]
    assert float(str(stop["time"])) - left < 1.0


def test_late_pieces_of_a_cancelled_answer_reach_nobody(demo: Serving) -> None:
    """What Lingma still sends after a stop is dropped; the next answer is clean."""
    leave_during(demo, "chunks=1000 delay=0.01 late=5", stream=True, after=b'3"}')

    answer = demo.ask('[[demo: say="clean"]]')

    assert answer.json()["choices"][0]["message"]["content"] == "clean"


def test_a_silent_answer_is_given_up(demo_with_short_patience: Serving) -> None:
    """Silence before or after the first piece ends as a time-out, and upstream is stopped."""
    server = demo_with_short_patience

    early = server.ask("[[demo: first=30]]")
    late = server.ask("[[demo: end=silence]]", stream=True)

    assert (early.status_code, early.json()["error"]["code"]) == (504, "engine_timeout")
    assert late.status_code == 200
    assert '"code":"engine_timeout"' in late.text.splitlines()[-2]
    assert "[DONE]" not in late.text
    wait_until(lambda: len(stops_and_asks(server, "chat/stop")) == 2, within=2)


def test_a_frozen_process_does_not_freeze_the_server(demo_with_short_patience: Serving) -> None:
    """A process whose loop stands still costs its own answers a time-out and nothing else."""
    server = demo_with_short_patience

    answer = server.ask("[[demo: freeze=6 after=1]]")

    assert answer.status_code == 504
    assert server.get("/healthz").status_code == 200
    wait_until(lambda: server.ask("hello").status_code == 200, within=10)
