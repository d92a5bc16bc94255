"""Fingerprints of conversations."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import (
    MediaKind,
    MediaPart,
    Message,
    OutputFormat,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    Tool,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.sessions.keys import (
    DIGEST_BYTES,
    Conversation,
    Fingerprints,
    Scope,
    turn_starts,
)
from tests.support.talks import turns

SCOPE = Scope(caller="key-1", model="org_auto")
FINGERPRINTS = Fingerprints(b"secret")
LINES = st.lists(st.tuples(st.sampled_from("sua"), st.text(max_size=3)).map(":".join), max_size=9)


def _of(*lines: str, scope: Scope = SCOPE) -> Conversation:
    return FINGERPRINTS.of(scope, turns(*lines))


def _key(role: Role, *parts: Part) -> bytes:
    return FINGERPRINTS.of(SCOPE, [Message(role=role, parts=parts)]).key


def test_what_was_written_is_what_is_looked_up() -> None:
    """A question with its answer is the beginning of the next question."""
    written = FINGERPRINTS.followed(_of("s:be brief", "u:one?"), "1")

    assert written == _of("s:be brief", "u:one?", "a:1")
    assert written == _of("s:be brief", "u:one?", "a:1", "u:two?").answered


@pytest.mark.parametrize("answer", ["a\n\nb  c", " a b c", "a b c\n", "a\tb c"])
def test_white_space_of_an_answer_does_not_count(answer: str) -> None:
    """Clients trim and wrap what the model said."""
    assert _of("u:hi", f"a:{answer}") == _of("u:hi", "a:a b c")


@pytest.mark.parametrize(
    "other",
    [
        ("u:hi ", "a:yo"),
        ("u:hi", "a:you"),
        ("s:hi", "a:yo"),
        ("u:hi", "u:yo"),
        ("u:h", "u:i", "a:yo"),
        ("u:hi", "a:yo", "u:"),
        ("u:", "u:hi", "a:yo"),
    ],
)
def test_everything_else_that_is_said_counts(other: tuple[str, ...]) -> None:
    """Roles, the bounds between turns, and every character of a user."""
    assert _of(*other).key != _of("u:hi", "a:yo").key


OTHER_SCOPES = [
    replace(SCOPE, caller="key-2"),
    replace(SCOPE, model="kmodel"),
    replace(SCOPE, user="ann"),
    replace(SCOPE, tools=(Tool(name="Read", parameters={"type": "object"}),)),
    replace(SCOPE, output_format=OutputFormat(schema={"type": "object"})),
]


@pytest.mark.parametrize("scope", OTHER_SCOPES)
def test_the_scope_counts(scope: Scope) -> None:
    """The same words under another key, model or format are another conversation."""
    assert _of("u:hi", scope=scope).key != _of("u:hi").key


def test_another_run_has_other_digests() -> None:
    """Nothing can be guessed without the secret."""
    mine, theirs = (Fingerprints(secret).of(SCOPE, turns("u:hi")) for secret in (b"a", b"b"))

    assert {mine.owner, mine.scope, mine.turns}.isdisjoint(
        {theirs.owner, theirs.scope, theirs.turns}
    )


def test_media_count_by_their_kind() -> None:
    """The same picture comes under a new address each time."""
    one, two = (MediaPart(kind=MediaKind.IMAGE, reference=name) for name in "ab")
    sound = MediaPart(kind=MediaKind.AUDIO, reference="a")

    assert _key(Role.USER, one) == _key(Role.USER, two)
    assert _key(Role.USER, one) != _key(Role.USER, sound)
    assert _key(Role.USER, one) != _key(Role.USER, TextPart(text="[image]"))


def test_an_answer_may_be_cut_into_pieces() -> None:
    """Protocols give back one answer as one message, as blocks, or as several items."""
    pieces = (TextPart(text="on"), ReasoningPart(text="hm"), TextPart(text="e"))
    split = [Message(role=Role.ASSISTANT, parts=(part,)) for part in pieces]
    whole = _of("u:hi", "a:one", "u:and?")

    question, more = turns("u:hi", "u:and?")
    assert FINGERPRINTS.of(SCOPE, [question, *split, more]) == whole
    joined = Message(role=Role.ASSISTANT, parts=pieces)
    assert FINGERPRINTS.of(SCOPE, [question, joined, more]) == whole
    assert turn_starts([question, *split, more]) == [0, 1, 4]


def test_calls_and_results_count() -> None:
    """Each field of theirs, and which of the two it is."""
    call = ToolUsePart(call_id="1", name="Read", arguments="{}")
    result = ToolOutputPart(call_id="1", text="x")
    parts: list[Part] = [
        call,
        replace(call, call_id="2"),
        replace(call, name="Write"),
        replace(call, arguments="{ }"),
        result,
        replace(result, text="y"),
        replace(result, is_error=True),
        replace(result, media=(MediaPart(kind=MediaKind.IMAGE, reference="a"),)),
    ]

    for role in (Role.ASSISTANT, Role.TOOL):
        assert len({_key(role, part) for part in parts}) == len(parts)


def test_half_a_character_is_no_trouble() -> None:
    """Clients cut texts anywhere."""
    assert _of("u:\ud83d").key != _of("u:\ud83e").key


@given(LINES, LINES)
def test_digests_agree_exactly_as_far_as_the_turns(one: list[str], other: list[str]) -> None:
    """The first turn that differs can be told from digests alone."""
    left, right = (_plain(lines) for lines in (one, other))
    same = 0
    while same < min(len(left), len(right)) and left[same] == right[same]:
        same += 1

    assert _of(*one).shared(_of(*other)) == same
    assert (_of(*one) == _of(*other)) == (left == right)


@given(LINES)
def test_lengths_fit(lines: list[str]) -> None:
    """There is one digest a turn, and one place where it starts."""
    found, plain = _of(*lines), _plain(lines)

    assert len(found) == len(plain) == len(found.turns) // DIGEST_BYTES
    assert len(turn_starts(turns(*lines))) == len(plain)


@given(LINES)
def test_the_answered_part_is_a_conversation_of_its_own(lines: list[str]) -> None:
    """It is what one gets from the turns up to the last answer."""
    last = max((index for index, line in enumerate(lines) if line[0] == "a"), default=-1)

    assert _of(*lines).answered == _of(*lines[: last + 1])


def test_an_answer_is_told_from_a_question() -> None:
    """Its digest covers all before it; where there is none there is nothing."""
    talk = _of("u:1", "a:one", "u:2")

    assert talk.answer(1) == _of("u:1", "a:one").key[DIGEST_BYTES:]
    assert [talk.answer(index) for index in (0, 2, 3)] == [None, None, None]


def _plain(lines: list[str]) -> list[str]:
    """Return turns: answers joined, their white space even."""
    plain: list[str] = []
    for line in lines:
        if line[0] == "a" and plain and plain[-1][0] == "a":
            plain[-1] += line[2:]
        else:
            plain.append(line)
    return [f"a:{' '.join(one[2:].split())}" if one[0] == "a" else one for one in plain]
