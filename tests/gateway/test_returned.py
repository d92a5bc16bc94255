"""What a conversation brings back for the calls of its last turn."""

from __future__ import annotations

from lingma_cli.core.chat import (
    MediaKind,
    MediaPart,
    Message,
    Role,
    TextPart,
    ToolOutputPart,
)
from lingma_cli.core.notes import codes
from lingma_cli.gateway.returned import Returned, returned
from tests.support.tool_turns import USER, call_turn, result_turn, texts

IMAGE = MediaPart(kind=MediaKind.IMAGE, reference="data:image/png;base64,AA")


def _back(*turns: Message) -> Returned:
    return returned([USER, *turns])


def _user(*parts: TextPart | MediaPart) -> Message:
    return Message(role=Role.USER, parts=parts)


def test_no_assistant_has_spoken() -> None:
    """Nothing can be a result then."""
    back = returned([USER, result_turn("a")])

    assert (back.latest, back.earlier, back.notes) == (frozenset(), frozenset(), ())


def test_results_of_the_last_turn() -> None:
    """Those that follow it are the latest; calls of all other turns are earlier ones."""
    back = _back(call_turn("a", "b"), result_turn("a", "b"), call_turn("c", "d"), result_turn("d"))

    assert (frozenset("d"), frozenset("abc")) == (back.latest, back.earlier)
    assert texts(back.results) == {"a": "result a", "b": "result b", "d": "result d"}


def test_an_assistant_that_goes_on() -> None:
    """Results that stand before its last turn are not the latest."""
    words = Message(role=Role.ASSISTANT, parts=(TextPart(text="so"),))
    back = _back(call_turn("a"), result_turn("a"), words)

    assert (back.latest, back.earlier) == (frozenset(), frozenset("a"))


def test_results_inside_a_users_turn() -> None:
    """Where a result stands does not matter."""
    result = ToolOutputPart(call_id="a", text="done")
    back = _back(call_turn("a"), Message(role=Role.USER, parts=(result,)))

    assert back.latest == frozenset("a")


def test_words_beside_results() -> None:
    """They go into the last result, in their order, with places for their media; this is noted."""
    back = _back(
        call_turn("a", "b"),
        result_turn("a"),
        result_turn("b"),
        _user(TextPart(text="one"), IMAGE),
        _user(TextPart(text=""), TextPart(text="two")),
    )

    assert texts(back.results) == {
        "a": "result a",
        "b": "result b\n\nThe user adds:\none\n\n[image]\n\ntwo",
    }
    assert codes(back.notes) == ("text_joined",)


def test_words_without_results() -> None:
    """There is nothing to join them to."""
    back = _back(call_turn("a"), _user(TextPart(text="never mind")))

    assert (back.results, back.latest, back.earlier, back.notes) == (
        {},
        frozenset(),
        frozenset("a"),
        (),
    )


def test_media_in_a_result() -> None:
    """A place is kept for each, and they are noted as dropped."""
    results = (
        ToolOutputPart(call_id="a", text="seen", media=(IMAGE, IMAGE)),
        ToolOutputPart(call_id="b", text="", media=(IMAGE,), is_error=True),
    )
    back = _back(call_turn("a", "b"), Message(role=Role.TOOL, parts=results))

    assert texts(back.results) == {"a": "seen\n[image]\n[image]", "b": "[image]"}
    assert [result.media for result in back.results.values()] == [(), ()]
    assert back.results["b"].is_error
    assert codes(back.notes) == ("media_dropped",)
