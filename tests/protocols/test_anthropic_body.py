"""The shapes of a Messages body: what is unknown passes, what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.anthropic_body import Body, Image, Text, ToolResult, Unknown, mark_unknown
from lingma_cli.protocols.anthropic_parse import parse
from lingma_cli.protocols.fields import convert
from tests.support.strategies import texts

HI = {"role": "user", "content": "hi"}


def _blocks(content: Any) -> Any:
    body = {"messages": [{"role": "user", "content": content}]}
    return convert(mark_unknown(body), Body).messages[0].content


def test_blocks_of_unknown_types_keep_their_place() -> None:
    """Whatever they hold, they become `Unknown`, in a turn as in a tool's result."""
    odd = {"type": "hologram", "text": 5, "content": {"a": [None]}}
    nested = {"type": "tool_use", "id": 5}
    result = {"type": "tool_result", "tool_use_id": "c", "content": [odd, nested]}
    unknown = Unknown(kind="hologram")
    expected = [
        Text(text="a"),
        unknown,
        ToolResult(tool_use_id="c", content=[unknown, Unknown(kind="tool_use")]),
        Unknown(kind="unknown"),
    ]

    assert expected == _blocks([{"type": "text", "text": "a"}, odd, result, {"type": "unknown"}])


def test_a_document_of_blocks() -> None:
    """Its pieces are read like a turn's."""
    content = [{"type": "text", "text": "a"}, {"type": "x"}]
    (document,) = _blocks([{"type": "document", "source": {"type": "content", "content": content}}])

    assert [Text(text="a"), Unknown(kind="x")] == document.source.content


def test_a_mark_on_any_block_is_ignored() -> None:
    """Fields that no one reads, such as `cache_control`, are no error anywhere."""
    extra = {"cache_control": {"type": "ephemeral"}, "citations": 5}
    source = {"type": "url", "url": "u"}
    (text, image) = _blocks(
        [{"type": "text", "text": "a"} | extra, {"type": "image", "source": source | extra} | extra]
    )

    assert Text(text="a") == text
    assert isinstance(image, Image)


json_values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "content", "source", "text"]), inner)
    ),
    max_leaves=8,
)


def _kind_of_error(content: Any) -> ErrorKind | None:
    try:
        _blocks(content)
    except LingmaError as error:
        return error.kind
    return None


@given(json_values, st.sampled_from(["tool_result", "document", "text", "new"]))
def test_any_content_is_blocks_or_a_typed_error(value: Any, kind: str) -> None:
    """Marking never fails, whatever stands where a block should."""
    content = [{"type": kind, "tool_use_id": "c", "content": value, "source": value}, value]

    assert _kind_of_error(content) in (None, ErrorKind.INVALID_REQUEST)


def _user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "messages missing": ({"messages": ...}, "messages"),
    "messages empty": ({"messages": []}, "messages"),
    "messages object": ({"messages": {}}, "messages"),
    "message number": ({"messages": [HI, 5]}, "messages[1]"),
    "role missing": ({"messages": [{"content": "x"}]}, "messages[0].role"),
    "role unknown": ({"messages": [HI, {"role": "robot"}]}, "messages[1].role"),
    "content number": ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    "block text": (_user("a"), "messages[0].content[0]"),
    "block type missing": (_user({"text": "a"}), "messages[0].content[0].type"),
    "block type list": (_user({"type": []}), "messages[0].content[0].type"),
    "text missing": (_user({"type": "x"}, {"type": "text"}), "messages[0].content[1].text"),
    "text number": (_user({"type": "text", "text": 5}), "messages[0].content[0].text"),
    "image": (_user({"type": "image"}), "messages[0].content[0].source"),
    "image source": (_user({"type": "image", "source": "u"}), "messages[0].content[0].source"),
    "call id": (_user({"type": "tool_use", "name": "f"}), "messages[0].content[0].id"),
    "call input": (
        _user({"type": "tool_use", "id": "c", "name": "f", "input": "{}"}),
        "messages[0].content[0].input",
    ),
    "result id": (_user({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
    "result block": (
        _user({"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text"}]}),
        "messages[0].content[0].content[0].text",
    ),
    "model": ({"model": 5}, "model"),
    "system": ({"system": 5}, "system"),
    "system block": ({"system": [{"type": "text"}]}, "system[0].text"),
    "stream": ({"stream": "yes"}, "stream"),
    "max_tokens": ({"max_tokens": 1.5}, "max_tokens"),
    "stop_sequences": ({"stop_sequences": ["a", 1]}, "stop_sequences[1]"),
    "temperature": ({"temperature": "hot"}, "temperature"),
    "tools": ({"tools": {}}, "tools"),
    "tool name": ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
    "tool schema": ({"tools": [{"name": "f", "input_schema": []}]}, "tools[0].input_schema"),
    "choice word": ({"tool_choice": "any"}, "tool_choice"),
    "choice unnamed": ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    "choice not offered": ({"tool_choice": {"type": "tool", "name": "f"}}, "tool_choice.name"),
    "thinking": ({"thinking": {}}, "thinking.type"),
    "effort": ({"output_config": {"effort": 5}}, "output_config.effort"),
    "schema": (
        {"output_format": {"type": "json_schema", "schema": "x"}},
        "output_format.schema",
    ),
    "user": ({"metadata": {"user_id": 5}}, "metadata.user_id"),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_named_by_its_path(fields: dict[str, Any], param: str) -> None:
    """The error says where in the body the first wrong thing stands, in `param` and in words."""
    body = {"messages": [HI]} | fields
    body = {key: value for key, value in body.items() if value is not ...}

    with pytest.raises(LingmaError) as caught:
        parse(json.dumps(body).encode())

    assert (ErrorKind.INVALID_REQUEST, param) == (caught.value.kind, caught.value.param)
    assert f"`{param}`" in caught.value.message
