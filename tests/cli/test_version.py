"""`lingma version`."""

import json
import platform
from pathlib import Path

from lingma_cli import __version__
from tests.support.cli import run_lingma


def test_versions_are_shown_for_people_and_programs(tmp_path: Path) -> None:
    """What to put into a report: ours, Python's and the platform."""
    expected = {
        "lingma": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }

    plain = run_lingma("version", home=tmp_path).out
    as_json = run_lingma("version", "--json", home=tmp_path).out

    assert [[*pair] for pair in expected.items()] == [
        line.split(None, 1) for line in plain.splitlines()
    ]
    assert expected == json.loads(as_json)
