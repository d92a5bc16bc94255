"""Shapes of a Responses body, and the paths of what is wrong in them."""

from __future__ import annotations

from typing import Any

import pytest

from lingma_cli.errors import LingmaError
from lingma_cli.protocols.openai_responses_body import (
    BodyPart,
    MessageItem,
    NamespaceTool,
    convert_at,
)


def test_a_value_becomes_its_shape() -> None:
    """Fields that the shape does not know are passed over."""
    expected = MessageItem(role="user", content=[BodyPart(type="input_text", text="hi")])
    value = {"role": "user", "content": [{"type": "input_text", "text": "hi"}], "x": 1}

    assert expected == convert_at(value, MessageItem, "input[0]")


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({}, "input[3].role"),
        ({"role": "user", "content": 5}, "input[3].content"),
        ({"role": "user", "content": [{"type": 5}]}, "input[3].content[0].type"),
        (5, "input[3]"),
    ],
)
def test_the_path_is_the_bodys(value: Any, param: str) -> None:
    """An error names the place in the whole body, once in its words and once in `param`."""
    with pytest.raises(LingmaError) as caught:
        convert_at(value, MessageItem, "input[3]")

    assert param == caught.value.param
    assert caught.value.message.count("`input[3]") == 1


def test_inner_lists_keep_their_path() -> None:
    """The index of a list inside follows the path of the outer value."""
    with pytest.raises(LingmaError) as caught:
        convert_at({"name": "n", "tools": [{}, 1]}, NamespaceTool, "tools[0]")

    assert caught.value.param == "tools[0].tools[1]"
