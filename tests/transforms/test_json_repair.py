"""JSON as models write it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.transforms.json_repair import read_objects, read_value, write
from tests.support.strategies import texts

GOOD: dict[str, tuple[str, list[object]]] = {
    "object": ('{"a": 1}', [{"a": 1}]),
    "two objects": ('{"a": 1}\n{"b": 2}', [{"a": 1}, {"b": 2}]),
    "objects with commas": ('{"a": 1},\n{"b": 2}', [{"a": 1}, {"b": 2}]),
    "array": (' [{"a": 1}, {"b": 2}]\n', [{"a": 1}, {"b": 2}]),
    "nested": ('{"a": {"b": [1, {"c": null}]}}', [{"a": {"b": [1, {"c": None}]}}]),
    "lone surrogate": (r'{"a": "\ud83d"}', [{"a": "\ud83d"}]),
}
MENDED: dict[str, tuple[str, object]] = {
    "trailing comma": ('{"a":1,}', {"a": 1}),
    "trailing commas inside": ('{"a": [1, 2, ], "b": {"c": 1 ,\n},}', {"a": [1, 2], "b": {"c": 1}}),
    "smart quotes": ('{“a”: “b”, “c”: “say "hi", he said”}', {"a": "b", "c": 'say "hi", he said'}),
    "smart quotes inside plain ones": ('{"a": "“b”",}', {"a": "“b”"}),
    "raw line break": ('{"a": "x\ny"}', {"a": "x\ny"}),
    "raw tab": ('{"a": "x\ty"}', {"a": "x\ty"}),
    "line comment": ('{"a": 1, // one\n"b": "// two"}', {"a": 1, "b": "// two"}),
    "block comment": ('{/* one */ "a": 1}', {"a": 1}),
    "Python's words": ('{"a": True, "b": None, "c": "True"}', {"a": True, "b": None, "c": "True"}),
    "escape of nothing": (r'{"a": "\d+\.py", "b": "it\'s"}', {"a": r"\d+\.py", "b": "it's"}),
    "escape of a path": (r'{"a": "C:\user"}', {"a": r"C:\user"}),
    "missing bracket": ('{"a": {"b": [1', {"a": {"b": [1]}}),
    "surplus bracket": ('{"a": {"b": 1}}}', {"a": {"b": 1}}),
}
BAD = {
    "nothing": "",
    "empty array": "[]",
    "text": "hello",
    "number": "1",
    "array of numbers": "[1]",
    "array that does not end": '[{"a": [[1}',
    "string left open": '{"a": "b',
    "smart string left open": "{“a”: “b",
    "too much is missing": '{"a": [[[1',
    "text behind": '{"a": 1} and so on',
    "not a number": '{"a": NaN}',
    "brackets of other kinds": '{"a": [1}',
    "too deep": '{"a":' * 100_000,
    "too long a number": '{"a": ' + "1" * 5000 + "}",
}


@pytest.mark.parametrize(("text", "expected"), GOOD.values(), ids=GOOD.keys())
def test_json_is_read_as_it_is(text: str, expected: list[object]) -> None:
    """One object, several, or an array, each with its source."""
    values = read_objects(text)

    assert values is not None
    assert expected == [value for value, _ in values.items]
    assert expected == [json.loads(source) for _, source in values.items]
    assert not values.repaired


@pytest.mark.parametrize(("text", "expected"), MENDED.values(), ids=MENDED.keys())
def test_common_faults_are_mended(text: str, expected: object) -> None:
    """And it is told that they were."""
    values = read_objects(text)

    assert values is not None
    assert [expected] == [value for value, _ in values.items]
    assert values.repaired


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_other_texts_are_no_objects(text: str) -> None:
    """What cannot be meant as JSON is refused, not guessed."""
    assert read_objects(text) is None


def test_nothing_is_added_to_a_text_that_was_cut() -> None:
    """What an end cut off is not what the model meant."""
    assert read_objects('{"a": {"b": 1}', closed=False) is None
    assert read_objects('{"a": {"b": 1}') is not None


objects = st.dictionaries(
    texts,
    st.recursive(st.none() | st.booleans() | st.integers() | texts, st.lists),
)


@given(objects, st.sampled_from((None, 2)))
def test_what_was_written_is_read(value: dict[str, object], indent: int | None) -> None:
    """Good JSON is never changed."""
    values = read_objects(json.dumps(value, indent=indent, ensure_ascii=False))

    assert values is not None
    assert [value] == [item for item, _ in values.items]
    assert not values.repaired
    assert value == read_value(write(value))


snippets = st.lists(st.sampled_from('{}[]",:“”\\/* \n1atrueNone//')).map("".join)


@given(snippets | texts)
def test_garbage_never_raises(text: str) -> None:
    """Whatever a model writes, it is read or it is not."""
    for closed in (True, False):
        values = read_objects(text, closed=closed)
        assert values is None or values.items


def test_values_without_a_form_are_refused() -> None:
    """JSON has no infinity and no sets; UTF-8 has no lone surrogates, but JSON can say them."""
    for value in (float("inf"), {1}, b"x"):
        with pytest.raises(ValueError, match=r"."):
            write(value)

    assert write({"a": "\ud83d"}) == '{"a": "\\ud83d"}'
    assert write("好") == '"好"'


@pytest.mark.parametrize("text", ["", "NaN", "{", "[" * 100_000])
def test_a_strict_value_is_a_value(text: str) -> None:
    """One error for all that is none."""
    with pytest.raises(ValueError, match=r"."):
        read_value(text)
