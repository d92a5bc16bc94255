"""`python -m benchmarks`: start both systems, run the plan, print the report."""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.cold_start import command_rows, ready_row
from benchmarks.errors import BenchmarkError
from benchmarks.processes import (
    choose_cores,
    running_pass_through,
    running_product,
    running_sse_upstream,
)
from benchmarks.report import Row, as_json, table
from benchmarks.rounds import FULL, QUICK, Plan, load_rows


def main() -> int:
    """Exit code 0 if every record was right, 1 if not or if a program failed."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few short rounds, under a minute")
    parser.add_argument("--json", action="store_true", help="every sample, as JSON")
    parser.add_argument("--lingma", type=Path, default=_installed(), help="the program to measure")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("the benchmark reads CPU clocks that only Linux has")
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        rows = _run(QUICK if options.quick else FULL, options.lingma)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BenchmarkError as error:
        _progress("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]))
        return 1
    print(json.dumps(as_json(rows), indent=2) if options.json else table(rows))
    return 0


def _run(plan: Plan, lingma: Path) -> list[Row]:
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.rest})
    with (
        tempfile.TemporaryDirectory(prefix="lingma-bench-") as name,
        running_sse_upstream(Path(name), cores) as upstream_port,
        running_pass_through(Path(name), cores, upstream_port) as base,
        running_product(Path(name), cores, lingma) as product,
    ):
        rows = load_rows(plan, product, base, _progress)
    _progress("cold starts")
    return [*rows, *command_rows(lingma, plan.starts), ready_row(lingma, cores, plan.starts)]


def _installed() -> Path:
    beside = Path(sys.executable).with_name("lingma")
    return beside if beside.exists() else Path(shutil.which("lingma") or "lingma")


def _progress(line: str) -> None:
    print(line, file=sys.stderr)


def _interrupt(_number: int, _frame: object) -> None:
    # As Ctrl-C, which event loops know how to pass on: every `with` on the way ends its processes.
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
