"""Signals: running answers finish, late ones end properly, nobody waits for ever."""

from __future__ import annotations

import concurrent.futures
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.e2e.test_faults import streamed_text
from tests.support.serving import Serving, serving, wait_until


def start_stream(
    pool: concurrent.futures.Executor, server: Serving, directive: str
) -> concurrent.futures.Future[httpx.Response]:
    """Ask in another thread and return once the answer is under way."""
    answer = pool.submit(server.ask, f"[[demo: {directive}]]", stream=True)
    wait_until(lambda: server.in_flight() > 0, within=5)
    return answer


def refuses_connections(server: Serving) -> bool:
    """Tell whether the server has stopped accepting."""
    try:
        server.get("/healthz")
    except httpx.TransportError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_running_answers_finish(tmp_path: Path, number: signal.Signals) -> None:
    """After one signal a running stream completes, new requests are refused, exit code is 0."""
    with (
        serving(tmp_path, "--demo") as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        running = start_stream(pool, server, "chunks=20 delay=0.05")
        server.process.send_signal(number)
        wait_until(lambda: refuses_connections(server), within=5)

        assert streamed_text(running.result().text).split()[-1] == "20"
        assert server.process.wait(10) == 0


def test_answers_that_take_too_long_end_with_an_error(tmp_path: Path) -> None:
    """When the drain is over, a stream ends as an error event and a waiting one as a status."""
    with (
        serving(tmp_path, "--demo", "--drain-timeout", "0.3") as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        running = start_stream(pool, server, "chunks=2000 delay=0.05")
        started = time.monotonic()
        assert server.stop() == 0

        assert time.monotonic() - started < 5
        assert '"code":"shutting_down"' in running.result().text
        assert "[DONE]" not in running.result().text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """The second signal does not wait; the exit code names it; no process stays."""
    with (
        serving(tmp_path, "--demo") as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        running = start_stream(pool, server, "chunks=2000 delay=0.05")
        family = server.children()
        server.process.send_signal(number)
        wait_until(lambda: refuses_connections(server), within=5)
        server.process.send_signal(number)

        assert server.process.wait(2) == 128 + number
        _, alive = psutil.wait_procs(family, timeout=2)
        assert alive == []
        assert isinstance(running.exception(), httpx.TransportError)


def test_who_waits_in_the_queue_is_sent_away(tmp_path: Path) -> None:
    """A queued request gets a 503 at shutdown, not a cut connection."""
    with (
        serving(tmp_path, "--demo", "--max-in-flight", "1") as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        running = start_stream(pool, server, "chunks=20 delay=0.05")
        waiting = pool.submit(server.ask, "hello")
        wait_until(
            lambda: server.get("/internal/stats").json()["concurrency"]["queued"] == 1, within=5
        )
        assert server.stop() == 0

        assert waiting.result().status_code == 503
        assert waiting.result().json()["error"]["code"] == "shutting_down"
        assert streamed_text(running.result().text)
