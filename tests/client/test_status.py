"""What is there, from what is known."""

from __future__ import annotations

import pytest

from lingma_cli.client.calls import Kind
from lingma_cli.client.discovery import NO_BACKENDS, Backend, Backends
from lingma_cli.client.status import status_of
from lingma_cli.errors import ErrorKind, LingmaError

GONE = LingmaError(ErrorKind.SERVER_NOT_FOUND, "nobody")
WELL = Backend(instance_id="x", base_url="http://b/v1", is_healthy=True)
SICK = Backend(instance_id="y", base_url="http://c/v1")


@pytest.mark.parametrize(
    ("models", "backends", "default", "available"),
    [
        (GONE, NO_BACKENDS, None, (False, False)),
        ({}, NO_BACKENDS, None, (False, False)),
        ({"a": "llm"}, NO_BACKENDS, None, (True, False)),
        ({"a": "llm"}, NO_BACKENDS, "a", (False, True)),
        ({"a": "llm"}, NO_BACKENDS, "b", (True, False)),
        ({"a": "embedding"}, NO_BACKENDS, None, (False, True)),
        (GONE, Backends(llm_backends=(WELL,), embedding_backends=(SICK,)), None, (True, False)),
        (GONE, Backends(llm_backends=(SICK,), embedding_backends=(WELL,)), None, (False, True)),
    ],
)
def test_who_is_available(
    models: dict[str, Kind] | LingmaError,
    backends: Backends,
    default: str | None,
    available: tuple[bool, bool],
) -> None:
    """By the server's models, the model that the program embeds with, or a healthy backend."""
    status = status_of(
        "http://a/v1",
        models,
        backends,
        default_embedding_model=default,
        discovery_trouble="why",
    )

    assert (status.is_llm_available, status.is_embedding_available) == available
    assert status.trouble == ("nobody" if models is GONE else None)
    assert status.discovery_trouble == "why"
    assert (status.llm_backends, status.embedding_backends) == (
        backends.llm_backends,
        backends.embedding_backends,
    )
