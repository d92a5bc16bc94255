"""What the model says about its tools."""

import pytest

from lingma_cli.demo.directives import find
from lingma_cli.demo.outcomes import Ending, Outcome, quote, summary


@pytest.mark.parametrize(
    ("ending", "sentence", "good"),
    [
        ("result", 'Write said: "why"', True),
        ("upstream", "Write ran upstream.", True),
        ("refused", 'Write was refused: "why"', False),
        ("failed", 'Write failed: "why"', False),
        ("overdue", "Write gave no result in time.", False),
    ],
)
def test_every_ending_has_a_sentence(ending: Ending, sentence: str, good: bool) -> None:
    """The reason is quoted."""
    outcome = Outcome(name="Write", ending=ending, text="why")

    assert (outcome.sentence, outcome.is_good) == (sentence, good)


def test_quotes_are_short_lines_without_directives() -> None:
    """A quote comes back in the next prompt, so it must not direct anything."""
    assert quote('two\n"lines"') == '"two\\n\\"lines\\""'
    assert find(quote("[[demo: crash]] x")) is None
    assert quote("x" * 999).endswith('… (999 characters in all)"')


def test_the_last_word() -> None:
    """Without results the model says that it goes on."""
    assert summary(["One.", "Two."]) == "The tools are done. One. Two."
    assert summary([]) == "I go on without the tools."
