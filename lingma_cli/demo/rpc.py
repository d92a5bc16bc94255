"""JSON-RPC 2.0 messages as the simulated binary reads and writes them, without I/O.

Source: Lingma local protocol, sections 3 and 4. A request and an answer are told apart by the
presence of `method`, never by the id: both ends number their own requests.
"""

import json
from dataclasses import dataclass
from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
UNKNOWN_METHOD = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603

Id = int | str
Params = dict[str, Any]


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


# Built once: the functions of `json` build one for every call with such options.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_GO_KINDS = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}


class RpcError(Exception):
    """A method refuses; carries the JSON-RPC error code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request (with `id`) or a notification (without)."""

    method: str
    id: Id | None
    params: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The client's answer to one of our requests; `payload` is its result or error."""

    id: Id
    payload: object
    is_error: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Malformed:
    """A body that is no JSON-RPC message."""

    code: int
    reason: str


Incoming = Call | Answer | Malformed


def read(body: bytes) -> Incoming:
    """Classify one body."""
    try:
        message = _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        return Malformed(code=PARSE_ERROR, reason=f"parse error: {type(error).__name__}")
    if not isinstance(message, dict):
        return Malformed(code=INVALID_REQUEST, reason="not an object")
    identity = message.get("id")
    if isinstance(identity, bool) or not isinstance(identity, int | str | None):
        return Malformed(code=INVALID_REQUEST, reason="id is neither a number nor a string")
    method = message.get("method")
    if isinstance(method, str):
        return Call(method=method, id=identity, params=message.get("params"))
    if identity is not None and ("result" in message or "error" in message):
        failed = message.get("error") is not None
        payload = message["error"] if failed else message.get("result")
        return Answer(id=identity, payload=payload, is_error=failed)
    return Malformed(code=INVALID_REQUEST, reason="neither a request nor an answer")


def object_params(params: object, definition: str) -> Params:
    """Insist on an object, with the binary's error text for anything else.

    Raises:
        RpcError: for missing params and every other JSON kind.
    """
    if isinstance(params, dict):
        return params
    if params is None:
        raise RpcError(INVALID_PARAMS, "unexpected end of JSON input")
    kind = _GO_KINDS[type(params)]
    text = f"json: cannot unmarshal {kind} into Go value of type definition.{definition}"
    raise RpcError(INVALID_PARAMS, text)


def result(identity: Id, value: object) -> bytes:
    """Build the body of a successful answer."""
    return encode({"jsonrpc": "2.0", "id": identity, "result": value})


def error(identity: Id | None, code: int, message: str) -> bytes:
    """Build the body of a failed answer."""
    return encode({"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}})


def request(identity: int | None, method: str, params: object) -> bytes:
    """Build the body of a push: a request, or a notification without an id."""
    message: dict[str, object] = {"jsonrpc": "2.0"}
    if identity is not None:
        message["id"] = identity
    message["method"] = method
    message["params"] = params
    return encode(message)


def encode(message: object) -> bytes:
    """Encode as UTF-8; lone surrogates become U+FFFD as in Go."""
    text = _ENCODER.encode(message)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
