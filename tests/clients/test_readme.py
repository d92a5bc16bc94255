"""What README.md tells users to paste, for the tools that do not run here as well."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli.settings import Settings
from tests.support import agents
from tests.support.serving import program_environment, serving


@pytest.mark.parametrize("sdk", ["OpenAI SDKs", "Anthropic SDKs"])
def test_the_examples_for_the_sdks_run(tmp_path: Path, sdk: str) -> None:
    """With the key in its variable, each prints the answer."""
    environ = program_environment(tmp_path, LINGMA_API_KEY=agents.KEY, NO_PROXY="127.0.0.1")
    with serving(tmp_path, "--demo", environ={"LINGMA_API_KEYS": agents.KEY}) as server:
        example = agents.pasted(sdk, "python", server.url)
        done = subprocess.run(
            [sys.executable, "-c", example],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    assert "\n> hello\n" in done.stdout


def test_the_address_is_the_default() -> None:
    """Every address of this machine in README.md is where the server listens by default."""
    addresses = re.findall(r"http://127\.0\.0\.1[:\d]*", agents.README.read_text(encoding="utf-8"))
    settings = Settings()

    assert set(addresses) == {agents.ADDRESS} == {f"http://{settings.host}:{settings.port}"}


def test_opencode_finds_the_model_that_it_is_told_to_use() -> None:
    """Its block is JSON, and the default model is one of the provider's."""
    config = json.loads(agents.pasted("opencode", "json", agents.ADDRESS))
    provider, _, model = config["model"].partition("/")

    assert model in config["provider"][provider]["models"]
    assert config["provider"][provider]["options"]["baseURL"] == f"{agents.ADDRESS}/v1"


def test_the_versions_are_those_that_are_tested() -> None:
    """`docs/tools.md` names the versions of `clients.txt`."""
    clients = Path(__file__).with_name("clients.txt").read_text().split()
    page = (agents.README.parent / "docs" / "tools.md").read_text(encoding="utf-8")
    tested = re.findall(r"^\| .* \| ([\d.]+) \| .* \| by the tests \|$", page, re.MULTILINE)

    assert sorted(tested) == sorted(client.rpartition("@")[2] for client in clients)
