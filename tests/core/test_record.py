"""What a record says of a turn's session."""

from __future__ import annotations

import pytest

from lingma_cli.core.record import Reuse, ReuseReason


@pytest.mark.parametrize(
    ("reuse", "words"),
    [
        (Reuse(reason=ReuseReason.CONTINUED), "reused: the conversation is known"),
        (Reuse(reason=ReuseReason.FIRST_TURN), "new session: the first turn"),
        (
            Reuse(reason=ReuseReason.DIFFERS, message=4, role="user"),
            "new session: the first message unlike what is known: messages[4] (user)",
        ),
    ],
)
def test_a_person_can_read_it(reuse: Reuse, words: str) -> None:
    """The outcome, the reason, and the message that it is about."""
    assert str(reuse) == words


def test_only_two_reasons_are_hits() -> None:
    """All others mean that everything was sent."""
    hits = {reason for reason in ReuseReason if Reuse(reason=reason).is_hit}

    assert hits == {ReuseReason.CONTINUED, ReuseReason.REWRITTEN}
