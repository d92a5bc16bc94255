"""The parser's complaints, in our voice; they differ between its releases."""

import pytest
import typer

from lingma_cli.cli.usage import explain
from lingma_cli.errors import ErrorKind


@pytest.mark.parametrize(
    ("message", "hint", "said"),
    [
        ("wrong", "run `lingma --help`", "Wrong."),
        ("no `x` here", "run `lingma --help`", "No 'x' here."),
        ("no `srve`", "did you mean `serve`?", "No 'srve'. Did you mean 'serve'?"),
        ("no such: -x", "did you mean `-y`?", "No such: -x Did you mean -y?"),
        ("no -x", "did you mean `-y` or `-z`?", "No -x (Possible options: -y, -z)"),
        ("no -x", "did you mean `-y` or `-z`?", "No -x. (Did you mean one of: '-y', '-z'?)"),
        ("no -x", "did you mean `-y`?", "No -x. Did you mean '-y'? Did you mean '-y'?"),
    ],
)
def test_complaints_are_put_in_our_words(message: str, hint: str, said: str) -> None:
    """Lower case, backticks, no full stop, and the suggestion as the hint."""
    complaint = typer.BadParameter(said)
    complaint.format_message = lambda: said  # type: ignore[method-assign]

    error = explain(complaint, "lingma")

    assert (ErrorKind.USAGE, message, hint) == (error.kind, error.message, error.hint)
