"""`/v1/models` with an engine of each kind in the pool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.client import LingmaClient
from tests.client.both import NOBODY
from tests.support.cli import run_lingma
from tests.support.openai_server import json_reply, openai_server
from tests.support.serving import ADMIN, Serving, serving, wait_until


def listed(server: Serving, **headers: str) -> dict[str, Any]:
    answer: dict[str, Any] = server.get("/v1/models", headers=headers).json()
    return answer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server with a simulated Lingma and one that turns texts into vectors."""
    home = tmp_path_factory.mktemp("home")
    models = json_reply({"data": [{"id": "bge-small"}]})
    with openai_server(models=models, engine_health=json_reply({})) as box:
        added = run_lingma("engine", "add", box.url, "--kind", "embedding", home=home)
        assert added.code == 0, added.err
        with serving(home, "--demo", environ=ADMIN) as running:
            wait_until(
                lambda: {"bge-small", "org_auto"} <= {one["id"] for one in listed(running)["data"]},
                what="both kinds",
            )
            yield running


def test_each_model_says_what_it_is_for(server: Serving) -> None:
    """In the list and alone."""
    kinds = {model["id"]: model["kind"] for model in listed(server)["data"]}

    assert (kinds["org_auto"], kinds["bge-small"]) == ("llm", "embedding")
    assert server.get("/v1/models/bge-small").json()["kind"] == "embedding"


def test_who_wants_to_chat_is_not_shown_what_cannot(server: Serving) -> None:
    """Codex's catalogue and Anthropic's list have the models that write."""
    catalogue = [model["slug"] for model in listed(server)["models"]]
    version = {"anthropic-version": "2023-06-01"}
    anthropic = listed(server, **version)
    names = [model["id"] for model in anthropic["data"]]

    assert "org_auto" in catalogue
    assert "bge-small" not in catalogue + names
    assert names == catalogue
    assert anthropic["last_id"] == names[-1]
    assert server.get("/v1/models/bge-small", headers=version).status_code == 404


def test_a_program_sees_which_kinds_are_there(server: Serving, tmp_path: Path) -> None:
    """With both, and at a server without vectors."""
    with LingmaClient.create(control_plane_url=server.url, environ=NOBODY) as client:
        assert client.is_llm_available
        assert client.is_embedding_available
    with (
        serving(tmp_path, "--demo") as other,
        LingmaClient.create(control_plane_url=other.url, environ=NOBODY) as client,
    ):
        assert client.is_llm_available
        assert not client.is_embedding_available


def test_a_person_sees_it_too(server: Serving) -> None:
    """In the table of `lingma models`, and as JSON."""
    shown = run_lingma("models", home=server.home, env=ADMIN)
    [row] = [line.split() for line in shown.out.splitlines() if line.startswith("bge-small")]
    told = json.loads(run_lingma("models", "--json", home=server.home, env=ADMIN).out)

    assert row[2] == "embedding"
    assert {one["id"]: one["kind"] for one in told}["org_auto"] == "llm"
