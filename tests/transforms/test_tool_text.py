"""Calls in streaming text. In the expectations, a call is a tuple of name and arguments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import Tool
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.core.notes import codes
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.transforms.tool_text import TextCall, ToolTextReader, ToolTextTransform
from tests.support.strategies import is_sentence, loose_streams, seal, text_cuts, texts

TOOLS = [
    Tool(
        name="read",
        parameters={
            "properties": {"path": {"type": "string"}, "line": {"type": "integer"}},
            "required": ["path"],
            "additionalProperties": False,
        },
    ),
    Tool(name="ls"),
]
LS = '```json action\n{"tool": "ls"}\n```\n'
READ = '```json action\n{"tool": "read", "parameters": {"path": "a"}}\n```\n'
CALL, CALL_READ = ("ls", "{}"), ("read", '{"path": "a"}')
Pieces = list[str | tuple[str, str]]


def _collected(given_out: Sequence[str | TextCall]) -> Pieces:
    pieces: Pieces = []
    for piece in given_out:
        if isinstance(piece, TextCall):
            pieces.append((piece.name, piece.arguments))
        elif pieces and isinstance(pieces[-1], str):
            pieces[-1] += piece
        else:
            pieces.append(piece)
    return pieces


def _read(*deltas: str) -> Pieces:
    reader = ToolTextReader(TOOLS)
    return _collected([piece for delta in deltas for piece in reader.feed(delta)] + reader.close())


def _file(content: str) -> Pieces:
    return [("read", json.dumps({"path": content}, ensure_ascii=False))]


CASES: dict[str, tuple[str, Pieces]] = {
    "nothing": ("", []),
    "call alone": (LS, [CALL]),
    "call to the end": (LS.rstrip(), [CALL]),
    "call with blank lines": (f"\n\n{LS}\n\n", [CALL]),
    "prose before": (f"I look.\n\n{LS}", ["I look.", CALL]),
    "prose after": (f"{LS}\n\nDone.", [CALL, "Done."]),
    "prose around": (f"I look.\n\n{LS}\nDone.\n", ["I look.", CALL, "\n\nDone.\n"]),
    "parallel calls": (f"{LS}\n{READ}", [CALL, CALL_READ]),
    "prose between": (f"a\n{LS}b\n{READ}c", ["a", CALL, "\nb", CALL_READ, "\nc"]),
    "two objects": (
        '```json action\n{"tool": "ls"}\n{"tool": "read", "path": "a"}\n```\n',
        [CALL, CALL_READ],
    ),
    "array": ('```json action\n[{"tool": "ls"}]\n```\n', [CALL]),
    "trailing comma": ('```json action\n{"tool":"ls",}\n```\n', [CALL]),
    "empty parameters": ('```json action\n{"tool": "ls", "parameters": {}}\n```\n', [CALL]),
    "numbers as strings": (
        '```json action\n{"tool": "read", "parameters": {"path": "a", "line": "2"}}\n```\n',
        [("read", '{"path": "a", "line": 2}')],
    ),
    "unknown arguments": (
        '```json action\n{"tool": "read", "parameters": {"path": "a", "b": 1}}\n```\n',
        [CALL_READ],
    ),
    "Chinese": ('```json action\n{"tool": "read", "path": "文件😀"}\n```\n', _file("文件😀")),
    "four backticks": ('````json action\n{"tool": "ls"}\n````\n', [CALL]),
    "in a list": (f"- {LS}", ["- ", CALL]),
    "in the middle of a line": (f"So: {LS}Done.", ["So: ", CALL, "Done."]),
    "unclosed": ('a\n```json action\n{"tool": "ls"}', ["a", CALL]),
    "unclosed and cut": ('a\n```json action\n{"tool": "ls"', ['a\n```json action\n{"tool": "ls"']),
    "opening only": ("a\n```json action", ["a\n```json action"]),
    "unclosed before another": (f'```json action\n{{"tool": "ls"}}\n{READ}', [CALL, CALL_READ]),
    "broken before another": (
        f'```json action\n{{"tool": "ls\n```\n\n{READ}b',
        ['```json action\n{"tool": "ls\n```', CALL_READ, "\n\nb"],
    ),
    "broken and unclosed before another": (
        f'```json action\n{{"tool": "ls\n{READ}',
        ['```json action\n{"tool": "ls', CALL_READ],
    ),
    "fence in a string": (
        '```json action\n{"tool": "read", "path": "\\n```py\\nx\\n```\\n"}\n```\n',
        _file("\n```py\nx\n```\n"),
    ),
    "fence in a string, raw": (
        '```json action\n{"tool": "read", "path": "\n```py\nx\n```\n"}\n```\n',
        _file("\n```py\nx\n```\n"),
    ),
    "a call in a string": (
        f"```json action\n{json.dumps({'tool': 'read', 'path': LS})}\n```\n",
        _file(LS),
    ),
    "JSON": ('```json\n{"name": "ls", "arguments": {}}\n```\n', [CALL]),
    "JSON that is no call": ('```json\n{"name": "ls"}\n```\n', ['```json\n{"name": "ls"}\n```\n']),
    "JSON of something else": (
        f'```json\n{{"version": 1}}\n```\n\n{LS}',
        ['```json\n{"version": 1}\n```', CALL],
    ),
    "Python": ("```tool_code\nprint(ls())\n```\n", [CALL]),
    "other Python": ("```tool_code\nrm()\n```\n", ["```tool_code\nrm()\n```\n"]),
    "tag": ('a <tool_call>{"name": "ls", "arguments": {}}</tool_call>', ["a ", CALL]),
    "tags": (
        '<tool_call>\n{"name": "ls", "arguments": {}}\n</tool_call>\n' * 2 + "b",
        [CALL, "b"],
    ),
    "unclosed tag": ('<tool_call>{"name": "ls", "arguments": {}}', [CALL]),
    "function tag": ("a\n<function=ls>\n</function>\nb", ["a", CALL, "\nb"]),
    "function in a tag": (
        "<tool_call><function=read><parameter=path>\na\n</parameter></function></tool_call>",
        [CALL_READ],
    ),
    "invokes": (
        '<function_calls>\n<invoke name="ls">\n</invoke>\n</function_calls>',
        [CALL],
    ),
    "other tags": ("a <b> <function=rm></function>", ["a <b> <function=rm></function>"]),
    "talk about tags": ("The <tool_call> tag.", ["The <tool_call> tag."]),
    "not offered": (
        '```json action\n{"tool": "rm"}\n```\n',
        ['```json action\n{"tool": "rm"}\n```\n'],
    ),
    "missing argument": (
        '```json action\n{"tool": "read"}\n```\n\nb',
        ['```json action\n{"tool": "read"}\n```\n\nb'],
    ),
    "one of two not offered": (
        'a\n```json action\n{"tool": "ls"} {"tool": "rm"}\n```\nb',
        ["a", CALL, '\n{"tool": "rm"}\nb'],
    ),
    "not offered, then more": (
        'a```json action\n{"tool": "rm"} {"tool": "ls"}\n```\nb',
        ['a\n{"tool": "rm"}', CALL, "\nb"],
    ),
    "in a longer fence": (f"````markdown\n{LS}````\n", [f"````markdown\n{LS}````\n"]),
    "in another fence": (f"```text\n{LS}", [f"```text\n{LS}"]),
    "in a bare fence": (f"````\n{LS}````\n", [f"````\n{LS}````\n"]),
    "in tildes": (f"~~~ x\n{LS}~~~\n", [f"~~~ x\n{LS}~~~\n"]),
    "in a fence in the middle of a line": (f"a ````md\n{LS}````\n", [f"a ````md\n{LS}````\n"]),
    "in a fence that no one closes": (f"```py\nx\n``` y\n{LS}", [f"```py\nx\n``` y\n{LS}"]),
    "after a fence": (f"```py\nx\n```\n{LS}", ["```py\nx\n```", CALL]),
    "after backticks in the middle of a line": (f"use ``` for it\n{LS}", ["use ``` for it", CALL]),
    "after three backticks in a span": (f"a ```b``` c\n{LS}", ["a ```b``` c", CALL]),
    "in a quotation": (
        '> ```json action\n> {"tool": "ls"}\n> ```\n',
        ['> ```json action\n> {"tool": "ls"}\n> ```\n'],
    ),
    "tag in a quotation": (
        "> <function=ls></function>\n",
        ["> <function=ls></function>\n"],
    ),
    "tag after a backtick": ("`<function=ls></function>`", ["`<function=ls></function>`"]),
    "tag in a code span": ("`a <function=ls></function>`", ["`a <function=ls></function>`"]),
    "tag in a fence": (
        "```xml\n<function=ls></function>\n```\n",
        ["```xml\n<function=ls></function>\n```\n"],
    ),
    "tag after a code span": ("`a` <function=ls></function>", ["`a` ", CALL]),
    "identical calls": (f"{LS}{READ}{LS}", [CALL, CALL_READ]),
    "other spelling": ('```json action\n{"tool": "functions.LS"}\n```\n', [CALL]),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_calls_vanish_and_text_stays(text: str, expected: Pieces) -> None:
    """The same whether the text comes at once or a character at a time."""
    assert expected == _read(text)
    assert expected == _read(*text)


snippets = st.lists(
    st.sampled_from(
        (
            *(LS, READ, "```json action\n", "```json\n", "```tool_code\n", "```py\n", "```\n"),
            *("````md\n", "````\n", "```", "``", "`", "~~~\n", "> ", "- ", "\n", "\n\n", " ", "a"),
            *("<tool_call>", "</tool_call>", "<function=ls>", "</function>", "<parameter=path>"),
            *("</parameter>", "<function_calls>", '<invoke name="ls">', "</invoke>", "<", "好"),
            *('{"tool": "ls"}', '{"name": "rm"', '"', "\\", "ls()", "'''", "#", "\r\n", "`" * 66),
            *(
                " " * 70,
                "\n" * 300,
                "x" * 70,
                '{"name": "ls", "arguments": {}}',
                "</function_calls>",
            ),
        )
    ),
    max_size=14,
).map("".join)


@given(snippets, st.data())
def test_any_cut_reads_alike(text: str, data: st.DataObject) -> None:
    """Where an engine cuts its deltas has no meaning; without calls nothing changes."""
    whole = _read(text)

    assert whole == _read(*data.draw(text_cuts(text)))
    assert whole == _read(*text)
    if not any(isinstance(piece, tuple) for piece in whole):
        assert [text] * bool(text) == whole


@given(texts.filter(lambda text: "`" not in text and "<" not in text), texts)
def test_plain_text_passes_at_once(text: str, more: str) -> None:
    """But for the white space that a call behind it would take along."""
    reader = ToolTextReader(TOOLS)
    at_once = "".join(piece for piece in reader.feed(text) if isinstance(piece, str))

    assert text.rstrip(" \t\r\n") == at_once.rstrip(" \t\r\n")
    assert text.startswith(at_once)
    assert [text] * bool(text) == _read(text)


prose = texts.filter(lambda text: not set(text) & set("`<>~-") and text.strip() != "")


@given(st.lists(prose, max_size=4), st.lists(st.sampled_from((LS, READ)), max_size=3))
def test_nothing_is_lost(lines: list[str], calls: list[str]) -> None:
    """Each line of prose and each call comes out, in its place."""
    parts = [part for pair in zip(lines, calls, strict=False) for part in pair]
    pieces = _read("".join(part if part in calls else f"{part}\n" for part in parts))
    texts_out = "".join(piece for piece in pieces if isinstance(piece, str))

    expected = list(
        dict.fromkeys(CALL if part == LS else CALL_READ for part in parts if part in calls)
    )
    assert expected == [piece for piece in pieces if isinstance(piece, tuple)]
    assert "".join("".join(line.split()) for line in lines[: len(parts) // 2]) == "".join(
        texts_out.split()
    )


@given(st.lists(texts | snippets))
def test_garbage_never_raises(deltas: list[str]) -> None:
    """Nor does an answer that breaks off: what was held comes back."""
    reader = ToolTextReader(TOOLS)
    out = [piece for delta in deltas for piece in reader.feed(delta)]
    held = reader.release()

    if not any(isinstance(piece, TextCall) for piece in out):
        assert "".join(deltas) == "".join(map(str, out)) + held
    assert reader.close() == []


def test_nothing_is_held_back_longer_than_needed() -> None:
    """Text goes out with the character that tells that it opens nothing."""
    reader = ToolTextReader(TOOLS)
    steps = {
        "Hello": "Hello",
        "\n": "",
        "you <": "\nyou ",
        "b": "<b",
        " `": " ",
        "x` ": "`x` ",
        "\n```": "",
        "p": "\n```p",
        "y\nx = 1\n": "y\nx = 1\n",
        "```": "```",
        "\n```json": "",
        "\n{": "",
        ' "version"': "",
        ":": '\n```json\n{ "version":',
        " 1": " 1",
    }
    for delta, expected in steps.items():
        assert expected == "".join(map(str, reader.feed(delta))), delta


def test_a_call_goes_out_with_its_last_line() -> None:
    """The rest of the answer is not waited for."""
    assert ToolTextReader(TOOLS).feed(LS) == [TextCall(name="ls", arguments="{}")]


def test_without_tools_text_is_text() -> None:
    """There is nothing to call."""
    reader = ToolTextReader([])

    assert reader.feed(LS) == [LS]
    assert reader.feed("") == []
    assert reader.close() == []


NOTES: dict[str, tuple[str, tuple[str, ...]]] = {
    "good call": (LS, ()),
    "mended": ('```json action\n{"tool":"ls",}\n```\n', ("call_arguments_repaired",)),
    "unknown argument": (
        '```json action\n{"tool": "read", "path": "a", "b": 1}\n```\n',
        ("call_arguments_repaired",),
    ),
    "identical": (LS + LS, ("calls_dropped",)),
    "mended text": ('```json\n{"tool":"ls",}\n```\n', ()),
}


@pytest.mark.parametrize(("text", "expected"), NOTES.values(), ids=NOTES.keys())
def test_what_was_changed_is_noted(text: str, expected: tuple[str, ...]) -> None:
    """But not where the text stayed."""
    reader = ToolTextReader(TOOLS)
    reader.feed(text)
    reader.close()

    assert expected == codes(reader.notes)


@pytest.mark.parametrize(("most", "parallel", "expected"), [(2, True, 2), (8, False, 1)])
def test_calls_beyond_the_number_are_dropped(most: int, parallel: bool, expected: int) -> None:
    """They vanish from the text, and a note says so."""
    reader = ToolTextReader(TOOLS, max_calls=most, parallel=parallel)
    given_out = [
        piece
        for number in range(9)
        for piece in reader.feed(f'```json action\n{{"tool": "ls", "number": {number}}}\n```\n')
    ]

    assert [f'{{"number": {number}}}' for number in range(expected)] == [
        piece.arguments for piece in given_out if isinstance(piece, TextCall)
    ]
    assert len(given_out) == expected
    assert codes(reader.notes) == ("calls_dropped",)


MEGABYTE = 1_000_000
LONG = {
    "prose": (5, "", "Lorem ipsum dolor. "),
    "code": (5, "```py\n", "x = 1\n"),
    "one call": (5, '```json action\n{"tool": "read", "path": "', "x"),
    "calls": (1, "", READ),
    "line breaks": (5, "", "\n"),
    "backticks": (5, "", "`"),
    "openings": (5, "", "```json action\n"),
    "spans": (1, "", "`\n"),
    "less than": (1, "", "<"),
    "one call of many lines": (1, '```json action\n{"tool": "read", "path": "', "x\n"),
    "escapes": (1, '```json action\n{"tool": "read", "path": "', '\\"'),
    "smart quotes": (1, '```json action\n{"tool": "ls"} ', "“ "),
    "broken calls": (1, "", '```json action\n{"tool": "ls, "path": "a}\n```\n'),
    "broken strings": (1, "", '```json action\n{"a\n'),
    "no calls": (1, "", '```json\n{"name": "ls"}\n```\n'),
    "Python": (1, "", "```tool_code\nls('''\n```\n"),
    "tags": (1, "", "<tool_call>"),
    "broken tags": (1, "", '<tool_call>{"name": "</tool_call>'),
    "functions": (1, "", "<function=read><parameter=path>"),
}


@pytest.mark.parametrize(("megabytes", "begin", "unit"), LONG.values(), ids=LONG.keys())
def test_long_answers_are_read_in_linear_time(megabytes: int, begin: str, unit: str) -> None:
    """At once, and in small deltas: quadratic time would not end before the suite's limit."""
    text = begin + unit * (megabytes * MEGABYTE // len(unit))
    small = text[: MEGABYTE // 10]

    assert isinstance(_read(text), list)
    assert _read(small) == _read(*(small[at : at + 7] for at in range(0, len(small), 7)))


# Events


def _transform(*events: ChatEvent, parallel: bool = True) -> list[ChatEvent]:
    numbers = count(1)
    transform = ToolTextTransform(
        TOOLS, new_call_id=lambda: f"call_{next(numbers)}", parallel=parallel
    )
    return [out for event in events for out in transform.feed([event])]


def _text(text: str) -> BlockDelta:
    return BlockDelta(kind=BlockKind.TEXT, text=text)


def _called(call_id: str, name: str, arguments: str) -> list[ChatEvent]:
    kind = BlockKind.TOOL_CALL
    return [
        BlockOpened(kind=kind, call_id=call_id, name=name),
        BlockDelta(kind=kind, text=arguments),
        BlockClosed(),
    ]


STOP = Finished(reason=FinishReason.STOP)
CALLED = Finished(reason=FinishReason.TOOL_CALLS)
LENGTH = Finished(reason=FinishReason.LENGTH)
FAILED = Failed(error=LingmaError(ErrorKind.ENGINE_FAILED, "x"))


def test_calls_become_blocks_and_the_reason() -> None:
    """Each with an id of its own; what was held comes before the end."""
    first, second = _called("call_1", *CALL), _called("call_2", *CALL_READ)

    assert _transform(_text(f"a\n{LS}{READ[:-5]}"), STOP) == [_text("a"), *first, *second, CALLED]
    assert _transform(_text(LS + READ), STOP, parallel=False) == [*first, CALLED]
    assert _transform(_text("a\n"), STOP) == [_text("a"), _text("\n"), STOP]
    assert _transform(_text(LS), LENGTH) == [*first, LENGTH]


def test_a_failure_keeps_what_was_held_as_text() -> None:
    """A call that may not be whole is not made."""
    held = LS[:-1]

    assert _transform(_text(held), FAILED) == [_text(held), FAILED]
    assert _transform(_text(LS), FAILED) == [*_called("call_1", *CALL), FAILED]


def test_other_events_pass() -> None:
    """Reasoning and an engine's own calls are not text; held text comes before such a call."""
    thought = BlockDelta(kind=BlockKind.REASONING, text=LS)
    native = _called("x", "read", "{}")
    usage = UsageReported(usage=Usage(input_tokens=1, output_tokens=1))

    assert _transform(Started(model="m"), thought, usage) == [Started(model="m"), thought, usage]
    assert _transform(_text("a <"), *native, STOP) == [_text("a "), _text("<"), *native, STOP]


def test_a_block_of_text_that_was_a_call_leaves_no_empty_block() -> None:
    """Brackets around text are for the seal to infer."""
    opened = BlockOpened(kind=BlockKind.TEXT)

    assert _transform(opened, _text(LS), BlockClosed(), STOP) == [*_called("call_1", *CALL), CALLED]


def test_calls_and_notes_are_counted() -> None:
    """So that a route may be learnt from them."""
    transform = ToolTextTransform(TOOLS, new_call_id=lambda: "call_1")
    transform.feed([_text(LS + LS)])

    assert transform.calls == 1
    assert codes(transform.notes) == ("calls_dropped",)


@given(loose_streams, snippets)
def test_any_stream_can_be_sealed_afterwards(loose: list[ChatEvent], text: str) -> None:
    """Whatever an engine sends."""
    assert is_sentence(seal([_transform(_text(text), *loose, STOP)]))
