"""From the name a client sends to a model of the engine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lingma_cli.core.chat import AskMode, ChatRequest, Model
from lingma_cli.core.notes import Note, NoteCode, codes
from lingma_cli.gateway.model_names import resolve_model

MODELS = (
    Model(key="a", name="Alpha"),
    Model(key="b", name="Beta", is_default=True),
    Model(key="Alpha2", name="a"),
)
CHAT, AGENT = AskMode.CHAT, AskMode.AGENT


def _resolve(
    name: str, *, default: str = "a", mode: AskMode = CHAT, models: tuple[Model, ...] = MODELS
) -> ChatRequest:
    request = ChatRequest(model=name, messages=())
    return resolve_model(request, models, default=default, default_mode=mode)


@pytest.mark.parametrize(
    ("name", "key"),
    [("a", "a"), ("Alpha", "a"), ("Beta", "b"), ("Alpha2", "Alpha2")],
)
def test_known_names(name: str, key: str) -> None:
    """The key first, then the display name; no note."""
    assert ChatRequest(model=key, messages=()) == _resolve(name)


def test_no_name_means_the_default() -> None:
    """Nothing was asked for, so nothing is noted."""
    assert ChatRequest(model="a", messages=()) == _resolve("")


def test_an_unknown_name_falls_back_with_a_note() -> None:
    """The note says what was asked and what serves; earlier notes stay."""
    earlier = Note(code=NoteCode.PART_DROPPED, text="y")
    request = ChatRequest(model="gpt-4o", messages=(), notes=(earlier,))

    resolved = resolve_model(request, MODELS, default="a", default_mode=CHAT)

    assert resolved.model == "a"
    assert codes(resolved.notes) == ("part_dropped", "model_fallback")
    assert "gpt-4o" in resolved.notes[1].text


@pytest.mark.parametrize("name", ["agent", "lingma-agent"])
def test_agent_names(name: str) -> None:
    """They mean the default model in agent mode."""
    assert replace(_resolve(""), mode=AGENT) == _resolve(name)


def test_the_default_mode() -> None:
    """A plain name follows the setting."""
    assert AGENT is _resolve("b", mode=AGENT).mode


@pytest.mark.parametrize(
    ("default", "models", "key"),
    [
        ("gone", MODELS, "b"),
        ("gone", MODELS[:1], "a"),
        ("gone", (), "gone"),
    ],
)
def test_a_default_that_is_not_there(default: str, models: tuple[Model, ...], key: str) -> None:
    """The engine's own default, else its first model, else the name as configured."""
    assert key == _resolve("", default=default, models=models).model
