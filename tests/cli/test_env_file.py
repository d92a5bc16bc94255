"""Environment files, as several programs read them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.cli.env_file import parse_env
from lingma_cli.errors import LingmaError


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("\n# A=1\n  # B=2\n\n", {}),
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("  export A = 1  \n", {"A": "1"}),
        ("A=\nB", {"A": "", "B": ""}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=a b # c\nB=a#b\nC= # c", {"A": "a b", "B": "a#b", "C": ""}),
        ("A='a # \"b\\n' # c", {"A": 'a # "b\\n'}),
        ('A="a # \'b\\n\\"c\\\\" # c', {"A": "a # 'b\n\"c\\"}),
        ("A='u1:p1\nu2:p2'\nB=1", {"A": "u1:p1\nu2:p2", "B": "1"}),
        ('A="u1:p1\nu2:p2"\nB=1', {"A": "u1:p1\nu2:p2", "B": "1"}),
        ('A=[{"a": "b"}]', {"A": '[{"a": "b"}]'}),
        ("A=a'b\"c", {"A": "a'b\"c"}),
        ("A=$B ${C}", {"A": "$B ${C}"}),
        ("A=用户", {"A": "用户"}),
        ('A=""', {"A": ""}),
    ],
)
def test_what_is_read(text: str, variables: dict[str, str]) -> None:
    """Comments, quotes, several lines, other systems' line ends."""
    assert parse_env(text) == variables


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("canary", 0),
        ("A=1\n=canary", 2),
        ("A=1\n\ncanary text", 3),
        ("A='canary", 1),
        ('A=1\nB="canary\n\n', 2),
        ("A='a' canary", 1),
        ("1A=canary", 1),
    ],
)
def test_what_is_none_is_told_by_its_line(text: str, line: int) -> None:
    """And not quoted: it may be a password. A bare name is no mistake."""
    if not line:
        assert parse_env(text) == {"canary": ""}
        return
    with pytest.raises(LingmaError, match=f"line {line} is no") as caught:
        parse_env(text)
    assert "canary" not in caught.value.advice


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """And no name that comes out of it is odd."""
    try:
        variables = parse_env(text)
    except LingmaError:
        return
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name) for name in variables)


@given(
    st.dictionaries(
        st.from_regex(r"\A[A-Z_]{1,8}\Z"), st.text(st.characters(exclude_characters="\r"))
    )
)
def test_quoted_values_come_back(variables: dict[str, str]) -> None:
    """Whatever is in them."""
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in variables.items()
    }

    assert parse_env("".join(f'{name}="{value}"\n' for name, value in escaped.items())) == variables
