"""The binary's model list."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lingma_cli.core.chat import Model
from lingma_cli.engines.lingma.catalogue import read_models


def _read(answer: Any) -> tuple[Model, ...]:
    return read_models(json.dumps(answer).encode())


def test_scenes_become_one_list() -> None:
    """Each key once, the first mention wins, names and limits as given."""
    auto = {
        "key": "org_auto",
        "displayName": "Auto",
        "maxInputTokens": 180_000,
        "isDefault": True,
        "isVl": True,
        "isReasoning": False,
        "more": 1,
    }
    answer = {"assistant": [auto, {"key": "b"}], "chat": [auto | {"displayName": "Other"}]}
    expected = (
        Model(key="org_auto", name="Auto", context_tokens=180_000, is_default=True, vision=True),
        Model(key="b", name="b"),
    )

    assert expected == _read(answer)


def test_empty_scenes_and_unusable_entries_are_passed_over() -> None:
    """Null scenes, entries without a key and switched-off models do not show."""
    answer = {"a": None, "b": [], "c": [{"displayName": "x"}, {"key": "off", "enable": False}]}

    assert _read(answer) == ()


@pytest.mark.parametrize("answer", [None, [], "x", 5, {}])
def test_an_answer_of_another_shape_has_no_models(answer: Any) -> None:
    """Nothing is raised."""
    assert _read(answer) == ()


@pytest.mark.parametrize("answer", [b"", b"{", b"\xff", b'{"a":[{"key":"\xff"}]}'])
def test_bytes_that_are_no_json_have_no_models(answer: bytes) -> None:
    """Nothing is raised."""
    assert read_models(answer) == ()


@pytest.mark.parametrize(
    "odd",
    [
        {"version": 3},
        {"chat": [{"key": "b", "displayName": None, "maxInputTokens": "many"}]},
        {"chat": [None, "x"]},
    ],
)
def test_one_odd_entry_does_not_hide_the_others(odd: dict[str, Any]) -> None:
    """Releases differ: what is not understood is passed over, the rest is listed."""
    assert "org_auto" in [model.key for model in _read({"assistant": [{"key": "org_auto"}]} | odd)]
