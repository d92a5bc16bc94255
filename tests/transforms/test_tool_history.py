"""Calls and results of earlier turns, in pairs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import (
    MediaKind,
    MediaPart,
    Message,
    Part,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.notes import codes
from lingma_cli.transforms.tool_history import repaired

IMAGE = MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64,AA")


def _call(call_id: str) -> ToolUsePart:
    return ToolUsePart(call_id=call_id, name="f", arguments="{}")


def _result(call_id: str, text: str = "42") -> ToolOutputPart:
    return ToolOutputPart(call_id=call_id, text=text)


def _assistant(*parts: Part) -> Message:
    return Message(role=Role.ASSISTANT, parts=parts)


def _tool(*parts: Part) -> Message:
    return Message(role=Role.TOOL, parts=parts)


def _user(*parts: Part) -> Message:
    return Message(role=Role.USER, parts=parts)


HI = _user(TextPart(text="hi"))
MISSING = ToolOutputPart(call_id="a", text="no result of this call was given", is_error=True)

WHOLE = {
    "nothing": (),
    "no tools": (HI, _assistant(TextPart(text="hello")), _user()),
    "one call": (HI, _assistant(_call("a")), _tool(_result("a"))),
    "parallel calls": (
        HI,
        _assistant(TextPart(text="so"), _call("a"), _call("b")),
        _tool(_result("a"), _result("b")),
        HI,
    ),
}


@pytest.mark.parametrize("messages", WHOLE.values(), ids=WHOLE.keys())
def test_what_is_whole_is_left_alone(messages: tuple[Message, ...]) -> None:
    """No turn is changed and no note is left."""
    assert (messages, ()) == repaired(messages)


TORN = {
    "results over several turns, in another order": (
        (HI, _assistant(_call("a"), _call("b")), _tool(_result("b", "2")), _tool(_result("a"))),
        (HI, _assistant(_call("a"), _call("b")), _tool(_result("a"), _result("b", "2"))),
        (),
    ),
    "a result in a user turn": (
        (_assistant(_call("a")), _user(_result("a"), TextPart(text="go on"))),
        (_assistant(_call("a")), _tool(_result("a")), _user(TextPart(text="go on"))),
        (),
    ),
    "a result that comes late": (
        (_assistant(_call("a")), HI, _tool(_result("a"))),
        (_assistant(_call("a")), _tool(_result("a")), HI),
        (),
    ),
    "parallel calls in turns of their own": (
        (_assistant(_call("a")), _assistant(_call("b")), _tool(_result("a")), _tool(_result("b"))),
        (_assistant(_call("a")), _tool(_result("a")), _assistant(_call("b")), _tool(_result("b"))),
        (),
    ),
    "a call without result": (
        (_assistant(_call("a")), HI),
        (_assistant(_call("a")), _tool(MISSING), HI),
        ("result_missing",),
    ),
    "a call without result at the end": (
        (HI, _assistant(_call("a"))),
        (HI, _assistant(_call("a")), _tool(MISSING)),
        ("result_missing",),
    ),
    "one of two results": (
        (_assistant(_call("a"), _call("b")), _tool(_result("b"))),
        (_assistant(_call("a"), _call("b")), _tool(MISSING, _result("b"))),
        ("result_missing",),
    ),
    "a result without call": (
        (HI, _tool(ToolOutputPart(call_id="x", text="42", media=(IMAGE,)))),
        (HI, _user(TextPart(text="Tool result for id x:\n42"), IMAGE)),
        ("result_orphaned",),
    ),
    "a result before its call": (
        (_tool(_result("a")), _assistant(_call("a"))),
        (
            _user(TextPart(text="Tool result for id a:\n42")),
            _assistant(_call("a")),
            _tool(MISSING),
        ),
        ("result_orphaned", "result_missing"),
    ),
    "a second result": (
        (_assistant(_call("a")), _tool(_result("a"), _result("a", "43"))),
        (
            _assistant(_call("a")),
            _tool(_result("a")),
            _user(TextPart(text="Tool result for id a:\n43")),
        ),
        ("result_orphaned",),
    ),
    "an id in two turns": (
        (
            _assistant(_call("a")),
            _tool(_result("a", "1")),
            _assistant(_call("a")),
            _tool(_result("a", "2")),
        ),
        (
            _assistant(_call("a")),
            _tool(_result("a", "1")),
            _assistant(_call("a_2")),
            _tool(_result("a_2", "2")),
        ),
        (),
    ),
    "an id in two turns, the first without result": (
        (_assistant(_call("a")), HI, _assistant(_call("a")), _tool(_result("a", "2"))),
        (
            _assistant(_call("a")),
            _tool(MISSING),
            HI,
            _assistant(_call("a_2")),
            _tool(_result("a_2", "2")),
        ),
        ("result_missing",),
    ),
    "an id twice in one turn, and the next name taken": (
        (
            _assistant(_call("a"), _call("a"), _call("a_2")),
            _tool(_result("a", "1"), _result("a", "2"), _result("a_2", "3")),
        ),
        (
            _assistant(_call("a"), _call("a_3"), _call("a_2")),
            _tool(_result("a", "1"), _result("a_3", "2"), _result("a_2", "3")),
        ),
        (),
    ),
    "no id": (
        (_assistant(_call("")), _tool(_result(""))),
        (_assistant(_call("call_2")), _tool(_result("call_2"))),
        (),
    ),
}


@pytest.mark.parametrize(("messages", "expected", "noted"), TORN.values(), ids=TORN.keys())
def test_what_is_torn_is_made_whole(
    messages: tuple[Message, ...], expected: tuple[Message, ...], noted: tuple[str, ...]
) -> None:
    """Results stand behind their calls, and what was missing or too many is told."""
    turns, notes = repaired(messages)

    assert expected == turns
    assert noted == codes(notes)


def test_an_error_without_call_stays_an_error() -> None:
    """The text says that the tool failed."""
    failed = ToolOutputPart(call_id="x", text="no such file", is_error=True)
    expected = _user(TextPart(text="Tool error for id x:\nno such file"))

    assert (expected,) == repaired([_tool(failed)])[0]


ids = st.sampled_from(["", "a", "a_2", "b", "call_2"])
parts: st.SearchStrategy[Part] = st.one_of(
    ids.map(_call), st.builds(_result, ids, st.text("ab", max_size=3)), st.just(TextPart(text="hi"))
)
histories = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(Role),
        parts=st.lists(parts, max_size=4).map(tuple),
    ),
    max_size=6,
)


@given(histories)
def test_once_is_enough(messages: list[Message]) -> None:
    """Whole turns are left alone, so a second repair finds nothing."""
    once, _ = repaired(messages)

    assert (once, ()) == repaired(once)


@given(histories)
def test_each_call_is_followed_by_its_result(messages: list[Message]) -> None:
    """Ids are unique, each turn with calls is followed by their results in order, and no others."""
    turns, _ = repaired(messages)
    calls = [[p.call_id for p in turn.parts if isinstance(p, ToolUsePart)] for turn in turns]
    results = [[p.call_id for p in turn.parts if isinstance(p, ToolOutputPart)] for turn in turns]
    called = [call_id for turn in calls for call_id in turn]

    assert len(called) == len(set(called))
    assert [[], *calls[:-1]] == results if turns else True
    assert not turns or not calls[-1]


@given(histories)
def test_nothing_is_lost(messages: list[Message]) -> None:
    """Every call and every result's text is still there."""
    before = [part for message in messages for part in message.parts]
    after = [part for message in repaired(messages)[0] for part in message.parts]
    texts = [p.text for p in after if isinstance(p, TextPart | ToolOutputPart)]

    def calls(held: list[Part]) -> int:
        return sum(isinstance(part, ToolUsePart) for part in held)

    assert calls(before) == calls(after)
    for part in before:
        if isinstance(part, ToolOutputPart):
            assert any(text.endswith(part.text) for text in texts)
