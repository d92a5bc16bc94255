"""From samples to the table and the JSON.

Owns medians, ratios and layout; reads no clock. Ratios are taken within a round, where both
sides met the same machine, and only then summarised.
"""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_COLUMNS = "{:<44} {:<6} {:>22} {:>22}   {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, least and greatest of some rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> "Spread":
        """Summarise at least one sample."""
        return cls(median=statistics.median(samples), low=min(samples), high=max(samples))

    def __str__(self) -> str:
        return f"{_digits(self.median)} ({_digits(self.low)}–{_digits(self.high)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One quantity of the product in every round, and of what it is compared with, if anything."""

    name: str
    unit: str
    product: tuple[float, ...]
    base_name: str = ""
    base: tuple[float, ...] = ()

    @property
    def ratio(self) -> Spread | None:
        """Product over base, round by round."""
        if not self.base:
            return None
        return Spread.of(
            [ours / theirs for ours, theirs in zip(self.product, self.base, strict=True)]
        )


def table(rows: Sequence[Row]) -> str:
    """Aligned text: median (least–greatest) of each side, the ratio last."""
    lines = [_COLUMNS.format("", "unit", "lingma", "base", "ratio to base")]
    for row in rows:
        base = str(Spread.of(row.base)) if row.base else ""
        ratio = f"{row.ratio} × {row.base_name}" if row.ratio else ""
        lines.append(_COLUMNS.format(row.name, row.unit, str(Spread.of(row.product)), base, ratio))
    return "\n".join(line.rstrip() for line in lines)


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """One object per row, with every sample and the spread of the ratio."""
    return [asdict(row) | {"ratio": asdict(row.ratio) if row.ratio else None} for row in rows]


def _digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
