"""A server with the simulator, shared by the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo_words import NATIVE
from tests.support.serving import Serving, serving

# Tests that provoke one fault after another share an engine: as a user's engine it would be left
# alone for a minute.
TRUSTING = {"LINGMA_DISABLE_CIRCUIT_BREAKER": "true"}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """`lingma serve --demo`, up for the whole run."""
    with serving(tmp_path_factory.mktemp("demo"), "--demo", environ=TRUSTING) as server:
        yield server


@pytest.fixture(scope="module", params=["text", "native"])
def workshop(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Serving]:
    """A server whose model calls tools by one of the two routes."""
    environ = TRUSTING | (NATIVE if request.param == "native" else {})
    with serving(tmp_path_factory.mktemp("tools"), "--demo", environ=environ) as server:
        yield server


@pytest.fixture
def demo_with_short_patience(tmp_path: Path) -> Iterator[Serving]:
    """A server that gives Lingma half a second for everything."""
    patience = ("--first-event-timeout", "0.5", "--idle-timeout", "0.5")
    with serving(tmp_path, "--demo", *patience, environ=TRUSTING) as server:
        yield server
