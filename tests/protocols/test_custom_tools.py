"""Freeform tools, bridged to functions and back."""

from __future__ import annotations

import pytest
from hypothesis import given

from lingma_cli.protocols.custom_tools import bridged, to_arguments, to_text
from tests.support.strategies import texts


@given(texts)
def test_any_text_comes_back(text: str) -> None:
    """Wrapping and unwrapping changes nothing."""
    assert text == to_text(to_arguments(text))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("*** Begin Patch", "*** Begin Patch"),
        ('"raw"', "raw"),
        ('{"patch": "x"}', '{"patch": "x"}'),
        pytest.param("[" * 100_000, "[" * 100_000, id="deep"),
    ],
)
def test_arguments_of_another_form_are_not_lost(arguments: str, text: str) -> None:
    """A model may forget the wrapping."""
    assert text == to_text(arguments)


def test_a_grammar_is_told_in_the_description() -> None:
    """Engines take no grammars, so the model reads it."""
    tool = bridged(
        "patch", "Edits.", {"type": "grammar", "syntax": "lark", "definition": "start: X"}
    )

    assert (tool.custom, tool.parameters["required"]) == (True, ["input"])
    assert "lark grammar:\nstart: X" in tool.description
