"""Where a block ends."""

from __future__ import annotations

import pytest

from lingma_cli.core.chat import Tool
from lingma_cli.transforms.tool_blocks import Block, Ending
from lingma_cli.transforms.tool_dialects import Dialect
from lingma_cli.transforms.tool_fit import Offer
from lingma_cli.transforms.tool_openings import Opening

ACTION = Opening(dialect=Dialect.ACTION, source="```json action\n", ticks="```")
PYTHON = Opening(dialect=Dialect.PYTHON, source="```tool_code\n", ticks="```")
TAGGED = Opening(dialect=Dialect.TOOL_CALL, source="<tool_call>")
FUNCTION = Opening(dialect=Dialect.FUNCTION, source="<function=f>")

ENDINGS: dict[str, tuple[Opening, str, str, str, str]] = {
    "fence": (ACTION, "{}\n```\nx", "{}\n", "```\n", "x"),
    "longer fence": (ACTION, "{}\n  ````  \nx", "{}\n  ", "````  \n", "x"),
    "fence behind the last bracket": (ACTION, "{}```\nx", "{}", "```\n", "x"),
    "fence in a string": (ACTION, '{"a": "\n```\n"}\n```\n', '{"a": "\n```\n"}\n', "```\n", ""),
    "escaped quote": (ACTION, '{"a": "\\"\n```\n"}\n```\n', '{"a": "\\"\n```\n"}\n', "```\n", ""),
    "next call": (ACTION, "{}\n```json action\nx", "{}\n", "", "```json action\nx"),
    "other fence inside": (ACTION, "{}\n```py\n```\n", "{}\n```py\n", "```\n", ""),
    "Python": (PYTHON, "f('''\n```\n''')\n```\n", "f('''\n```\n''')\n", "```\n", ""),
    "Python's comment": (PYTHON, "f() # don't\n```\n", "f() # don't\n", "```\n", ""),
    "Python's open quote": (PYTHON, "f('\n```\n", "f('\n", "```\n", ""),
    "Python's quotes in quotes": (PYTHON, "f(\"'''\")\n```\n", "f(\"'''\")\n", "```\n", ""),
    "tag": (TAGGED, "{}</tool_call>x", "{}", "</tool_call>", "x"),
    "tag in a string": (
        TAGGED,
        '{"a": "</tool_call>"}</tool_call>',
        '{"a": "</tool_call>"}',
        "</tool_call>",
        "",
    ),
    "next tag": (TAGGED, "{}\n<tool_call>x", "{}\n", "", "<tool_call>x"),
    "function": (FUNCTION, "</function>x", "", "</function>", "x"),
    "function in a parameter": (
        FUNCTION,
        "<parameter=a></function></parameter></function>",
        "<parameter=a></function></parameter>",
        "</function>",
        "",
    ),
    "next function": (FUNCTION, "\n<function=g>", "\n", "", "<function=g>"),
}


def _ended(block: Block, text: str) -> tuple[Ending | None, str]:
    while text:
        after = block.take(text)
        if after is None:
            return None, ""
        text = after
        if ending := block.end_segment():
            return ending, ending.rest + text
    return None, ""


@pytest.mark.parametrize(
    ("opening", "text", "body", "closing", "rest"), ENDINGS.values(), ids=ENDINGS.keys()
)
def test_a_block_ends_outside_strings(
    opening: Opening, text: str, body: str, closing: str, rest: str
) -> None:
    """By what closes it, or before the next one of its kind."""
    ending, after = _ended(Block(opening, 100), text)

    assert ending is not None
    assert (body, closing, rest) == (ending.body, ending.closing, after)


OPEN = {
    "open string": (ACTION, '{"a": "\n```\nx\n', '{"a": "\n', "```\n", "x\n"),
    "open string before a call": (ACTION, '{"a": "\n```json\n', '{"a": "\n', "", "```json\n"),
    "open tag": (TAGGED, '{"a</tool_call>x>', '{"a', "</tool_call>", "x>"),
}


@pytest.mark.parametrize(
    ("opening", "text", "body", "closing", "rest"), OPEN.values(), ids=OPEN.keys()
)
def test_a_block_falls_back_to_an_end_in_a_string(
    opening: Opening, text: str, body: str, closing: str, rest: str
) -> None:
    """When quotes do not pair: at the end, or when the credit is used up."""
    expected = Ending(body=body, closing=closing, rest=rest)
    patient, hasty = Block(opening, 100), Block(opening, 0)

    assert _ended(patient, text)[0] is None
    assert expected == patient.fall_back()
    ending, after = _ended(hasty, text)
    assert ending is not None
    assert (body, closing, rest) == (ending.body, ending.closing, after)


def test_without_such_an_end_there_is_nothing_to_fall_back_to() -> None:
    """The block is then what it is."""
    block = Block(ACTION, 100)

    assert _ended(block, '{"a": "\nb\n') == (None, "")
    assert block.fall_back() is None
    assert block.inside == '{"a": "\nb\n'


def test_a_block_is_judged_by_its_beginning() -> None:
    """And not again once the beginning is known."""
    offer = Offer([Tool(name="f")])
    block, other = Block(ACTION, 100), Block(ACTION, 100)
    block.take(f"{' ' * 1023}{{")
    other.take("x")

    assert block.is_plausible(offer)
    assert block.is_plausible(offer)
    assert not other.is_plausible(offer)
