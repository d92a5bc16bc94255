"""From the name a client sends to the models that may serve it, and to an engine's key."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lingma_cli.core.chat import AskMode, ChatRequest, Model
from lingma_cli.core.notes import Note, NoteCode, codes
from lingma_cli.gateway.model_names import Goal, ModelRules, aimed, goals, key_of

MODELS = (
    Model(key="a", name="Alpha"),
    Model(key="b", name="Beta", is_default=True),
    Model(key="Alpha2", name="a"),
)
CHAT, AGENT = AskMode.CHAT, AskMode.AGENT
OFFERED = {"a": "a", "Alpha": "a", "Beta": "b", "b": "b", "c": "c", "d": "d"}


def _goals(name: str, rules: ModelRules | None = None) -> Sequence[Goal]:
    return goals(name, rules or ModelRules(default="a"), OFFERED.get)


def _resolve(
    name: str, *, default: str = "a", models: tuple[Model, ...] = MODELS, mode: AskMode = CHAT
) -> ChatRequest:
    rules = ModelRules(default=default, default_mode=mode)
    found = goals(name, rules, lambda one: key_of(one, models))
    return aimed(ChatRequest(model=name, messages=()), found[0], models, agent_mode=True)


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
    """The note says what was asked; earlier notes stay."""
    earlier = Note(code=NoteCode.PART_DROPPED, text="y")
    request = ChatRequest(model="gpt-4o", messages=(), notes=(earlier,))

    resolved = aimed(request, _goals("gpt-4o")[0], MODELS, agent_mode=True)

    assert resolved.model == "a"
    assert codes(resolved.notes) == ("part_dropped", "model_fallback")
    assert "gpt-4o" in resolved.notes[1].text


@pytest.mark.parametrize("name", ["agent", "lingma-agent"])
def test_agent_names(name: str) -> None:
    """They mean the default model in agent mode."""
    assert ChatRequest(model="a", messages=(), mode=AGENT) == _resolve(name)


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


@pytest.mark.parametrize(
    ("name", "model"),
    [("claude-opus", "b"), ("claude", "a"), ("gpt-4o", "c"), ("gpt-4o-mini", "a"), ("d", "c")],
)
def test_aliases(name: str, model: str) -> None:
    """The first pattern that fits counts, also for a name that an engine knows."""
    rules = ModelRules(
        default="a",
        aliases=[("claude-*", "b"), ("claude-opus", "d"), ("gpt-4o", "c"), ("d", "c")],
    )

    assert _goals(name, rules)[0].model == model


def test_an_alias_of_a_known_model_needs_no_note() -> None:
    """It is what the user wants."""
    rules = ModelRules(default="a", aliases=[("claude-*", "b")])

    assert _goals("claude-opus", rules) == [Goal(model="b", key="b", is_known=True, mode=CHAT)]


def test_an_alias_of_an_unknown_model_falls_back() -> None:
    """The note names what was looked for."""
    rules = ModelRules(default="a", aliases=[("claude-*", "gone")])

    goal = _goals("claude-opus", rules)[0]

    assert goal.model == "a"
    assert goal.note is not None
    assert "gone" in goal.note.text


def test_fallbacks_come_in_order_and_only_if_somebody_offers_them() -> None:
    """Those of the model first, then those of its stand-ins, each once."""
    fallbacks = [("a", "gone"), ("a", "b"), ("b", "c"), ("b", "a"), ("*", "d")]
    found = _goals("a", ModelRules(default="d", fallbacks=fallbacks))

    assert [goal.model for goal in found] == ["a", "b", "d", "c"]
    assert found[0].note is None
    assert all(goal.note and goal.note.code is NoteCode.MODEL_FALLBACK for goal in found[1:])


def test_a_default_has_fallbacks_too() -> None:
    """Also when nobody is known to have it."""
    found = _goals("", ModelRules(default="gone", fallbacks=[("gone", "b")]))

    assert [(goal.model, goal.is_known) for goal in found] == [("gone", False), ("b", True)]


def test_a_model_that_nobody_has_listed_has_fallbacks() -> None:
    """They come before the default: its engine may not have been up since the start."""
    rules = ModelRules(default="a", fallbacks=[("tiny", "b"), ("a", "c"), ("a", "b")])
    found = _goals("tiny", rules)

    assert [goal.model for goal in found] == ["b", "a", "c"]
    assert found[0].note is not None
    assert "'tiny'" in found[0].note.text


@pytest.mark.parametrize("name", ["", "gone", "agent"])
def test_a_default_that_nobody_has_listed_is_not_said_to_be_unknown(name: str) -> None:
    """The client asked for it, so it gets what it wants."""
    (goal,) = _goals(name, ModelRules(default="gone"))

    assert (goal.model, goal.is_known, goal.note) == ("gone", False, None)


def test_rules_go_by_keys() -> None:
    """A display name is as good; engines are still looked for under the name that was asked for."""
    found = _goals("Alpha", ModelRules(default="d", fallbacks=[("a", "Beta"), ("b", "a")]))

    assert [(goal.model, goal.key) for goal in found] == [("Alpha", "a"), ("Beta", "b")]


def test_agent_mode_is_for_those_that_know_it() -> None:
    """Others are asked as ever."""
    request = ChatRequest(model="agent", messages=())
    (goal,) = _goals("agent")

    modes = [aimed(request, goal, MODELS, agent_mode=knows).mode for knows in (True, False)]
    assert modes == [AGENT, CHAT]
