"""JSON-RPC messages."""

import json

import pytest

from lingma_cli.demo import rpc


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"id":1,"method":"ping","params":{}}', rpc.Call(method="ping", id=1, params={})),
        (b'{"id":"a","method":"ping"}', rpc.Call(method="ping", id="a", params=None)),
        (b'{"method":"exit","params":[]}', rpc.Call(method="exit", id=None, params=[])),
        (b'{"id":1,"result":null}', rpc.Answer(id=1, payload=None, is_error=False)),
        (b'{"id":1,"error":{"code":1}}', rpc.Answer(id=1, payload={"code": 1}, is_error=True)),
    ],
)
def test_a_method_tells_a_request_from_an_answer(body: bytes, message: rpc.Incoming) -> None:
    """The presence of `method` decides, never the id."""
    assert rpc.read(body) == message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", rpc.PARSE_ERROR),
        (b'{"id":NaN}', rpc.PARSE_ERROR),
        (b'{"method":"\xff"}', rpc.PARSE_ERROR),
        (b"[" * 200_000, rpc.PARSE_ERROR),
        (b"[]", rpc.INVALID_REQUEST),
        (b'{"id":true,"method":"ping"}', rpc.INVALID_REQUEST),
        (b'{"id":1}', rpc.INVALID_REQUEST),
    ],
)
def test_other_bodies_are_malformed(body: bytes, code: int) -> None:
    """Whatever is no message is told apart by its code and never raises."""
    message = rpc.read(body)

    assert isinstance(message, rpc.Malformed)
    assert message.code == code


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ([], "json: cannot unmarshal array into Go value of type definition.EmptyRequest"),
        ("x", "json: cannot unmarshal string into Go value of type definition.EmptyRequest"),
        (True, "json: cannot unmarshal bool into Go value of type definition.EmptyRequest"),
        (1.5, "json: cannot unmarshal number into Go value of type definition.EmptyRequest"),
        (None, "unexpected end of JSON input"),
    ],
)
def test_params_must_be_an_object(params: object, text: str) -> None:
    """Other kinds give the binary's own error text."""
    with pytest.raises(rpc.RpcError) as caught:
        rpc.object_params(params, "EmptyRequest")

    assert caught.value.message == text


def test_bodies_are_utf8_without_lone_surrogates() -> None:
    """Characters travel as themselves; what is no character becomes U+FFFD."""
    assert "你好🙂".encode() in rpc.result(1, "你好🙂")
    assert json.loads(rpc.result(1, "a\ud800b"))["result"] == "a\ufffdb"


def test_a_notification_has_no_id() -> None:
    """The notification side leaves the id out instead of sending null."""
    assert json.loads(rpc.request(None, "m", {})) == {"jsonrpc": "2.0", "method": "m", "params": {}}
    assert json.loads(rpc.request(7, "m", {}))["id"] == 7


def test_an_error_names_its_request() -> None:
    """Errors carry code and message."""
    assert json.loads(rpc.error("a", -1, "no")) == {
        "jsonrpc": "2.0",
        "id": "a",
        "error": {"code": -1, "message": "no"},
    }
