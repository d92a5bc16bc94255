"""`lingma models`."""

import json
from pathlib import Path

import pytest

from lingma_cli.client import LingmaClient
from tests.client.both import NOBODY
from tests.support.cli import run_lingma
from tests.support.openai_server import json_reply, openai_server

LIST = json_reply(
    {
        "object": "list",
        "data": [
            {"id": "org_auto", "name": "Auto", "context_window": 180000, "tools": "native"},
            {"id": "x\x1b[2J", "name": "evil\nname", "kind": "embedding"},
        ],
    }
)


def test_models_are_listed_in_columns(tmp_path: Path) -> None:
    """Ids, names and sizes; a name cannot command the terminal."""
    with openai_server(models=LIST) as server:
        result = run_lingma("models", "--url", server.url, home=tmp_path)

    assert result.code == 0
    assert [line.split() for line in result.out.splitlines()] == [
        ["ID", "NAME", "KIND", "CONTEXT", "TOOLS"],
        ["org_auto", "Auto", "llm", "180,000", "native"],
        ["x", "evil", "name", "embedding", "-", "unknown"],
    ]


def test_models_are_listed_as_json(tmp_path: Path) -> None:
    """Programs get the exact values."""
    with openai_server(models=LIST) as server:
        result = run_lingma("models", "--json", "--url", server.url, home=tmp_path)

    told = [
        [one[key] for key in ("id", "name", "kind", "context_window", "tools")]
        for one in json.loads(result.out)
    ]
    assert told == [
        ["org_auto", "Auto", "llm", 180000, "native"],
        ["x\x1b[2J", "evil\nname", "embedding", 0, "unknown"],
    ]
    assert "\x1b" not in result.out


@pytest.mark.parametrize("key", ["ключ", "inner\nnewline"])
def test_a_key_that_cannot_be_sent(tmp_path: Path, key: str) -> None:
    """Is wrong usage, told without the key."""
    with openai_server(models=LIST) as server:
        env = {"LINGMA_API_KEY": key}
        refused = run_lingma("models", "--url", server.url, home=tmp_path, env=env)

    assert refused.code == 2
    assert "a key is not usable" in refused.err
    assert key not in refused.err
    assert server.asked == []


def test_a_prefix_of_the_address_counts(tmp_path: Path) -> None:
    """A server behind a proxy may lie below a path; `/v1` may be given or not."""
    with openai_server() as server:
        server.replies["/lingma/v1/models"] = [LIST]
        for url in (f"{server.url}/lingma", f"{server.url}/lingma/v1/"):
            assert run_lingma("models", "--url", url, home=tmp_path).code == 0
            with LingmaClient.create(control_plane_url=url, environ=NOBODY) as client:
                assert client.get_status().models
