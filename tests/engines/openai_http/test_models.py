"""Lists of models as servers give them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lingma_cli.core.chat import Model
from lingma_cli.engines.openai_http.models import read_models
from lingma_cli.errors import ErrorKind, LingmaError


def model(key: str, **fields: Any) -> Model:
    """Return a model that is called by its key."""
    return Model(key=key, name=key, **fields)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([{"id": "a"}, {"id": "b"}], (model("a"), model("b"))),
        (
            [{"id": "a", "max_model_len": 32768}],
            (model("a", context_tokens=32768),),
        ),
        (
            [{"id": "a", "meta": {"n_ctx": 1024, "n_vocab": 259}}],
            (model("a", context_tokens=1024),),
        ),
        (
            [{"id": "a", "architecture": {"input_modalities": ["text", "image"]}}],
            (model("a", vision=True),),
        ),
        ([{"id": "a", "meta": None, "architecture": None}], (model("a"),)),
        ([{"id": "a"}, {"id": "a"}], (model("a"),)),
        (None, ()),
        ([], ()),
    ],
    ids=["openai", "vllm", "llama.cpp", "vision", "nulls", "twice", "ollama", "empty"],
)
def test_dialects(data: Any, expected: tuple[Model, ...]) -> None:
    """Ids, context sizes and eyes are found wherever a server tells them."""
    assert read_models(json.dumps({"object": "list", "data": data}).encode()) == expected


@pytest.mark.parametrize("listed", ["a", "b"])
def test_one_model_alone_is_offered_listed_or_not(listed: str) -> None:
    """`--model` leaves that one, with what the server says of it."""
    body = json.dumps({"data": [{"id": "c"}, {"id": listed, "max_model_len": 7}]}).encode()

    size = 7 if listed == "b" else 0
    assert read_models(body, "b") == (model("b", context_tokens=size),)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"data":[{}]}', b'{"models":[]}', b"\xff"]
)
def test_what_is_no_list_is_an_error(body: bytes) -> None:
    """A list that cannot be read is no empty list."""
    with pytest.raises(LingmaError) as raised:
        read_models(body)

    assert raised.value.kind is ErrorKind.ENGINE_FAILED
