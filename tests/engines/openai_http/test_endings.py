"""Refusals in the dialects of servers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lingma_cli.engines.openai_http.endings import Endings, read_refusal, read_stream_error
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Redactor, Secret

KEY = "sk-hunter2-hunter2"


def refused(
    status: int, body: Any, content_type: str = "application/json", retry_after: str = ""
) -> LingmaError:
    """Return the error for an answer; a body that is no bytes is sent as JSON."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    refusal = read_refusal(status, content_type, sent, retry_after=retry_after)
    return Endings("local", Redactor([Secret(KEY)])).error(refusal)


def said(kind: str, message: str, code: Any = None) -> dict[str, Any]:
    """Return OpenAI's error object."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


CASES: dict[str, tuple[int, Any, ErrorKind]] = {
    "openai key": (
        401,
        said("invalid_request_error", "Incorrect API key", "invalid_api_key"),
        ErrorKind.LOGIN_REQUIRED,
    ),
    "openai quota": (
        429,
        said("insufficient_quota", "You exceeded your quota", "insufficient_quota"),
        ErrorKind.QUOTA_EXCEEDED,
    ),
    "openai rate": (
        429,
        said("requests", "Slow down", "rate_limit_exceeded"),
        ErrorKind.OVERLOADED,
    ),
    "openai model": (
        404,
        said("invalid_request_error", "gone", "model_not_found"),
        ErrorKind.NOT_FOUND,
    ),
    "openai filter": (400, said("x", "no", "content_filter"), ErrorKind.CONTENT_FILTERED),
    "llama.cpp context": (
        400,
        said("exceed_context_size_error", "request exceeds the context size", 400),
        ErrorKind.INVALID_REQUEST,
    ),
    "llama.cpp loading": (
        503,
        said("unavailable_error", "Loading model", 503),
        ErrorKind.ENGINE_UNAVAILABLE,
    ),
    "llama.cpp path": (
        404,
        said("not_found_error", "File Not Found", 404),
        ErrorKind.ENGINE_UNSUPPORTED,
    ),
    "llama.cpp embeddings": (
        501,
        said("not_supported_error", "This server does not support embeddings", 501),
        ErrorKind.ENGINE_UNSUPPORTED,
    ),
    "llama.cpp image": (
        500,
        said("server_error", "image input is not supported - hint: …", 500),
        ErrorKind.INVALID_REQUEST,
    ),
    "llama.cpp key": (
        401,
        said("authentication_error", "Invalid API Key", 401),
        ErrorKind.LOGIN_REQUIRED,
    ),
    "vllm old": (
        400,
        {"object": "error", "message": "too long", "type": "BadRequestError", "code": 400},
        ErrorKind.INVALID_REQUEST,
    ),
    "vllm model": (
        404,
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError"},
        ErrorKind.NOT_FOUND,
    ),
    "fastapi": (404, {"detail": "Not Found"}, ErrorKind.ENGINE_UNSUPPORTED),
    "fastapi list": (
        422,
        {"detail": [{"loc": ["body"], "msg": "field required"}, 7]},
        ErrorKind.INVALID_REQUEST,
    ),
    "ollama": (404, {"error": "model 'x' not found, try pulling it"}, ErrorKind.NOT_FOUND),
    "ollama tools": (400, {"error": "x does not support tools"}, ErrorKind.INVALID_REQUEST),
    "sglang router": (
        503,
        said("Service Unavailable", "No available workers", "no_available_workers"),
        ErrorKind.ENGINE_UNAVAILABLE,
    ),
    "empty": (500, b"", ErrorKind.ENGINE_FAILED),
    "null": (502, None, ErrorKind.ENGINE_FAILED),
    "error is null": (500, {"error": None}, ErrorKind.ENGINE_FAILED),
    "too large": (413, b"", ErrorKind.BODY_TOO_LARGE),
    "forbidden": (403, b"", ErrorKind.LOGIN_REQUIRED),
    "payment": (402, b"", ErrorKind.QUOTA_EXCEEDED),
    "gateway": (504, b"", ErrorKind.ENGINE_TIMEOUT),
    "overloaded": (529, b"", ErrorKind.OVERLOADED),
    "teapot": (418, b"", ErrorKind.ENGINE_FAILED),
}


@pytest.mark.parametrize(("status", "body", "kind"), CASES.values(), ids=CASES)
def test_dialects(status: int, body: Any, kind: ErrorKind) -> None:
    """Each server's words lead to the same kinds, and the error says who refused."""
    error = refused(status, body)

    assert error.kind is kind
    assert error.message.startswith("engine `local` refused the request")
    assert f"status {status}" in error.message


def test_the_servers_words_are_quoted_on_one_line() -> None:
    """Line breaks and control characters do not get through, nor endless texts."""
    error = refused(400, said("x", "bad\r\n\x1b[31mthing\x07 " + "a" * 1000))

    assert "bad [31mthing a" in error.message
    assert len(error.message) < 400


def test_fastapis_list_is_joined() -> None:
    """Every message is told; the input that FastAPI repeats is not."""
    body = {"detail": [{"msg": "one", "input": "private"}, {"msg": "two"}]}

    message = refused(422, body).message

    assert "one; two" in message
    assert "private" not in message


@pytest.mark.parametrize("padding", [0, 270, 290, 299])
def test_a_repeated_key_is_hidden(padding: int) -> None:
    """A server that echoes the key does not make it public, wherever the text is cut."""
    error = refused(401, said("x", "a" * padding + f" key {KEY} and Bearer abcdefgh1234"))

    assert "hunter2" not in error.advice
    assert "abcdefgh1234" not in error.advice


def test_pages_for_people_are_not_quoted() -> None:
    """A proxy's HTML says nothing, a plain text does."""
    assert "html" not in refused(502, b"<html>Bad Gateway</html>", "text/html").message
    assert "Bad Gateway" in refused(502, b"Bad Gateway", "text/plain").message


@pytest.mark.parametrize(
    ("status", "header", "seconds"),
    [
        (429, "3", 3.0),
        (429, "2.5", 2.5),
        (429, "", 10.0),
        (429, "-1", 10.0),
        (429, "nan", 10.0),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT", 10.0),
        (429, "1e9", 3600.0),
        (402, "", 60.0),
        (503, "7", 7.0),
        (503, "", None),
        (400, "7", None),
    ],
)
def test_retry_after(status: int, header: str, seconds: float | None) -> None:
    """The server's own pause counts where another try makes sense."""
    assert refused(status, b"", retry_after=header).retry_after == seconds


def test_the_path_of_a_bad_field_is_kept() -> None:
    """`param` is told for the request's faults only."""
    body = {"error": {"message": "no", "param": "messages[0]", "type": "invalid_request_error"}}

    assert refused(400, body).param == "messages[0]"
    body["error"]["type"] = "rate_limit_error"
    assert refused(429, body).param is None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"error": {"message": "m", "code": 429}}, ErrorKind.OVERLOADED),
        ({"error": {"message": "m", "type": "rate_limit_error"}}, ErrorKind.OVERLOADED),
        ({"object": "error", "message": "m", "code": 400}, ErrorKind.INVALID_REQUEST),
        ({"error": "out of memory"}, ErrorKind.ENGINE_FAILED),
        ({"code": 500, "message": "m"}, ErrorKind.ENGINE_FAILED),
    ],
)
def test_errors_inside_a_stream(value: Any, kind: ErrorKind) -> None:
    """There the status stands in the code, if it stands anywhere."""
    assert Endings("local", Redactor()).error(read_stream_error(value)).kind is kind
