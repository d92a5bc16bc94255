"""Requests and answers as bytes."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.client import calls
from lingma_cli.client.calls import Options, TextReader
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.openai_server import chunk

URL = "http://127.0.0.1:1/v1"
DONE = b"data: [DONE]\n\n"


def encoded(call: calls.Call, own_model: str | None = None) -> Any:
    """Return the body."""
    return json.loads(call.encode(own_model))


def test_a_text_is_one_message() -> None:
    """Of the user; a conversation goes as it is, fields that we do not know included."""
    talk = [{"role": "user", "content": [{"type": "text", "text": "a"}], "name": "ann"}]

    assert encoded(calls.chat_call("a", {}, None))["messages"] == [{"role": "user", "content": "a"}]
    assert encoded(calls.chat_call(talk, {}, None))["messages"] == talk


def test_only_what_is_said_is_sent() -> None:
    """Zero is said, `None` is not."""
    said: Options = {"temperature": 0.0, "max_tokens": 1, "top_p": None}

    assert encoded(calls.generate_call("a", said, None)) == {
        "prompt": "a",
        "temperature": 0.0,
        "max_tokens": 1,
    }


def test_the_model() -> None:
    """The call's, else the client's, else the destination's own, else none."""
    named: Options = {"model": "named"}
    assert encoded(calls.chat_call("a", named, "mine"), "own")["model"] == "named"
    assert encoded(calls.chat_call("a", {"model": None}, "mine"), "own")["model"] == "mine"
    assert encoded(calls.embed_call(["a"], "mine"), "own")["model"] == "mine"
    assert encoded(calls.embed_call(["a"], None), "own")["model"] == "own"
    assert "model" not in encoded(calls.embed_call(["a"], None))


def test_an_option_that_there_is_not() -> None:
    """Is not sent, but the program's mistake."""
    wrong: Any = {"temprature": 1}

    with pytest.raises(TypeError, match="no option `temprature`"):
        calls.chat_call("a", wrong, None)


def test_each_call_knows_its_engines() -> None:
    """Vectors come from other engines than text."""
    kinds = [
        (call.kind, call.path)
        for call in (
            calls.chat_call("a", {}, None),
            calls.generate_call("a", {}, None),
            calls.embed_call(["a"], None),
        )
    ]

    assert kinds == [
        ("llm", "/chat/completions"),
        ("llm", "/completions"),
        ("embedding", "/embeddings"),
    ]


def test_an_answer_without_text_is_empty() -> None:
    """A model may have nothing to say, and a server may tell no counts."""
    body = b'{"id": "1", "choices": [{"message": {"content": null}}]}'
    result = calls.read_result(body, "chat", url=URL, latency_ms=1.5)

    assert (result.content, result.usage, result.latency_ms) == ("", None, 1.5)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": [{}]}', b'{"data": 1}', b"\xff"])
def test_what_is_no_answer(body: bytes) -> None:
    """Is said of the address it came from."""
    for read in (
        lambda: calls.read_result(body, "chat", url=URL, latency_ms=0),
        lambda: calls.read_vectors(body, 1, url=URL),
        lambda: calls.read_models(body, url=URL),
    ):
        with pytest.raises(LingmaError, match=URL):
            read()


@pytest.mark.parametrize("indices", [[], [0], [0, 0], [0, 2], [0, 1, 2]])
def test_vectors_must_be_one_per_text(indices: list[int]) -> None:
    """Neither fewer nor more, and none twice."""
    body = json.dumps({"data": [{"index": index, "embedding": [1]} for index in indices]})

    with pytest.raises(LingmaError) as raised:
        calls.read_vectors(body.encode(), 2, url=URL)
    assert raised.value.kind is ErrorKind.ENGINE_FAILED


def test_a_model_without_a_known_kind_writes() -> None:
    """Other servers have other words there."""
    body = b'{"data": [{"id": "a"}, {"id": "b", "kind": "embedding"}, {"id": "c", "kind": "x"}]}'

    assert calls.read_models(body, url=URL) == {"a": "llm", "b": "embedding", "c": "llm"}


STREAM = chunk(reasoning="hm") + chunk("你") + chunk("好") + chunk(finish="stop") + DONE


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_a_stream_reads_alike_however_it_is_cut(cuts: list[int]) -> None:
    """The text of the answer and nothing else; after `[DONE]` it has ended."""
    edges = [0, *sorted(cuts), len(STREAM)]
    reader = TextReader()
    pieces = [
        piece
        for begin, end in itertools.pairwise(edges)
        for piece in reader.feed(STREAM[begin:end])
    ]

    assert "".join(pieces) == "你好"
    assert reader.has_ended
    assert list(reader.close()) == []


def test_a_stream_that_stops_has_broken_off() -> None:
    """Closing tells so."""
    reader = TextReader()

    assert list(reader.feed(chunk("a", finish="stop"))) == ["a"]
    with pytest.raises(LingmaError, match="broke off"):
        list(reader.close())
