"""The metrics page: what is known at the moment of the scrape, in two forms.

The text is Prometheus' (version 0.0.4), from a registry of our own: nothing of the process, of
Python or of other libraries is in it. The names without a unit are those that users of an earlier
gateway already scrape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    UntypedMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from lingma_cli.metrics.tallies import Histogram, Tallies, Totals
from lingma_cli.metrics.values import EngineValues, SessionCacheValues, Snapshot

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_BREAKER_NUMBERS: Final[Mapping[str, int]] = {"closed": 0, "open": 1, "half_open": 2}


class MetricsPage:
    """Shows what `read` returns and what `tallies` holds.

    Args:
        read: looks at the server now.
        tallies: sums over exchanges that have ended.
    """

    def __init__(self, read: Callable[[], Snapshot], tallies: Tallies) -> None:
        self._read = read
        self._tallies = tallies
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Scrape(read, tallies))

    def text(self) -> bytes:
        """Return the page for Prometheus."""
        return generate_latest(self._registry)

    def as_json(self) -> dict[str, Any]:
        """Return the page for programs that would rather not read that."""
        now, tallies = self._read(), self._tallies
        return {
            "router": {
                "active_workers": sum(engine.is_ready for engine in now.engines),
                "worker_loads": {engine.name: engine.in_flight for engine in now.engines},
                "total_in_flight": sum(engine.in_flight for engine in now.engines),
            },
            "concurrency": door_as_json(now),
            "requests": {
                **totals_as_json(tallies.totals),
                "by_end": _nested(tallies.ends),
                "by_model": dict(tallies.models),
                "failed_attempts": dict(tallies.failures),
            },
            "engines": [_engine_as_json(engine) for engine in now.engines],
            "policies": _nested(tallies.choices),
            "session_cache": sessions_as_json(now.sessions),
            "seconds": {
                name: {protocol: _summary(each) for protocol, each in by_protocol.items()}
                for name, by_protocol in _histograms(tallies)
            },
        }


def totals_as_json(totals: Totals) -> dict[str, int]:
    """Return the plain counters as all routes show them."""
    return {
        "requests_total": totals.requests,
        "success_total": totals.success,
        "error_total": totals.error,
        "cancelled_total": totals.cancelled,
        "tokens_estimated_total": totals.tokens_estimated,
    }


def door_as_json(now: Snapshot) -> dict[str, int]:
    """Return who is inside and who waits, as `/metrics` and `/internal/stats` show it."""
    return {
        "in_flight": now.in_flight,
        "queued": now.queued,
        "rejected_total": now.rejected,
        "limit": now.limit,
        "parked": now.parked,
    }


def sessions_as_json(sessions: SessionCacheValues) -> dict[str, Any]:
    """Return the session cache as `/metrics` and `/internal/stats` show it."""
    return {
        "hits": sessions.hits,
        "misses": sessions.misses,
        "entries": sessions.entries,
        "bytes": sessions.bytes,
        "reasons": dict(sessions.reasons),
    }


class _Scrape(Collector):
    """Makes the families of one scrape."""

    def __init__(self, read: Callable[[], Snapshot], tallies: Tallies) -> None:
        self._read = read
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        now = self._read()
        yield from _door(now)
        yield from _totals(self._tallies.totals)
        yield from _engines(now.engines)
        yield from _sessions(now.sessions)
        yield from _ended(self._tallies)


def _door(now: Snapshot) -> Iterator[Metric]:
    yield _gauge("gateway_in_flight", "Requests inside.", now.in_flight)
    yield _gauge("gateway_queued", "Requests that wait at the door.", now.queued)
    yield _gauge("gateway_max_in_flight", "Requests that may be inside; 0: any.", now.limit)
    yield _gauge("gateway_parked", "Answers that wait for tool results.", now.parked)
    yield _counter("gateway_rejected", "Requests sent away at the door.", now.rejected)


def _totals(totals: Totals) -> Iterator[Metric]:
    yield _counter("gateway_chat_requests", "Exchanges that have ended.", totals.requests)
    # Counters, but their names were given without the ending that the format wants.
    for name, help_, value in (
        ("gateway_chat_requests_success", "Exchanges that ended well.", totals.success),
        ("gateway_chat_requests_error", "Exchanges that failed.", totals.error),
        ("gateway_chat_requests_cancelled", "Exchanges whose client left.", totals.cancelled),
        ("gateway_total_tokens_estimated", "Tokens of input and output.", totals.tokens_estimated),
    ):
        yield UntypedMetricFamily(name, help_, value=value)


def _engines(engines: Iterable[EngineValues]) -> Iterator[Metric]:
    pool = ("name", "idx")
    ready = GaugeMetricFamily("gateway_pool_instance_ready", "1: takes requests.", labels=pool)
    busy = GaugeMetricFamily("gateway_pool_instance_in_flight", "Requests on it.", labels=pool)
    state = GaugeMetricFamily(
        "gateway_engine_state", "1 for the state that it is in.", labels=("name", "state")
    )
    own = ("name",)
    starts = CounterMetricFamily("gateway_engine_starts", "Times it got ready.", labels=own)
    answered = CounterMetricFamily("gateway_engine_answered", "Requests done well.", labels=own)
    breaker = GaugeMetricFamily(
        "gateway_engine_breaker_state", "0: closed, 1: open, 2: half open.", labels=own
    )
    cooldown = GaugeMetricFamily(
        "gateway_engine_cooldown_seconds", "What is left of a rest after a quota.", labels=own
    )
    for index, engine in enumerate(engines):
        name = engine.name
        ready.add_metric((name, str(index)), engine.is_ready)
        busy.add_metric((name, str(index)), engine.in_flight)
        state.add_metric((name, engine.state), 1)
        starts.add_metric((name,), engine.generation)
        answered.add_metric((name,), engine.answered)
        breaker.add_metric((name,), _BREAKER_NUMBERS[engine.breaker])
        cooldown.add_metric((name,), engine.cooldown)
    yield from (ready, busy, state, starts, answered, breaker, cooldown)


def _sessions(sessions: SessionCacheValues) -> Iterator[Metric]:
    yield _counter("gateway_session_cache_hit", "Turns that went on in a session.", sessions.hits)
    yield _counter("gateway_session_cache_miss", "Turns that found none.", sessions.misses)
    yield _gauge("gateway_session_cache_entries", "Sessions kept.", sessions.entries)
    yield _gauge("gateway_session_cache_bytes", "Memory they take.", sessions.bytes)
    yield _counted("gateway_session_turns", "Turns, by what became of them.", sessions.reasons)


def _ended(tallies: Tallies) -> Iterator[Metric]:
    ends = CounterMetricFamily(
        "gateway_exchanges", "Exchanges, by their last word.", labels=("protocol", "end")
    )
    for words, count in tallies.ends.items():
        ends.add_metric(words, count)
    choices = CounterMetricFamily(
        "gateway_policy_choices", "Choices, by why.", labels=("policy", "branch")
    )
    for words, count in tallies.choices.items():
        choices.add_metric(words, count)
    tokens = CounterMetricFamily(
        "gateway_model_tokens", "Tokens, by model.", labels=("model", "direction")
    )
    for words, count in tallies.tokens.items():
        tokens.add_metric(words, count)
    models = CounterMetricFamily("gateway_model_requests", "Exchanges.", labels=("model",))
    for model, count in tallies.models.items():
        models.add_metric((model,), count)
    yield from (ends, choices, models, tokens)
    yield _counted("gateway_attempts_failed", "Failed attempts.", tallies.failures, "error")
    for name, by_protocol in _histograms(tallies):
        help_ = f"Seconds: {name.replace('_', ' ')}."
        family = HistogramMetricFamily(f"gateway_{name}_seconds", help_, labels=("protocol",))
        for protocol, each in by_protocol.items():
            family.add_metric((protocol,), buckets=list(each.buckets()), sum_value=each.seconds)
        yield family


def _histograms(tallies: Tallies) -> Iterator[tuple[str, Mapping[str, Histogram]]]:
    yield "first_token", tallies.first_token
    yield "chunk_gap", tallies.chunk_gap
    yield "request", tallies.total


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(name, help_, value=value)


def _counter(name: str, help_: str, value: float) -> Metric:
    return CounterMetricFamily(name, help_, value=value)


def _counted(name: str, help_: str, counts: Mapping[str, int], label: str = "reason") -> Metric:
    family = CounterMetricFamily(name, help_, labels=(label,))
    for word, count in counts.items():
        family.add_metric((word,), count)
    return family


def _engine_as_json(engine: EngineValues) -> dict[str, Any]:
    return {
        "name": engine.name,
        "state": engine.state,
        "ready": engine.is_ready,
        "in_flight": engine.in_flight,
        "generation": engine.generation,
        "answered": engine.answered,
        "breaker": engine.breaker,
        "cooldown_seconds": engine.cooldown,
    }


def _nested(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    nested: dict[str, dict[str, int]] = {}
    for (outer, inner), count in counts.items():
        nested.setdefault(outer, {})[inner] = count
    return nested


def _summary(histogram: Histogram) -> dict[str, Any]:
    return {
        "count": histogram.count,
        "sum": histogram.seconds,
        "buckets": dict(histogram.buckets()),
    }
