"""One plain server for the tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.demo.client import Demo, running


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A logged-in server with everything at its default."""
    with running(tmp_path_factory.mktemp("demo")) as started:
        yield started
