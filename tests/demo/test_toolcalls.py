"""Tool calls as a directive writes them."""

import pytest

from lingma_cli.demo.language import LanguageError
from lingma_cli.demo.toolcalls import Step, ToolCall, read

A = ToolCall(name="a", arguments={})
B = ToolCall(name="b", arguments={"x": "``` ]]"}, id="t1")
A_TEXT, B_TEXT = '{"name":"a"}', '{"name":"b","arguments":{"x":"``` ]]"},"id":"t1"}'


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (A_TEXT, ((A,),)),
        (f"[{A_TEXT},{B_TEXT}]", ((A,), (B,))),
        (f"[[{A_TEXT},{B_TEXT}],[{A_TEXT}]]", ((A, B), (A,))),
        (f"[[],{A_TEXT}]", ((A,),)),
        ("[]", ()),
        (
            '{"name":"a","arguments":{"x":"1\n2"}}',
            ((ToolCall(name="a", arguments={"x": "1\n2"}),),),
        ),
    ],
)
def test_reads_every_shape(text: str, steps: tuple[Step, ...]) -> None:
    """A lone object and a flat list are steps of one call each."""
    assert read(text) == steps


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "`calls` is no JSON"),
        ("7", "objects with a name, not: 7"),
        ('[["a"]]', 'not: "a"'),
        ('{"arguments":{}}', "objects with a name"),
        ('{"name":"a","arguments":"{}"}', "arguments that are an object: a"),
    ],
)
def test_says_what_is_wrong(text: str, part: str) -> None:
    """Typos are told."""
    with pytest.raises(LanguageError) as caught:
        read(text)

    assert part in str(caught.value)
