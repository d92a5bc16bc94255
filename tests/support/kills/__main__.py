"""`python -m tests.support.kills`: one storm, its numbers, and 1 if anything was wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from tests.support.kills.plan import Storm
from tests.support.kills.storm import play
from tests.support.kills.verdict import judge


def main() -> int:
    """Play the storm that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.kills", description=__doc__)
    for item in fields(Storm):
        parser.add_argument(f"--{item.name}", type=int, default=item.default)
    storm = Storm(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory(prefix="lingma-kills-") as folder:
        verdict = judge(play(storm, Path(folder)))
    print(*verdict.lines(), sep="\n")
    return 1 if verdict.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
