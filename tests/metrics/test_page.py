"""The metrics page, read back by Prometheus' own parser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lingma_cli.core.events import Usage
from lingma_cli.metrics.page import CONTENT_TYPE, MetricsPage
from lingma_cli.metrics.tallies import Tallies, Totals
from lingma_cli.metrics.values import EngineValues, SessionCacheValues, Snapshot
from tests.metrics.support import record, samples

EVIL = 'a"b\\c\nd'
NOW = Snapshot(
    in_flight=3,
    queued=2,
    rejected=7,
    limit=4,
    parked=5,
    engines=(
        EngineValues(name="inst-0", state="ready", is_ready=True, in_flight=2, generation=4),
        EngineValues(
            name=EVIL,
            state="error",
            is_ready=False,
            answered=8,
            breaker="half_open",
            cooldown=12.5,
        ),
    ),
    sessions=SessionCacheValues(
        hits=11, misses=12, entries=13, bytes=14, reasons={"continued": 11, "differs": 12}
    ),
)


def _page() -> MetricsPage:
    tallies = Tallies()
    usage = Usage(input_tokens=5, output_tokens=2)
    tallies.observe(record(0.3, 0.4, usage=usage, total=1.5))
    tallies.observe(record(end="engine_failed", errors=("engine_timeout", "engine_failed")))
    tallies.chosen("affinity", "sticky_hit")
    tallies.totals = Totals(requests=10, success=6, error=3, cancelled=1, tokens_estimated=99)
    return MetricsPage(lambda: NOW, tallies)


def test_the_names_that_users_scrape() -> None:
    """They are these, to the letter, with the values of this moment."""
    found = samples(_page().text())
    plain = {name: value for (name, labels), value in found.items() if not labels}
    expected = {
        "gateway_in_flight": 3,
        "gateway_queued": 2,
        "gateway_rejected_total": 7,
        "gateway_session_cache_hit_total": 11,
        "gateway_session_cache_miss_total": 12,
        "gateway_chat_requests_total": 10,
        "gateway_chat_requests_success": 6,
        "gateway_chat_requests_error": 3,
        "gateway_total_tokens_estimated": 99,
    }

    assert {name: plain[name] for name in expected} == expected
    for index, engine in enumerate(NOW.engines):
        labels = frozenset({("name", engine.name), ("idx", str(index))})
        assert found["gateway_pool_instance_ready", labels] == engine.is_ready
        assert found["gateway_pool_instance_in_flight", labels] == engine.in_flight


def test_all_the_rest() -> None:
    """Engines, breaker, cooldown, sessions, ends, attempts, models, policies and histograms."""
    found = samples(_page().text())
    expected = {
        ("gateway_max_in_flight", ()): 4,
        ("gateway_parked", ()): 5,
        ("gateway_chat_requests_cancelled", ()): 1,
        ("gateway_engine_state", (("name", "inst-0"), ("state", "ready"))): 1,
        ("gateway_engine_state", (("name", EVIL), ("state", "error"))): 1,
        ("gateway_engine_starts_total", (("name", "inst-0"),)): 4,
        ("gateway_engine_answered_total", (("name", EVIL),)): 8,
        ("gateway_engine_breaker_state", (("name", "inst-0"),)): 0,
        ("gateway_engine_breaker_state", (("name", EVIL),)): 2,
        ("gateway_engine_cooldown_seconds", (("name", EVIL),)): 12.5,
        ("gateway_session_cache_entries", ()): 13,
        ("gateway_session_cache_bytes", ()): 14,
        ("gateway_session_turns_total", (("reason", "differs"),)): 12,
        ("gateway_exchanges_total", (("protocol", "openai_chat"), ("end", "stop"))): 1,
        ("gateway_exchanges_total", (("protocol", "openai_chat"), ("end", "engine_failed"))): 1,
        ("gateway_attempts_failed_total", (("error", "engine_timeout"),)): 1,
        ("gateway_model_requests_total", (("model", "m"),)): 2,
        ("gateway_model_tokens_total", (("model", "m"), ("direction", "input"))): 5,
        ("gateway_policy_choices_total", (("policy", "affinity"), ("branch", "sticky_hit"))): 1,
        ("gateway_first_token_seconds_count", (("protocol", "openai_chat"),)): 1,
        ("gateway_first_token_seconds_bucket", (("protocol", "openai_chat"), ("le", "0.25"))): 0,
        ("gateway_first_token_seconds_bucket", (("protocol", "openai_chat"), ("le", "0.5"))): 1,
        ("gateway_chunk_gap_seconds_count", (("protocol", "openai_chat"),)): 1,
        ("gateway_request_seconds_sum", (("protocol", "openai_chat"),)): 1.5,
        ("gateway_request_seconds_bucket", (("protocol", "openai_chat"), ("le", "+Inf"))): 2,
    }

    assert {key: found.get((key[0], frozenset(key[1]))) for key in expected} == expected


def test_the_format() -> None:
    """Every family is described before its samples, and all are ours."""
    page = _page().text().decode()
    lines = page.splitlines()
    described = [line.split()[2] for line in lines if line.startswith("# TYPE ")]

    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"
    assert page.endswith("\n")
    assert len(described) == len(set(described))
    assert all(name.startswith("gateway_") for name in described)
    assert "# TYPE gateway_in_flight gauge" in lines
    assert "# TYPE gateway_rejected_total counter" in lines
    assert "# TYPE gateway_chat_requests_success untyped" in lines
    assert "# TYPE gateway_first_token_seconds histogram" in lines


def test_every_scrape_looks_anew() -> None:
    """Nothing is kept from the scrape before."""
    seen: list[Snapshot] = []

    def read() -> Snapshot:
        seen.append(Snapshot(in_flight=len(seen)))
        return seen[-1]

    page = MetricsPage(read, Tallies())

    assert [samples(page.text())["gateway_in_flight", frozenset()] for _ in range(3)] == [0, 1, 2]


def test_as_json() -> None:
    """The same values, in the shape that a router's clients know and beside it."""
    value = json.loads(json.dumps(_page().as_json()))

    assert value["router"] == {
        "active_workers": 1,
        "worker_loads": {"inst-0": 2, EVIL: 0},
        "total_in_flight": 2,
    }
    assert value["concurrency"] == {
        "in_flight": 3,
        "queued": 2,
        "rejected_total": 7,
        "limit": 4,
        "parked": 5,
    }
    assert (
        value["requests"].items()
        >= {
            "requests_total": 10,
            "success_total": 6,
            "error_total": 3,
            "cancelled_total": 1,
            "tokens_estimated_total": 99,
        }.items()
    )
    assert value["requests"]["by_end"] == {"openai_chat": {"stop": 1, "engine_failed": 1}}
    assert value["engines"][1]["breaker"] == "half_open"
    assert value["policies"] == {"affinity": {"sticky_hit": 1}}
    assert value["session_cache"]["reasons"] == {"continued": 11, "differs": 12}
    gaps = value["seconds"]["chunk_gap"]["openai_chat"]
    assert (gaps["count"], gaps["buckets"]["+Inf"]) == (1, 1)


PAPER = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def test_the_paper_names_every_family_with_its_labels() -> None:
    """And none that is not there."""
    page = _page().text()
    described = re.findall(r"^# TYPE (\w+) \w+$", page.decode(), re.MULTILINE)
    labels: dict[str, set[str]] = {name: set() for name in described}
    for name, pairs in samples(page):
        family = name if name in labels else re.sub(r"_(bucket|sum|count)$", "", name)
        labels[family] |= {label for label, _ in pairs} - {"le"}
    rows = re.findall(r"^\| `(gateway_\w+)` \|([^|]*)\|", PAPER, re.MULTILINE)

    assert {name: set(re.findall(r"`(\w+)`", said)) for name, said in rows} == labels
    assert len(rows) == len(described)


def test_the_paper_names_every_key_of_the_json() -> None:
    """In the order in which they come."""
    value = _page().as_json()
    value["engines"] = value["engines"][0]
    # Policies, protocols and models are no names of ours.
    value["policies"], value["seconds"] = {}, dict.fromkeys(value["seconds"])
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", PAPER.partition("## As JSON")[2], re.MULTILINE)

    assert [(key, re.findall(r"`(\w+)`", said)) for key, said in rows] == [
        (key, list(inner)) for key, inner in value.items()
    ]
