"""The door: how many are inside, who waits, who is sent away."""

from __future__ import annotations

import concurrent.futures
from pathlib import Path

from tests.support.serving import serving, wait_until


def test_over_the_limit(tmp_path: Path) -> None:
    """One inside, one waits and times out with 429 and `Retry-After`, a third is refused."""
    options = ("--max-in-flight", "1", "--queue-size", "1", "--queue-timeout", "0.5")
    with (
        serving(tmp_path, "--demo", *options) as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):

        def concurrency() -> dict[str, int]:
            answer: dict[str, int] = server.get("/internal/stats").json()["concurrency"]
            return answer

        running = pool.submit(server.ask, "[[demo: chunks=40 delay=0.05]]")
        wait_until(lambda: concurrency()["in_flight"] == 1, within=5)
        waiting = pool.submit(server.ask, "hello")
        wait_until(lambda: concurrency()["queued"] == 1, within=5)
        refused = server.ask("hello")

        for answer in (refused, waiting.result()):
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "overloaded"
            assert int(answer.headers["retry-after"]) >= 1
            assert "x-should-retry" not in answer.headers
        assert running.result().status_code == 200
        idle = {"in_flight": 0, "queued": 0, "limit": 1, "parked": 0}
        assert concurrency() == idle | {"rejected_total": 2}


def test_waiting_in_line_is_enough(tmp_path: Path) -> None:
    """Twelve requests through two places are all served."""
    with (
        serving(tmp_path, "--demo", "--max-in-flight", "2") as server,
        concurrent.futures.ThreadPoolExecutor(12) as pool,
    ):
        answers = list(pool.map(lambda _: server.ask("[[demo: chunks=3 delay=0.01]]"), range(12)))

        assert [answer.status_code for answer in answers] == [200] * 12
        wait_until(lambda: server.in_flight() == 0, within=2)
