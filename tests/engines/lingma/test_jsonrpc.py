"""JSON-RPC messages."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.engines.lingma.jsonrpc import (
    Call,
    ErrorResponse,
    MessageError,
    Response,
    decode,
    notification,
    request,
    response,
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"jsonrpc":"2.0","id":4,"method":"chat/finish","params":{"requestId":"R"}}',
            Call(method="chat/finish", params=msgspec.Raw(b'{"requestId":"R"}'), id=4),
        ),
        (
            b'{"id":"s","method":"m","params":[1]}',
            Call(method="m", params=msgspec.Raw(b"[1]"), id="s"),
        ),
        (b'{"method":"m"}', Call(method="m", params=msgspec.Raw(b"{}"), id=None)),
        (b'{"method":"m","id":null}', Call(method="m", params=msgspec.Raw(b"{}"), id=None)),
        (b'{"id":4,"result":{"a":1}}', Response(id=4, result=b'{"a":1}')),
        (b'{"id":4,"result":null}', Response(id=4, result=b"null")),
        (b'{"id":4}', Response(id=4, result=b"null")),
        (b'{"id":4,"result":1,"error":null}', Response(id=4, result=b"1")),
        (
            b'{"id":"4","error":{"code":-32601,"message":"no","data":{}}}',
            ErrorResponse(id="4", code=-32601, message="no"),
        ),
        (b'{"id":null,"error":{}}', ErrorResponse(id=None, code=0, message="")),
    ],
)
def test_messages_are_told_apart(body: bytes, expected: Call | Response | ErrorResponse) -> None:
    """By `method`, `error` and `id`, never by the id alone."""
    assert decode(body) == expected


NO_MESSAGE = {
    "empty": b"",
    "cut": b'{"id":4,',
    "array": b"[]",
    "batch": b'[{"id":4,"result":1}]',
    "text": b'"x"',
    "nothing in it": b"{}",
    "only a version": b'{"jsonrpc":"2.0","result":1}',
    "id of a wrong type": b'{"id":{},"result":1}',
    "method of a wrong type": b'{"id":1,"method":5}',
    "error of a wrong type": b'{"id":1,"error":"no"}',
    "invalid UTF-8": b'{"method":"\xff"}',
    "deep": b'{"id":1,"result":' + b"[" * 200_000,
    "only deep": b"[" * 200_000,
}


@pytest.mark.parametrize("body", NO_MESSAGE.values(), ids=NO_MESSAGE.keys())
def test_what_is_no_message(body: bytes) -> None:
    """Everything else is one typed error."""
    with pytest.raises(MessageError):
        decode(body)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_error(body: bytes) -> None:
    """Nothing else comes out of the decoder."""
    with suppress(MessageError):
        assert isinstance(decode(body), Call | Response | ErrorResponse)


def test_what_we_send() -> None:
    """Requests, notifications and responses in the form of JSON-RPC 2.0."""
    head = {"jsonrpc": "2.0"}

    assert head | {"id": 1, "method": "m", "params": {"a": "好"}} == json.loads(
        request(1, "m", {"a": "好"})
    )
    assert head | {"method": "m", "params": {}} == json.loads(notification("m", {}))
    assert head | {"id": "s", "result": None} == json.loads(response("s", None))
