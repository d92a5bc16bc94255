"""The error object, read back."""

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.client.openai_error import decode_error
from lingma_cli.protocols.openai_error import encode_error


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_survives_the_wire(kind: ErrorKind) -> None:
    """What our server reports is, on the caller's side, the error it was."""
    sent = LingmaError(kind, "what happened", param="messages[0].role")

    got = decode_error(encode_error(sent), 599)

    assert got is not None
    assert (kind, "what happened", "messages[0].role") == (got.kind, got.message, got.param)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (ErrorKind.INVALID_REQUEST, 400),
        (ErrorKind.UNAUTHENTICATED, 401),
        (ErrorKind.NOT_FOUND, 404),
        (ErrorKind.OVERLOADED, 429),
        (ErrorKind.INTERNAL, 500),
        (ErrorKind.ENGINE_FAILED, 502),
        (ErrorKind.ENGINE_FAILED, 418),
    ],
)
def test_an_unknown_code_falls_back_to_the_status(kind: ErrorKind, status: int) -> None:
    """A server that is not ours is understood by its status."""
    got = decode_error(b'{"error": {"message": "no", "code": "strange"}}', status)

    assert got is not None
    assert (kind, "no") == (got.kind, got.message)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"error": "no"}', b"\xff", b"[" * 9999])
def test_what_is_no_error_object_is_none(body: bytes) -> None:
    """Any other body is not taken for an error of the server."""
    assert decode_error(body, 500) is None
