"""JSON as the answer: asked for, found, checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import OutputFormat
from lingma_cli.core.collect import Collector
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
)
from lingma_cli.core.grammar import Seal
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.transforms.output_format import JsonAnswer, check_schema, instruction
from tests.support.strategies import cuts, is_sentence, sealed_streams, text_cuts

OBJECT = OutputFormat()
AGE = OutputFormat(
    schema={
        "type": "object",
        "properties": {"age": {"$ref": "#/$defs/years"}},
        "required": ["age"],
        "$defs": {"years": {"type": "integer"}},
    }
)
NAME = OutputFormat(schema={"type": "string"})
STOP = Finished(reason=FinishReason.STOP)
EMULATED = "response_format_emulated"
UNMET = "response_format_unmet"


def _text(text: str) -> BlockDelta:
    return BlockDelta(kind=BlockKind.TEXT, text=text)


def _answer(format_: OutputFormat, *pieces: str) -> tuple[str, tuple[str, ...]]:
    """Return the text of an answer in pieces, and the notes."""
    transform = JsonAnswer(format_)
    answer = Collector()
    events: list[ChatEvent] = [*map(_text, pieces), STOP]
    answer.feed(Seal("m").feed(transform.feed(events)))
    return answer.text(), codes(transform.notes)


@pytest.mark.parametrize(
    ("format_", "text", "expected"),
    [
        (OBJECT, '{"a": 1}', '{"a": 1}'),
        (OBJECT, '\n {"a": 1}\n', '\n {"a": 1}\n'),
        (OBJECT, '```json\n{"a": 1}\n```', '{"a": 1}'),
        (OBJECT, 'Here you are:\n```\n{"a": "}"}\n```\nDone.', '{"a": "}"}'),
        (OBJECT, 'From [1] and {this}: {"a": {"b": 2}} (see [2])', '{"a": {"b": 2}}'),
        (AGE, 'Not {"name": "x"} but {"age": 7}', '{"age": 7}'),
        (AGE, '{"age": 7}', '{"age": 7}'),
        (NAME, '"Ada"', '"Ada"'),
        (NAME, '```json\n"Ada"\n```', '"Ada"'),
    ],
)
def test_json_is_found(format_: OutputFormat, text: str, expected: str) -> None:
    """Fences and sentences around the first value that fits are left out."""
    assert (expected, (EMULATED,)) == _answer(format_, text)


@pytest.mark.parametrize(
    ("format_", "text"),
    [
        (OBJECT, ""),
        (OBJECT, "I cannot do that."),
        (OBJECT, "[1]"),
        (OBJECT, '{"a": 1} there you are'),
        (OBJECT, '{"a": NaN}'),
        (OBJECT, 'cut off: {"a": 1'),
        (OBJECT, "so: " + "[" * 100_000),
        (OBJECT, "[" * 100_000),
        (AGE, '{"age": "seven"}'),
        (AGE, 'It is {"age": "seven"}.'),
        (NAME, "Ada"),
        (OutputFormat(schema={"$ref": "https://example.org/schema.json"}), "{}"),
        (OutputFormat(schema={"$ref": "#"}), "{}"),
        (OutputFormat(schema={"$id": "http://[", "$ref": "a"}), "{}"),
        (OutputFormat(schema={"multipleOf": 0.5}), "1" + "0" * 400),
    ],
    ids=range(15),
)
def test_what_does_not_fit_stays_and_is_noted(format_: OutputFormat, text: str) -> None:
    """The text is the model's, unchanged; nothing is fetched to judge it."""
    assert (text, (EMULATED, UNMET)) == _answer(format_, text)


def test_json_streams() -> None:
    """Text that begins with a bracket goes out as it comes."""
    transform = JsonAnswer(OBJECT)

    assert transform.feed([_text(" ")]) == []
    assert transform.feed([_text('{"a"')])[1:] == [_text(' {"a"')]
    assert transform.feed([_text(": 1}")]) == [_text(": 1}")]


def test_prose_waits_for_the_end() -> None:
    """It may turn out to be the wrapping of JSON."""
    assert JsonAnswer(OBJECT).feed([_text('Sure: {"a": 1}')]) == []


@given(
    st.lists(st.sampled_from(["{", "}", '"a": 1', "```json\n", "\n```", " x ", "[", "]"])),
    st.data(),
)
def test_any_cut_reads_alike(words: list[str], data: st.DataObject) -> None:
    """How the text was cut on its way does not matter."""
    text = "".join(words)

    assert _answer(OBJECT, text) == _answer(OBJECT, *data.draw(text_cuts(text)))


def test_reasoning_passes_at_once() -> None:
    """Only text waits."""
    thought = BlockDelta(kind=BlockKind.REASONING, text="hm")

    assert thought in JsonAnswer(OBJECT).feed([_text("Sure"), thought])


@pytest.mark.parametrize("prose", ["Let me see. ", '{"a": 1'])
def test_an_answer_with_calls_is_left_alone(prose: str) -> None:
    """A turn that calls tools is not the answer yet: it passes in its order and is not judged."""
    transform = JsonAnswer(OBJECT)
    events: list[ChatEvent] = [
        BlockOpened(kind=BlockKind.TEXT),
        _text(prose),
        BlockClosed(),
        BlockOpened(kind=BlockKind.TOOL_CALL, call_id="c", name="f"),
        BlockDelta(kind=BlockKind.TOOL_CALL, text="{}"),
        BlockClosed(),
        BlockOpened(kind=BlockKind.TEXT),
        _text("and so on"),
        BlockClosed(),
        Finished(reason=FinishReason.TOOL_CALLS),
    ]

    assert events == transform.feed(events)
    assert codes(transform.notes) == (EMULATED,)


def test_a_failure_keeps_the_text() -> None:
    """What waited goes out before the failure, which says enough."""
    transform = JsonAnswer(OBJECT)
    failed = Failed(error=LingmaError(ErrorKind.ENGINE_FAILED, "x"))

    assert [_text("Sure"), BlockClosed(), failed] == transform.feed([_text("Sure"), failed])[1:]
    assert codes(transform.notes) == (EMULATED,)


@given(sealed_streams, st.data())
def test_a_sealed_stream_stays_sealed(events: list[ChatEvent], data: st.DataObject) -> None:
    """Brackets are there for whatever goes out, and for when."""
    transform = JsonAnswer(OBJECT)

    out = [event for batch in data.draw(cuts(events)) for event in transform.feed(batch)]

    assert is_sentence(out)


def test_the_instruction() -> None:
    """The model is told to write JSON only, and the schema if there is one."""
    assert "JSON object" in instruction(OBJECT)
    assert json.dumps(AGE.schema, separators=(",", ":")) in instruction(AGE)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "thing"},
        {"properties": []},
        {"minimum": "1"},
        {"$schema": 5},
        {"$schema": []},
        {"$schema": "http://json-schema.org/draft-07/schema#", "required": "a"},
    ],
    ids=str,
)
def test_a_wrong_schema_is_refused(schema: dict[str, Any]) -> None:
    """The error names the place of the schema in the request."""
    with pytest.raises(LingmaError) as caught:
        check_schema(OutputFormat(schema=schema, param="text.format.schema"))

    assert caught.value.kind is ErrorKind.INVALID_REQUEST
    assert caught.value.param == "text.format.schema"


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]},
        {"$schema": "https://example.org/unknown"},
        {"$schema": "http://["},
        {"type": "string", "pattern": "^\\p{L}+$"},
    ],
    ids=str,
)
def test_a_right_schema_passes(schema: dict[str, Any] | None) -> None:
    """None at all, every draft, unknown drafts, and patterns of another language."""
    check_schema(OutputFormat(schema=schema))


keywords = st.sampled_from(
    ["type", "properties", "items", "$ref", "pattern", "multipleOf", "anyOf", "$id", "format"]
)
values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(["object", "string", "#", "#/a", "(", "http://[", 0, 0.5, 3, None, True]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keywords, inner, max_size=2),
    max_leaves=6,
)


@given(st.dictionaries(keywords, values, max_size=3), values)
def test_any_schema_is_refused_or_can_judge(schema: dict[str, Any], value: Any) -> None:
    """No schema that passes the check makes the judging break."""
    format_ = OutputFormat(schema=schema)
    text = json.dumps(value)
    try:
        check_schema(format_)
    except LingmaError:
        return

    assert _answer(format_, text)[0] == text


SLOW = "^(a+)+$"


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"type": "string", "pattern": SLOW}}},
        {"patternProperties": {SLOW: {"type": "integer"}}, "additionalProperties": False},
        {"allOf": [{"patternProperties": {SLOW: True}}], "unevaluatedProperties": False},
        {"properties": {"a": {"pattern": "("}}},
    ],
)
def test_patterns_are_not_run(schema: dict[str, Any]) -> None:
    """One that backtracks for ages costs nothing, and all else in the schema counts."""
    text = json.dumps({"a": "a" * 40 + "!", "a" * 40 + "!": ""})

    assert _answer(OutputFormat(schema=schema), text) == (text, (EMULATED,))
    assert _answer(OutputFormat(schema=schema | {"required": ["b"]}), text)[1] == (EMULATED, UNMET)
