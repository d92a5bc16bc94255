"""`/metrics` of a running server."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.metrics.support import samples
from tests.support.serving import serving

NOTHING: frozenset[tuple[str, str]] = frozenset()
PROTOCOL = frozenset({("protocol", "openai_chat")})
KEY, METRICS_TOKEN = "api-key-0123456789abc", "metrics-token-01234567"


def test_what_requests_leave_in_the_metrics(tmp_path: Path) -> None:
    """A stream, a whole answer and a refusal are counted; both forms tell the same."""
    with serving(tmp_path, "--demo") as server:
        assert server.ask("[[demo: chunks=8 delay=0.03]]", stream=True).status_code == 200
        assert server.ask("hello").status_code == 200
        assert server.ask("[[demo: finish=500]]").status_code == 502
        found = samples(server.get("/metrics").content)
        value = server.get("/metrics", headers={"accept": "application/json"}).json()
        stats = server.get("/internal/stats").json()

    assert found["gateway_chat_requests_total", NOTHING] == 3
    assert found["gateway_chat_requests_success", NOTHING] == 2
    assert found["gateway_chat_requests_error", NOTHING] == 1
    failed = frozenset({*PROTOCOL, ("end", "engine_failed")})
    assert found["gateway_exchanges_total", failed] == 1
    assert found["gateway_total_tokens_estimated", NOTHING] > 0
    assert found["gateway_in_flight", NOTHING] == 0
    assert found["gateway_request_seconds_count", PROTOCOL] == 3
    assert found["gateway_first_token_seconds_count", PROTOCOL] >= 2
    assert found["gateway_chunk_gap_seconds_count", PROTOCOL] > 0
    (name,) = value["router"]["worker_loads"]
    assert found["gateway_pool_instance_ready", frozenset({("name", name), ("idx", "0")})] == 1
    assert value["requests"].items() >= stats["stats"].items()
    assert stats["stats"]["requests_total"] == 3
    # Which turns these were is for holders of the admin token.
    assert stats["session_cache"].pop("last_turns")
    assert value["session_cache"] == stats["session_cache"]


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_who_may_see_them(tmp_path: Path, accept: str) -> None:
    """The holder of the metrics token, in both forms; and no key is in them."""
    environ = {"LINGMA_API_KEYS": KEY, "LINGMA_METRICS_TOKEN": METRICS_TOKEN}
    with serving(tmp_path, "--demo", environ=environ) as server:

        def get(token: str) -> httpx.Response:
            return server.get(
                "/metrics", headers={"accept": accept, "authorization": f"Bearer {token}"}
            )

        seen, refused = get(METRICS_TOKEN), get(KEY)

    assert (seen.status_code, refused.status_code) == (200, 401)
    assert KEY not in seen.text
    assert METRICS_TOKEN not in seen.text
