"""Records of exchanges, and a page read back by Prometheus' own parser."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from lingma_cli.core.events import Usage
from lingma_cli.core.gaps import GapCounter
from lingma_cli.core.record import Attempt, Record, Reuse, ReuseReason, Timings

Labels = frozenset[tuple[str, str]]


def record(
    *marks: float,
    protocol: str = "openai_chat",
    model: str = "m",
    end: str = "stop",
    errors: tuple[str, ...] = ("",),
    usage: Usage | None = None,
    total: float = 0.0,
) -> Record:
    """Return the record of an exchange.

    Args:
        marks: when its chunks came.
        errors: of its attempts, empty for the one that served.
    """
    gaps = GapCounter()
    for mark in marks:
        gaps.mark(mark)
    return Record(
        id="r",
        caller="key-1",
        protocol=protocol,
        model=model,
        engine="e",
        notes=(),
        attempts=tuple(Attempt(engine="e", generation=1, error=error) for error in errors),
        reuse=Reuse(reason=ReuseReason.FIRST_TURN),
        timings=Timings(first_event=marks[0] if marks else None, total=total, gaps=gaps.gaps()),
        usage=usage,
        end=end,
    )


def samples(page: bytes) -> Mapping[tuple[str, Labels], float]:
    """Return all values of a page by name and labels; no two are the same."""
    found: dict[tuple[str, Labels], float] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found
