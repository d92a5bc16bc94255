"""Blank lines around calls."""

from __future__ import annotations

import pytest

from lingma_cli.transforms.tool_gaps import GappedOut

# `.` is a call, letters are text, the rest is white space.
CASES: dict[str, tuple[str, list[str | int]]] = {
    "text": ("a\n\n", ["a\n\n"]),
    "only space": ("\n ", ["\n "]),
    "call": (".", [0]),
    "around a call": ("\n\n.\n\n", [0]),
    "text before": ("a\n\n.\n\n", ["a", 0]),
    "text after": ("\n.\n\na", [0, "a"]),
    "text around": ("a\n.\n\nb", ["a", 0, "\nb"]),
    "no space before": ("a.\n\nb", ["a", 0, "\n\nb"]),
    "no space before several": ("a.\n.\n\nb", ["a", 0, 0, "\nb"]),
    "no space": ("a.b", ["a", 0, "b"]),
    "long space": (f"a{' ' * 300}.", [f"a{' ' * 44}", 0]),
}


def _written(text: str) -> list[str | int]:
    out = GappedOut[int]()
    for char in text:
        if char == ".":
            out.vanish()
            out.call(0)
        elif char.isspace():
            out.space(char)
        else:
            out.put(char)
    out.put(out.end())
    return out.taken()


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES.keys())
def test_only_what_parts_text_from_text_remains(text: str, expected: list[str | int]) -> None:
    """On one side of the calls; long white space is not held back for ever."""
    assert expected == _written(text)


def test_text_goes_out_at_once_and_space_with_it() -> None:
    """What was taken is not given again."""
    out = GappedOut[int]()
    out.put("a")
    out.space("\n")

    assert out.taken() == ["a"]
    out.put("b")
    assert out.taken() == ["\nb"]
    assert out.taken() == []


def test_a_line_is_broken_once() -> None:
    """Where text was, and no white space yet."""
    out = GappedOut[int]()
    out.break_line()
    out.put("a")
    out.break_line()
    out.break_line()
    out.put("b")

    assert out.taken() == ["a\nb"]
