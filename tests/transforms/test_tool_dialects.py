"""Whole blocks, in all forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.tool_dialects import Call, Dialect, plausible, read_block
from lingma_cli.transforms.tool_fit import Offer
from tests.support.strategies import texts

OFFER = Offer(
    [
        Tool(
            name="read",
            parameters={
                "properties": {"path": {"type": "string"}, "line": {"type": "integer"}},
                "required": ["path"],
            },
        ),
        Tool(name="ls"),
        Tool(name="sh", parameters={"properties": {"input": {"type": "string"}}}),
        Tool(
            name="patch",
            custom=True,
            parameters={"properties": {"input": {"type": "string"}}, "required": ["input"]},
        ),
        Tool(name="run", parameters={"properties": {"name": {}, "parameters": {}}}),
    ]
)
ACTION, JSON, PYTHON = Dialect.ACTION, Dialect.JSON, Dialect.PYTHON
TAGGED, FUNCTION, INVOKES = Dialect.TOOL_CALL, Dialect.FUNCTION, Dialect.INVOKES
A = 'read {"path": "a"}'

READ: dict[str, tuple[Dialect, str, list[str]]] = {
    "ours": (ACTION, '{"tool": "read", "parameters": {"path": "a"}}', [A]),
    "name and arguments": (ACTION, '{"name": "read", "arguments": {"path": "a"}}', [A]),
    "input": (ACTION, '{"tool": "read", "input": {"path": "a"}}', [A]),
    "arguments as text": (JSON, r'{"name": "read", "arguments": "{\"path\": \"a\"}"}', [A]),
    "empty text": (JSON, '{"name": "ls", "arguments": ""}', ["ls {}"]),
    "no arguments": (ACTION, '{"tool": "ls"}', ["ls {}"]),
    "null": (ACTION, '{"tool": "ls", "parameters": null}', ["ls {}"]),
    "loose keys": (ACTION, '{"tool": "read", "path": "a"}', [A]),
    "a loose key named like a wrapper": (
        ACTION,
        '{"tool": "sh", "input": "x"}',
        ['sh {"input": "x"}'],
    ),
    "loose keys, one named like a wrapper": (
        ACTION,
        '{"tool": "run", "name": "x", "parameters": {}}',
        ['run {"name": "x", "parameters": {}}'],
    ),
    "the only argument": (ACTION, '{"tool": "sh", "parameters": "x"}', ['sh {"input": "x"}']),
    "raw text that is JSON": (
        ACTION,
        r'{"tool": "patch", "parameters": "{\"a\": 1}"}',
        [r'patch {"input": "{\"a\": 1}"}'],
    ),
    "a freeform tool's text in its object": (
        ACTION,
        r'{"tool": "patch", "parameters": "{\"input\": \"x\"}"}',
        ['patch {"input": "x"}'],
    ),
    "OpenAI's form": (
        JSON,
        r'{"type": "function", "function": {"name": "read", "arguments": "{\"path\": \"a\"}"}}',
        [A],
    ),
    "OpenAI's list": (
        JSON,
        '{"tool_calls": [{"function": {"name": "ls", "arguments": {}}}]}',
        ["ls {}"],
    ),
    "function as a name": (JSON, '{"function": "ls", "arguments": {}}', ["ls {}"]),
    "array": (
        JSON,
        '[{"name": "ls", "input": {}}, {"name": "ls", "input": {}}]',
        ["ls {}", "ls {}"],
    ),
    "two objects": (ACTION, '{"tool": "ls"}\n{"tool": "read", "path": "a"}', ["ls {}", A]),
    "numbers as strings": (
        ACTION,
        '{"tool": "read", "parameters": {"path": "1", "line": "1"}}',
        ['read {"path": "1", "line": 1}'],
    ),
    "one that is not offered": (
        ACTION,
        '{"tool": "ls"} {"tool": "rm"}',
        ["ls {}", '"{"tool": "rm"}"'],
    ),
    "one call": (PYTHON, 'read(path="a")', [A]),
    "calls": (
        PYTHON,
        "  ls()\n  read(path='a', line=-1)",
        ["ls {}", 'read {"path": "a", "line": -1}'],
    ),
    "positional": (PYTHON, 'sh("x")', ['sh {"input": "x"}']),
    "printed": (PYTHON, "print(default_api.ls())", ["ls {}"]),
    "assigned": (PYTHON, "x = functions.ls()", ["ls {}"]),
    "comment and JSON's words": (PYTHON, "# hm\nls(a=true, b=null)", ['ls {"a": true, "b": null}']),
    "escape of nothing": (PYTHON, r'sh("\d")', [r'sh {"input": "\\d"}']),
    "three quotes": (PYTHON, 'sh("""a\n```\nb""")', [r'sh {"input": "a\n```\nb"}']),
    "tagged": (TAGGED, '\n{"name": "ls", "arguments": {}}\n', ["ls {}"]),
    "tagged function": (
        TAGGED,
        "\n<function=read>\n<parameter=path>\na\n</parameter>\n</function>\n",
        [A],
    ),
    "function": (FUNCTION, "<function=ls></function>", ["ls {}"]),
    "function with types": (
        FUNCTION,
        "<function=read><parameter=path>1</parameter><parameter=line>1</parameter></function>",
        ['read {"path": "1", "line": 1}'],
    ),
    "function with JSON": (FUNCTION, '<function=read>{"path": "a"}</function>', [A]),
    "function left open": (FUNCTION, "<function=read><parameter=path>a</parameter>", [A]),
    "invokes": (
        INVOKES,
        '<invoke name="read">\n<parameter name="path">a</parameter>\n</invoke>',
        [A],
    ),
    "invokes on lines": (INVOKES, '\n<invoke name="ls">\n</invoke>\n' * 2, ["ls {}", "ls {}"]),
    "an invoke that is not offered": (
        INVOKES,
        '<invoke name="rm"></invoke><invoke name="ls"></invoke>',
        ['"<invoke name="rm"></invoke>"', "ls {}"],
    ),
    "markup in a parameter": (
        INVOKES,
        '<invoke name="sh"><parameter name="input"><b>&lt;</b>\n</parameter></invoke>',
        ['sh {"input": "<b>&lt;</b>"}'],
    ),
}
REFUSED: dict[str, tuple[Dialect, str]] = {
    "not offered": (ACTION, '{"tool": "rm", "parameters": {}}'),
    "no name": (ACTION, '{"parameters": {}}'),
    "no call": (ACTION, "[1, 2]"),
    "missing argument": (ACTION, '{"tool": "read", "parameters": {}}'),
    "arguments of no kind": (ACTION, '{"tool": "read", "parameters": 3}'),
    "loose keys in JSON": (JSON, '{"name": "ls", "version": 1}'),
    "a list with one that is not offered": (
        JSON,
        '{"tool_calls": [{"name": "ls", "arguments": {}}, {"name": "rm", "arguments": {}}]}',
    ),
    "a function without a name": (JSON, '{"function": {}, "arguments": {}}'),
    "nothing": (PYTHON, ""),
    "other Python": (PYTHON, "import os\nls()"),
    "no literal": (PYTHON, "sh(open('x').read())"),
    "a positional of several": (PYTHON, 'read("a")'),
    "positional and keyword": (PYTHON, 'sh("a", input="b")'),
    "unpacked": (PYTHON, 'sh(**{"input": "b"})'),
    "a set": (PYTHON, "ls(a={1})"),
    "bad syntax": (PYTHON, "ls("),
    "a null byte": (PYTHON, "ls()\0"),
    "deep Python": (PYTHON, f"ls(a={'[' * 300}{']' * 300})"),
    "deeper Python": (PYTHON, f"ls(a={'-' * 50_000}1)"),
    "long Python": (PYTHON, f"ls(a=1{'+1' * 50_000})"),
    "longest Python": (PYTHON, f'sh("{"x" * (1 << 20)}")'),
    "prose between tags": (INVOKES, '<invoke name="ls"></invoke> and <invoke name="ls"></invoke>'),
    "a parameter left open": (FUNCTION, "<function=read><parameter=path>a"),
    "a function cut off": (FUNCTION, "<function=ls>"),
    "a tag of no kind": (TAGGED, "<b>"),
}


def _shown(pieces: list[Call | str] | None) -> list[str]:
    return [
        f"{piece.tool.name} {piece.fitted.arguments}" if isinstance(piece, Call) else f'"{piece}"'
        for piece in pieces or ()
    ]


@pytest.mark.parametrize(("dialect", "body", "expected"), READ.values(), ids=READ.keys())
def test_calls_are_read(dialect: Dialect, body: str, expected: list[str]) -> None:
    """In all forms; what is no call keeps its source."""
    assert expected == _shown(read_block(dialect, body, OFFER, closed=True))


@pytest.mark.parametrize(("dialect", "body"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_call_is_refused(dialect: Dialect, body: str) -> None:
    """It will stay text."""
    assert read_block(dialect, body, OFFER, closed=True) is None


@pytest.mark.parametrize(("dialect", "body", "_"), READ.values(), ids=READ.keys())
def test_a_block_that_is_read_was_plausible_all_along(
    dialect: Dialect, body: str, _: list[str]
) -> None:
    """A block is never given up that would have become a call."""
    body = body[body.find(">") + 1 :] if dialect is FUNCTION else body
    if not body.startswith('<invoke name="rm">'):
        assert all(plausible(dialect, body[:end], OFFER) for end in range(len(body) + 1))


IMPLAUSIBLE = {
    "text in an action": (ACTION, " n"),
    "package": (JSON, '{"name": "my-package"'),
    "other key": (JSON, '{ "version"\n:'),
    "numbers": (JSON, "[ 1"),
    "empty object": (JSON, "{ }"),
    "other function": (PYTHON, "rm("),
    "other Python": (PYTHON, "d["),
    "text in a tag": (TAGGED, " i"),
    "other function tag": (TAGGED, "<func "),
    "text in a function": (FUNCTION, "\ni"),
    "text in calls": (INVOKES, "t"),
    "other invoke": (INVOKES, '<invoke name="rm"'),
}


@pytest.mark.parametrize(("dialect", "head"), IMPLAUSIBLE.values(), ids=IMPLAUSIBLE.keys())
def test_a_block_is_given_up_by_its_first_words(dialect: Dialect, head: str) -> None:
    """With the very character that rules it out, and whatever comes then."""
    assert plausible(dialect, head[:-1], OFFER)
    assert not plausible(dialect, head, OFFER)
    assert not plausible(dialect, f"{head}{{}} x", OFFER)


def test_mended_json_is_marked() -> None:
    """Also where it stands as text in other JSON."""
    bodies = {
        '{"tool": "ls", "parameters": {},}': True,
        r'{"tool": "ls", "parameters": "{\"a\": 1,}"}': True,
        '{"tool": "ls", "parameters": {}}': False,
    }
    for body, expected in bodies.items():
        pieces = read_block(ACTION, body, OFFER, closed=True)
        assert pieces is not None
        assert [expected] == [piece.repaired for piece in pieces if isinstance(piece, Call)]


snippets = st.lists(
    st.sampled_from(
        (
            *('{"tool": "ls"', "}", "[", ",", '"', "ls(", ")", "'", "=", "\\", "\n", "<", ">"),
            *(
                "<function=ls>",
                "</function>",
                "<parameter=a>",
                "</parameter>",
                '<invoke name="ls">',
            ),
        )
    )
).map("".join)


@given(st.sampled_from(Dialect), texts | snippets, st.booleans())
def test_garbage_never_raises(dialect: Dialect, body: str, closed: bool) -> None:
    """Whatever a model writes, it is a call or it is not."""
    pieces = read_block(dialect, body, OFFER, closed=closed)

    assert pieces is None or any(isinstance(piece, Call) for piece in pieces)
    assert plausible(dialect, body, OFFER) in (True, False)
