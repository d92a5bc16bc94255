"""The error of the worker routes."""

from __future__ import annotations

import json

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.worker_error import encode_worker_error, is_worker_path


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ErrorKind.INVALID_REQUEST, "BAD_REQUEST"),
        (ErrorKind.USAGE, "BAD_REQUEST"),
        (ErrorKind.NOT_FOUND, "WORKER_NOT_FOUND"),
        (ErrorKind.CONFLICT, "WORKER_CONFLICT"),
        (ErrorKind.UNAUTHENTICATED, "UNAUTHENTICATED"),
    ],
)
def test_an_error_is_a_sentence_and_a_code(kind: ErrorKind, code: str) -> None:
    """The hint stands behind the sentence."""
    body = json.loads(encode_worker_error(LingmaError(kind, "no", hint="do it")))

    assert body == {"error": "no; do it", "code": code}


def test_only_worker_routes_speak_so() -> None:
    """And what lies below them."""
    paths = ["/workers", "/workers/x", "/add_worker", "/list_workers", "/remove_worker"]

    assert all(map(is_worker_path, paths))
    assert not any(map(is_worker_path, ["/workersx", "/", "/v1/workers", "/v1/management"]))
