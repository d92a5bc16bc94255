"""Reading a JSON body strictly."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.fields import convert, decode_object, extras, invalid

DEEP = 100_000

NO_OBJECT = {
    "empty": b"",
    "blank": b" \n",
    "word": b"hello",
    "array": b"[1]",
    "text": b'"x"',
    "number": b"5",
    "null": b"null",
    "cut": b'{"a": 1',
    "two": b"{}{}",
    "single quotes": b"{'a': 1}",
    "trailing comma": b'{"a": 1,}',
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": Infinity}',
    "minus Infinity": b'{"a": -Infinity}',
    "high surrogate": b'{"a": "\\ud800"}',
    "high surrogate before text": b'{"a": "\\ud800 and more"}',
    "low surrogate": b'{"a": "\\udc00 and more"}',
    "encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "invalid UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "control character": b'{"a": "\x01"}',
    "float out of range": b'{"a": 1e400}',
    "huge int": b'{"a": 1' + b"0" * 100_000 + b"}",
    "deep arrays": b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"a": ' * DEEP + b"1" + b"}" * DEEP,
    "deep and cut": b"[" * DEEP,
}


@pytest.mark.parametrize("body", NO_OBJECT.values(), ids=NO_OBJECT.keys())
def test_what_is_no_json_object(body: bytes) -> None:
    """Every broken body is the one typed error, in a short lower-case sentence."""
    with pytest.raises(LingmaError) as caught:
        decode_object(body)

    message = caught.value.message
    assert (caught.value.kind, caught.value.param) == (ErrorKind.INVALID_REQUEST, None)
    assert message.startswith("the request body ")
    assert len(message) < 200
    assert "jSON" not in message


def test_an_object_is_returned() -> None:
    """Large integers and any text survive."""
    body = '{"a": 1' + "0" * 30 + ', "好": ["\\ud83d\\ude00", null, true, -0.5]}'

    assert decode_object(body.encode()) == {"a": 10**30, "好": ["\U0001f600", None, True, -0.5]}


class _Inner(msgspec.Struct):
    number: int


class _Outer(msgspec.Struct):
    items: list[_Inner]


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({"items": [{"number": 1}, {"number": "x"}]}, "items[1].number"),
        ({"items": 3}, "items"),
        ([], None),
    ],
)
def test_a_wrong_type_is_named_by_its_path(value: Any, param: str | None) -> None:
    """The path is that of the first wrong value, without the decoder's dollar."""
    with pytest.raises(LingmaError) as caught:
        convert(value, _Outer)

    assert param == caught.value.param
    assert "$" not in caught.value.message


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({}, "input[3].items"),
        ({"items": 5}, "input[3].items"),
        ({"items": [{"number": 1}, {}]}, "input[3].items[1].number"),
        (5, "input[3]"),
    ],
)
def test_a_path_may_begin_further_out(value: Any, param: str) -> None:
    """A value inside the body is named by its whole path, in the words too."""
    with pytest.raises(LingmaError) as caught:
        convert(value, _Outer, "input[3]")

    assert param == caught.value.param
    assert caught.value.message.endswith(f" at `{param}`")
    assert caught.value.message.count("`input[3]") == 1


def test_a_list_inside_a_list() -> None:
    """An index follows the outer path without a dot."""
    with pytest.raises(LingmaError) as caught:
        convert([{"number": 1}, 2], list[_Inner], "tools[0].tools")

    assert caught.value.param == "tools[0].tools[1]"


def test_what_the_shape_does_not_know_is_extra() -> None:
    """Unknown fields are told apart from known ones."""
    value = {"items": [{"number": 1}], "more": 2}

    assert extras(value, _Outer) == {"more": 2}
    assert [item.number for item in convert(value, _Outer).items] == [1]


def test_the_sentence_names_the_path() -> None:
    """People see where, and programs too."""
    error = invalid("must be a number", param="a.b")

    assert (error.message, error.param) == ("must be a number at `a.b`", "a.b")
    assert (invalid("no").param, invalid("no").message) == (None, "no")
