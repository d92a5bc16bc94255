"""The plan of a run: which loads, how often, and that the systems take turns.

Must not know how a load is made or a program started.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import uvloop

from benchmarks.loads import Flood, Load, Paced, Requests, measure, unit
from benchmarks.processes import System, cpu_time_ns
from benchmarks.report import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run measures; `starts` is the rounds of the cold starts, `rounds` of all else."""

    rounds: int
    starts: int
    loads: tuple[Load, ...]


QUICK = Plan(
    rounds=5,
    starts=3,
    loads=(
        Paced(streams=64, window=1.0),
        Paced(streams=64, window=1.0, ids=True),
        Flood(streams=16, chunks=2000),
        Requests(connections=16, count=40),
    ),
)
FULL = Plan(
    rounds=7,
    starts=7,
    loads=(
        Paced(streams=16, window=4),
        Paced(streams=64, window=4),
        Paced(streams=64, window=4, ids=True),
        Flood(streams=1, chunks=20_000),
        Flood(streams=16, chunks=4000),
        Flood(streams=64, chunks=1000),
        Requests(connections=1, count=1000),
        Requests(connections=16, count=100),
    ),
)


def load_rows(
    plan: Plan, product: System, base: System, progress: Callable[[str], None]
) -> list[Row]:
    """Run every load in turn on the product and on the base, round by round.

    Raises:
        BenchmarkError: if any record is not what it has to be, or an answer is cut or too late.
    """
    for system in (product, base):
        _sample(Requests(connections=4, count=25), system)
        _sample(Flood(streams=4, chunks=500), system)
    samples: dict[Load, list[tuple[float, float]]] = {load: [] for load in plan.loads}
    for turn in range(plan.rounds):
        for load in plan.loads:
            progress(f"round {turn + 1} of {plan.rounds}: {load}")
            samples[load].append((_sample(load, product), _sample(load, base)))
    return [_row(load, base.name, pairs) for load, pairs in samples.items()]


def _sample(load: Load, system: System) -> float:
    return uvloop.run(measure(load, system.port, partial(cpu_time_ns, system.pid)))


def _row(load: Load, base_name: str, pairs: list[tuple[float, float]]) -> Row:
    product, base = zip(*pairs, strict=True)
    return Row(name=str(load), unit=unit(load), product=product, base_name=base_name, base=base)
