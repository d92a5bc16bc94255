"""`lingma models`."""

import json
from pathlib import Path

from tests.support.cli import run_lingma
from tests.support.openai_server import json_reply, openai_server

LIST = json_reply(
    {
        "object": "list",
        "data": [
            {"id": "org_auto", "name": "Auto", "context_window": 180000, "tools": "native"},
            {"id": "x\x1b[2J", "name": "evil\nname"},
        ],
    }
)


def test_models_are_listed_in_columns(tmp_path: Path) -> None:
    """Ids, names and sizes; a name cannot command the terminal."""
    with openai_server(models=LIST) as server:
        result = run_lingma("models", "--url", server.url, home=tmp_path)

    assert result.code == 0
    assert [line.split() for line in result.out.splitlines()] == [
        ["ID", "NAME", "CONTEXT", "TOOLS"],
        ["org_auto", "Auto", "180,000", "native"],
        ["x", "evil", "name", "-", "unknown"],
    ]


def test_models_are_listed_as_json(tmp_path: Path) -> None:
    """Programs get the exact values."""
    with openai_server(models=LIST) as server:
        result = run_lingma("models", "--json", "--url", server.url, home=tmp_path)

    assert json.loads(result.out) == [
        {"id": "org_auto", "name": "Auto", "context_window": 180000, "tools": "native"},
        {"id": "x\x1b[2J", "name": "evil\nname", "context_window": 0, "tools": "unknown"},
    ]
    assert "\x1b" not in result.out
