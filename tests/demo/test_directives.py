"""Prompt directives: where they are found and what they mean."""

import dataclasses

import pytest

from lingma_cli.demo.directives import KEYS, Directives, end_of_last, find, parse, strip, wire_of
from lingma_cli.demo.language import LanguageError
from lingma_cli.demo.wire import PLAIN, Wire
from tests.demo.client import ROOT


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("hello", None),
        ("[[demo: echo]]", " echo"),
        ("# System\n\nbe kind\n\n# User\n\n> [[demo: echo]] hi", " echo"),
        ("[[demo: finish=429]] and then [[demo: plain]] yes", " plain"),
        ('[[demo: say="a ]] b"]]', ' say="a ]] b"'),
        ("[[demo: calls='[[1]]' echo]] x", " calls='[[1]]' echo"),
        ("""[[demo: calls='[["]]"]]']] it's""", """ calls='[["]]"]]'"""),
        ("[[demo: title=don't]] isn't", " title=don't"),
        ("[[demo: echo]] [[demo: unclosed", " echo"),
        ('[[demo: echo]] [[demo: say="open]]', " echo"),
    ],
)
def test_the_last_readable_block_counts(prompt: str, found: str | None) -> None:
    """A directive may stand anywhere; the last complete block wins."""
    assert find(prompt) == found


def test_blocks_are_stripped_from_quotes() -> None:
    """Quoting a prompt does not repeat its directives."""
    assert strip(' [[demo: say="]]"]] hi [[demo: echo]] there ') == "hi  there"


def test_the_last_block_ends_somewhere() -> None:
    """What follows it belongs to its question."""
    assert end_of_last("[[demo: echo]] [[demo: plain]] after") == 30
    assert end_of_last("nothing") == 0


def test_calls_are_read_at_once() -> None:
    """Both kinds of quotes hold JSON, and a typo is told with the directive."""
    escaped = parse(r'calls="{\"name\":\"a\"}"')

    assert escaped.calls == parse("""calls='{"name":"a"}'""").calls
    assert escaped.calls is not None
    assert escaped.calls[0][0].name == "a"
    with pytest.raises(LanguageError, match="`calls` is no JSON"):
        parse("calls=nonsense")


@pytest.mark.parametrize(
    ("words", "has"),
    [
        ("", False),
        ("finish=500 delay=1", False),
        ('say=""', True),
        ("echo", True),
        ("size=0", True),
    ],
)
def test_knows_whether_the_answer_is_given(words: str, has: bool) -> None:
    """Without a text of its own the answer after tools quotes their results."""
    assert parse(words).has_text is has


def test_own_keys_stand_over_the_defaults() -> None:
    """The environment gives defaults, the prompt decides, `plain` forgets them."""
    defaults = {"finish": 429, "delay": 0.5}

    assert parse("delay=0", defaults).finish == 429
    assert parse("delay=0", defaults).delay == 0
    assert parse("plain", defaults).finish is None


def test_fields_are_the_keys() -> None:
    """Every key has a field of its name and every field a key."""
    fields = {field.name for field in dataclasses.fields(Directives)} - {"given"}

    assert fields == {key.name for key in KEYS}


def test_unknown_keys_are_an_error() -> None:
    """A typo is told, not ignored."""
    with pytest.raises(LanguageError):
        parse("ecko")


def test_wire_keys_make_a_wire_over_its_base() -> None:
    """Wire keys change the base, others leave the very same object."""
    base = Wire(header="lower")

    assert wire_of({"cut": 3, "delay": 1.0}, base) == Wire(header="lower", cut=3)
    assert wire_of({"delay": 1.0}, PLAIN) is PLAIN


def test_the_page_lists_every_directive() -> None:
    """`docs/demo.md` has a row for every key and every choice of it."""
    page = (ROOT / "docs/demo.md").read_text(encoding="utf-8")

    for key in KEYS:
        row = next((line for line in page.splitlines() if line.startswith(f"| `{key.name}")), "")
        assert row, f"no row for {key.name}"
        assert [word for word in key.choices if f"`{word}`" not in row] == []
