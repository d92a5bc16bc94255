"""A server with the simulator, shared by the tests that leave it as they found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.serving import Serving, serving


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """`lingma serve --demo`, up for the whole run."""
    with serving(tmp_path_factory.mktemp("demo"), "--demo") as server:
        yield server
