"""The examples of `docs/client.md` run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.client.test_clients import BACKENDS, backend, listed
from tests.support.openai_server import json_reply, openai_server
from tests.support.serving import WAIT_SECONDS, program_environment, serving

PAGE = Path(__file__).parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(
    r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)


def run(marker: str, environ: Mapping[str, str]) -> str:
    """Run the one example with these words in it and return what it prints."""
    [example] = [example for example in EXAMPLES if marker in example]
    done = subprocess.run(
        [sys.executable, "-c", example],
        env=environ,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS * 3,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("marker", "printed"),
    [("return_result=True", "org_auto Usage(input_tokens="), ("async def", "play)True\n")],
    ids=["sync", "async"],
)
def test_asking(tmp_path: Path, marker: str, printed: str) -> None:
    """Finds the running server and prints its answers."""
    with serving(tmp_path, "--demo"):
        out = run(marker, program_environment(tmp_path))

    assert "> What is a monad?\n" in out
    assert "> And a functor?\n" in out
    assert printed in out


def test_embedded(tmp_path: Path) -> None:
    """Starts a server and asks it."""
    out = run("embedded=True", program_environment(tmp_path, LINGMA_DEMO="true"))

    assert "> What is a monad?\n" in out


def test_discovery(tmp_path: Path) -> None:
    """Shows the backends and makes vectors."""
    data = [{"index": index, "embedding": [1.0]} for index in range(2)]
    with openai_server(embeddings=json_reply({"data": data})) as server:
        server.replies[BACKENDS] = [listed(embedding=(backend("http://box:1"),))]
        out = run("enable_backend", program_environment(tmp_path, LINGMA_URL=server.url))

    assert out == "['http://box:1/v1']\n2\n"
    assert server.asked[-1].json()["model"] == "bge-small"


def test_errors(tmp_path: Path) -> None:
    """Nobody listens at the port for discarding."""
    assert "no server answers" in run("except LingmaError", program_environment(tmp_path))


def test_every_example_was_run() -> None:
    """One more in the page needs one more test here."""
    assert len(EXAMPLES) == 5
