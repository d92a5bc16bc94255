"""`/v1/embeddings` and `/v1/completions` over real sockets, with the official SDK and engines."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from lingma_cli.control.registry import Slot
from lingma_cli.core.events import Usage
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.router import PolicyRules
from tests.engines.openai_http.live import WELL
from tests.support.forward_server import KEY, ForwardServer, forward_server, http_slot
from tests.support.llama import MODEL, llama_server
from tests.support.openai_server import (
    BREAK_OFF,
    RESET,
    UNTIL_CLIENT_LEAVES,
    OpenAiServer,
    Piece,
    Reply,
    Until,
    error_reply,
    json_reply,
    openai_server,
)
from tests.support.scripted_engine import ScriptedEngine
from tests.support.serving import wait_until

MODELS = json_reply({"object": "list", "data": [{"id": "m1"}]})
STREAM = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}
USAGE = {"prompt_tokens": 4, "total_tokens": 4}
VECTOR = {"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}
VECTORS = {"object": "list", "data": [VECTOR], "model": "m1", "usage": USAGE}
DONE = b"data: [DONE]\n\n"


def words(text: str, finish: str | None = None) -> bytes:
    """Return one event of a completion."""
    choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
    body = {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice]}
    return b"data: %b\n\n" % json.dumps({**body, "model": "m1"}).encode()


def streamed(*pieces: Piece) -> Reply:
    """Return a streamed answer of `pieces`."""
    return Reply(headers=STREAM, pieces=pieces)


def whole(value: object) -> Reply:
    """Return a JSON answer."""
    return Reply(headers=JSON, pieces=[json.dumps(value).encode()])


GOOD = streamed(words("Once "), words("upon", "stop"), DONE)


@pytest.fixture
def upstream() -> Iterator[OpenAiServer]:
    """A scripted server that does both well."""
    with openai_server(
        engine_health=WELL, models=MODELS, embeddings=whole(VECTORS), completions=GOOD
    ) as server:
        yield server


def sdk(server: ForwardServer) -> openai.OpenAI:
    """Return the official client, without retries of its own."""
    return openai.OpenAI(
        base_url=f"{server.url}/v1",
        api_key=KEY,
        max_retries=0,
    )


def last(upstream: OpenAiServer, path: str) -> Any:
    """Return the last body that came to a path."""
    return [asked for asked in upstream.asked if asked.path == path][-1].json()


# passed on


def test_the_sdk_gets_vectors(upstream: OpenAiServer) -> None:
    """It asks for base64 by itself, and decodes what it gets; here that is a list."""
    with forward_server(http_slot(upstream.url, kind="embedding")) as server, sdk(server) as client:
        answer = client.embeddings.create(model="ada", input=["hi"], dimensions=2)

    assert answer.data[0].embedding == [0.5, -1.0]
    assert answer.usage.prompt_tokens == 4
    sent = last(upstream, "/v1/embeddings")
    assert (sent["model"], sent["dimensions"]) == ("m1", 2)
    assert sent["encoding_format"] == "base64"
    assert server.records[-1].usage == Usage(input_tokens=4, output_tokens=0)


def test_the_answer_is_left_alone(upstream: OpenAiServer) -> None:
    """To the byte; the note says that another model than the named one serves."""
    body = b'{ "data":[ {"embedding" : "AAAAPwAAgL8="} ],\n"odd":1e400 }'
    upstream.replies["/v1/embeddings"] = [Reply(headers=JSON, pieces=[body])]
    with forward_server(http_slot(upstream.url, kind="embedding")) as server:
        answer = server.post("/v1/embeddings", {"input": [[1, 2]], "model": "ada"})

    assert answer.content == body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-lingma-notes"] == "model_fallback"


def test_the_sdk_gets_a_stream(upstream: OpenAiServer) -> None:
    """Event by event."""
    with forward_server(http_slot(upstream.url)) as server, sdk(server) as client:
        stream = client.completions.create(model="m1", prompt="Say", stream=True)
        texts = [chunk.choices[0].text for chunk in stream]

    assert texts == ["Once ", "upon"]
    assert last(upstream, "/v1/completions") == {"model": "m1", "prompt": "Say", "stream": True}
    assert server.records[-1].end == "stop"


def test_the_sdk_gets_a_completion(upstream: OpenAiServer) -> None:
    """As a whole."""
    choice = {"index": 0, "text": "Once", "finish_reason": "length", "logprobs": None}
    body = {"id": "1", "object": "text_completion", "created": 1, "model": "m1"}
    upstream.replies["/v1/completions"] = [whole({**body, "choices": [choice]})]
    with forward_server(http_slot(upstream.url)) as server, sdk(server) as client:
        answer = client.completions.create(model="m1", prompt="Say", max_tokens=1)

    assert answer.choices[0].text == "Once"
    assert server.records[-1].end == "length"


def test_a_stream_is_passed_on_as_it_comes(upstream: OpenAiServer) -> None:
    """The first event is there before the second one was written."""
    told = threading.Event()
    upstream.replies["/v1/completions"] = [
        streamed(words("a"), Until(told), words("b", "stop"), DONE)
    ]
    body = {"model": "m1", "prompt": "x", "stream": True}
    with (
        forward_server(http_slot(upstream.url)) as server,
        server.client() as client,
        client.stream("POST", "/v1/completions", json=body) as answer,
    ):
        pieces = answer.iter_raw()
        first = next(pieces)
        told.set()
        rest = b"".join(pieces)

    assert first == words("a")
    assert rest.endswith(words("b", "stop") + DONE)
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_silence_is_broken_between_events(upstream: OpenAiServer) -> None:
    """A comment comes before the first event and in the middle of one, and harms none."""
    gates = [threading.Event(), threading.Event()]
    begun, rest = words("a")[:20], words("a")[20:]
    upstream.replies["/v1/completions"] = [
        streamed(Until(gates[0]), begun, Until(gates[1]), rest, words("b", "stop"), DONE)
    ]
    body = {"model": "m1", "prompt": "x", "stream": True}
    seen = b""
    with (
        forward_server(http_slot(upstream.url)) as server,
        server.client() as client,
        client.stream("POST", "/v1/completions", json=body) as answer,
    ):
        for piece in answer.iter_raw():
            seen += piece
            if seen.count(b": keep-alive") >= 1:
                gates[0].set()
            if seen.count(b": keep-alive") >= 3:
                gates[1].set()

    assert seen.replace(b": keep-alive\n\n", b"") == words("a") + words("b", "stop") + DONE


def test_a_whole_answer_after_a_keep_alive_becomes_an_event(upstream: OpenAiServer) -> None:
    """The client has been told of a stream by then."""
    gate = threading.Event()
    choice = {"index": 0, "text": "Once", "finish_reason": "stop"}
    late = Reply(
        headers=JSON, pieces=[b'{\n"choices":', Until(gate), json.dumps([choice]).encode(), b"}"]
    )
    upstream.replies["/v1/completions"] = [late]
    body = {"model": "m1", "prompt": "x", "stream": True}
    seen = b""
    with (
        forward_server(http_slot(upstream.url)) as server,
        server.client() as client,
        client.stream("POST", "/v1/completions", json=body) as answer,
    ):
        for piece in answer.iter_raw():
            seen += piece
            gate.set()

    event, done = seen.replace(b": keep-alive\n\n", b"").split(b"\n\n", 1)
    assert json.loads(event.removeprefix(b"data: ")) == {"choices": [choice]}
    assert b"\n" not in event
    assert done == DONE


def test_routing_headers_reach_the_policy(upstream: OpenAiServer) -> None:
    """A target names an engine by its place."""
    slots = http_slot(upstream.url, "a"), http_slot(upstream.url, "b")
    rules = PolicyRules(policy="consistent_hashing")
    with forward_server(*slots, rules=rules) as server, server.client() as client:
        for target in "10":
            headers = {"X-SMG-Target-Worker": target}
            client.post("/v1/completions", json={"prompt": "x"}, headers=headers)

    assert [record.engine for record in server.records] == ["b", "a"]


# refused


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/embeddings", {"model": "m1"}, "input"),
        ("/v1/embeddings", {"input": 3}, "input"),
        ("/v1/embeddings", {"input": []}, "input"),
        ("/v1/embeddings", {"input": ["a", 1]}, "input[1]"),
        ("/v1/embeddings", {"input": [[1], []]}, "input[1]"),
        ("/v1/embeddings", {"input": [[1], ["a"]]}, "input[1][0]"),
        ("/v1/embeddings", {"input": "a", "model": 3}, "model"),
        ("/v1/completions", {"model": "m1"}, "prompt"),
        ("/v1/completions", {"prompt": {}}, "prompt"),
        ("/v1/completions", {"prompt": "a", "stream": "yes"}, "stream"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    upstream: OpenAiServer, path: str, body: object, param: str
) -> None:
    """With its place, and before anybody is asked."""
    with forward_server(http_slot(upstream.url)) as server:
        before = len(upstream.asked)
        answer = server.post(path, body)

        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param
        assert len(upstream.asked) == before


def test_a_pool_of_lingma_says_what_to_do() -> None:
    """It chats, and nothing else."""
    with forward_server(Slot(engine=ScriptedEngine())) as server:
        completion = server.post("/v1/completions", {"model": "org_auto", "prompt": "hi"})
        embedding = server.post("/v1/embeddings", {"model": "org_auto", "input": "hi"})

    assert (completion.status_code, embedding.status_code) == (404, 404)
    assert "/v1/chat/completions" in completion.json()["error"]["message"]
    assert "lingma engine add URL --kind embedding" in embedding.json()["error"]["message"]
    assert completion.headers["x-should-retry"] == "false"


def test_the_key_is_asked_for(upstream: OpenAiServer) -> None:
    """They belong to the API."""
    with forward_server(http_slot(upstream.url)) as server:
        for path in ("/v1/embeddings", "/v1/completions"):
            answer = httpx.post(server.url + path, json={}, trust_env=False)
            assert answer.status_code == 401


def test_what_the_engine_refuses_keeps_its_status(upstream: OpenAiServer) -> None:
    """In the SDK it is the error that it would be at OpenAI's."""
    refusal = error_reply(400, "the prompt is too long", "context_length_exceeded")
    upstream.replies["/v1/completions"] = [refusal]
    with (
        forward_server(http_slot(upstream.url)) as server,
        sdk(server) as client,
        pytest.raises(openai.BadRequestError, match="the prompt is too long"),
    ):
        client.completions.create(model="m1", prompt="x", stream=True)


# broken


def test_another_engine_serves_when_one_dies(upstream: OpenAiServer) -> None:
    """Nothing of it is seen but in the record."""
    dying = openai_server(
        engine_health=WELL,
        models=MODELS,
        embeddings=Reply(before=[RESET]),
        completions=Reply(headers=STREAM, pieces=[BREAK_OFF]),
    )
    with (
        dying as first,
        forward_server(http_slot(first.url, "a"), http_slot(upstream.url, "b")) as server,
    ):
        body = {"model": "m1", "prompt": "x", "stream": True}
        completion = server.post("/v1/completions", body)
        embedding = server.post("/v1/embeddings", {"model": "m1", "input": "x"})

    assert completion.content == words("Once ") + words("upon", "stop") + DONE
    assert embedding.json() == VECTORS
    tried = [[attempt.engine for attempt in record.attempts] for record in server.records]
    assert tried == [["a", "b"], ["a", "b"]]


@pytest.mark.parametrize("end", [[BREAK_OFF], []])
def test_an_engine_that_breaks_off_is_told_of(upstream: OpenAiServer, end: list[Piece]) -> None:
    """As an event of the stream; half an event before it is left out."""
    upstream.replies["/v1/completions"] = [streamed(words("a"), words("b")[:30], *end)]
    with forward_server(http_slot(upstream.url)) as server:
        answer = server.post("/v1/completions", {"model": "m1", "prompt": "x", "stream": True})
        assert server.in_flight == 0

    first, error, nothing = answer.content.split(b"\n\n")
    assert (first + b"\n\n", nothing) == (words("a"), b"")
    told = json.loads(error.removeprefix(b"data: "))["error"]
    assert (told["type"], told["code"]) == ("server_error", "engine_failed")
    assert server.records[-1].end == "engine_failed"


def test_a_client_that_leaves_cancels_upstream(upstream: OpenAiServer) -> None:
    """And everything is given back."""
    upstream.replies["/v1/completions"] = [streamed(words("a"), UNTIL_CLIENT_LEAVES)]
    body = {"model": "m1", "prompt": "x", "stream": True}
    with forward_server(http_slot(upstream.url)) as server:
        with (
            server.client() as client,
            client.stream("POST", "/v1/completions", json=body) as answer,
        ):
            # Letting go of it hangs up.
            pieces = answer.iter_raw()
            assert next(pieces) == words("a")
            assert server.in_flight == 2
        assert upstream.client_left.wait(10)
        wait_until(lambda: server.in_flight == 0)
        assert server.records[-1].end == "cancelled"


def test_the_shutdown_ends_a_stream_properly(upstream: OpenAiServer) -> None:
    """The client gets an error event and the end of the body."""
    upstream.replies["/v1/completions"] = [streamed(words("a"), UNTIL_CLIENT_LEAVES)]
    body = {"model": "m1", "prompt": "x", "stream": True}
    with (
        forward_server(http_slot(upstream.url)) as server,
        server.client() as client,
        client.stream("POST", "/v1/completions", json=body) as answer,
    ):
        pieces = answer.iter_raw()
        seen = next(pieces)
        server.abort(LingmaError(ErrorKind.SHUTTING_DOWN, "closing"))
        seen += b"".join(pieces)

    events = [one for one in seen.split(b"\n\n") if one.startswith(b"data: ")]
    assert json.loads(events[-1].removeprefix(b"data: "))["error"]["code"] == "shutting_down"
    assert server.records[-1].end == "shutting_down"


# a real one


def test_llama_cpp_completes(tmp_path: Path) -> None:
    """As a stream, in front of a real server."""
    with (
        llama_server(tmp_path) as url,
        forward_server(http_slot(url)) as server,
        sdk(server) as client,
    ):
        stream = client.completions.create(
            model=MODEL,
            prompt="Once",
            max_tokens=8,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True},
        )
        chunks = list(stream)

    record = server.records[-1]
    assert any(chunk.choices and chunk.choices[0].text for chunk in chunks)
    assert (record.end, record.model) == ("length", MODEL)
    assert record.usage is not None
    assert record.usage.output_tokens == 8


def test_llama_cpp_embeds(tmp_path: Path) -> None:
    """With and without base64."""
    with (
        llama_server(tmp_path, embeddings=True) as url,
        forward_server(http_slot(url, kind="embedding")) as server,
        sdk(server) as client,
    ):
        plain = server.post("/v1/embeddings", {"input": ["one", "two"]}).json()
        packed = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"])

    assert [len(one["embedding"]) for one in plain["data"]] == [64, 64]
    assert packed.data[0].embedding == pytest.approx(plain["data"][0]["embedding"], abs=1e-5)
    usage = server.records[-1].usage
    assert usage is not None
    assert usage.input_tokens > 0
