"""The small language of directives and switches."""

import pytest

from lingma_cli.demo.language import Key, LanguageError, read

KEYS = (
    Key(name="loud", kind="flag", meaning=""),
    Key(name="say", kind="text", meaning=""),
    Key(name="size", kind="count", meaning=""),
    Key(name="after", kind="count", choices=("last",), meaning=""),
    Key(name="crash", kind="count", bare=1, meaning=""),
    Key(name="delay", kind="seconds", meaning=""),
    Key(name="mode", kind="choice", choices=("a", "b"), meaning=""),
    Key(name="many", kind="choices", choices=("a", "b", "c"), meaning=""),
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("loud", {"loud": True}),
        ("say=word", {"say": "word"}),
        ('say="two words"', {"say": "two words"}),
        ('say=""', {"say": ""}),
        (r'say="a \"b\" \n 你好🙂 ]]"', {"say": 'a "b" \n 你好🙂 ]]'}),
        (
            r"""say='{"a": "\n ]] it\'s \\"}' loud""",
            {"say": r"""{"a": "\n ]] it's \\"}""", "loud": True},
        ),
        ("say='' mode=b", {"say": "", "mode": "b"}),
        ("say='tis", {"say": "'tis"}),
        ('say="line\nbreak" loud', {"say": "line\nbreak", "loud": True}),
        ("size=12 size=3k", {"size": 3_000}),
        ("size=2m after=last", {"size": 2_000_000, "after": "last"}),
        ("crash", {"crash": 1}),
        ("crash=9", {"crash": 9}),
        ("delay=0.25\n\tmode=b", {"delay": 0.25, "mode": "b"}),
        ("many=c,a", {"many": ("c", "a")}),
    ],
)
def test_reads_pairs_of_every_kind(text: str, values: dict[str, object]) -> None:
    """Each kind of key gives a value of its type; a later pair wins."""
    assert read(text, KEYS) == values


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nope=1", "unknown key `nope`"),
        ("size", "`size` needs a value"),
        ("size=-1", "`size` must be a whole number"),
        ("size=１", "`size` must be a whole number"),
        ("after=first", "a whole number or last"),
        ("delay=soon", "seconds"),
        ("delay=nan", "seconds"),
        ("mode=c", "one of a, b"),
        ("many=a,z", "one of a, b, c"),
        ("loud=1", "takes no value"),
        ("== what", "cannot read at: == what"),
        ('say="open', "cannot read at"),
        (r'say="\q"', "bad escape"),
    ],
)
def test_says_what_is_wrong(text: str, part: str) -> None:
    """A text that cannot be read gives a sentence for its author."""
    with pytest.raises(LanguageError) as caught:
        read(text, KEYS)

    assert part in str(caught.value)
