"""Backends and where a call goes next."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lingma_cli.client.discovery import (
    NO_BACKENDS,
    Attempts,
    Backend,
    Destination,
    Discovery,
    read_backends,
)
from lingma_cli.errors import LingmaError
from lingma_cli.secret import Secret

FIRST = Destination(url="http://a/v1", api_key=Secret("own"))


def backend(url: str | None, **more: Any) -> Backend:
    """Return a healthy backend."""
    return Backend(instance_id="x", base_url=url, is_healthy=True, **more)


def test_the_list_of_the_control_plane() -> None:
    """Each kind by itself; what we do not know is passed over."""
    shown = {"instance_id": "e", "base_url": "http://b/v1", "is_healthy": True, "new": 1}
    body = json.dumps({"llm_backends": [], "embedding_backends": [shown], "new": 1})
    found = read_backends(body.encode(), url="http://a/v1")

    assert found.of_kind("llm") == ()
    assert found.of_kind("embedding") == (
        Backend(instance_id="e", base_url="http://b/v1", is_healthy=True),
    )


@pytest.mark.parametrize("body", [b"{}", b'{"llm_backends": []}', b"[]", b"<html>"])
def test_what_is_no_list(body: bytes) -> None:
    """Is an error, and not an empty list."""
    with pytest.raises(LingmaError, match="http://a/v1"):
        read_backends(body, url="http://a/v1")


@pytest.mark.parametrize(("asked", "interval"), [(30.0, 30.0), (1.0, 5.0), (-1.0, 5.0)])
def test_looks_are_not_too_frequent(asked: float, interval: float) -> None:
    """Five seconds at least."""
    discovery = Discovery.at("http://a/", asked, None)

    assert (discovery.url, discovery.interval) == ("http://a/v1", interval)


def test_the_first_healthy_one_that_was_not_tried_comes_next() -> None:
    """In the server's order, whatever `/v1` its address has; it gets the key that is for it."""
    attempts = Attempts(FIRST)
    sick = Backend(instance_id="x", base_url="http://b/v1")
    found = [sick, backend("http://a"), backend(None), backend("http://c/", model_name="m")]
    attempts.move_on([*found, backend("http://d")], Secret("theirs"))
    assert attempts.current == Destination(url="http://c/v1", api_key=Secret("theirs"), model="m")

    attempts.move_on([*found, backend("http://d")], None)
    assert attempts.current == Destination(url="http://d/v1", api_key=None)

    with pytest.raises(LingmaError, match=r"`http://a/v1`, `http://c/v1`, `http://d/v1`"):
        attempts.move_on([backend("http://e")], None)


def test_with_nobody_else_the_call_has_failed() -> None:
    """The one that was tried is named."""
    for found in (NO_BACKENDS.of_kind("llm"), (backend("http://a/v1/"), backend("ftp://b"))):
        with pytest.raises(LingmaError, match=r"after `http://a/v1`$"):
            Attempts(FIRST).move_on(found, None)
