"""One answer: pushes in, events out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from lingma_cli.core.events import BlockDelta, BlockKind, Failed, Started
from lingma_cli.core.notes import codes
from lingma_cli.engines.lingma.answer import Answer
from lingma_cli.engines.lingma.pushes import chat_push
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.playbook import Line, answered, transcript

Push = tuple[str, dict[str, Any]]

FINISHED: Line = ("finished", "stop")


def says(text: str, **more: Any) -> Push:
    """Push a delta."""
    return "chat/answer", {"requestId": "R", "text": text} | more


def replaces(text: str) -> Push:
    """Push a whole text in place of all that came."""
    return says(text, overwrite=True)


def thinks(text: str, step: str = "start") -> Push:
    """Push reasoning."""
    return "chat/think", {"requestId": "R", "text": text, "step": step}


def finishes(**fields: Any) -> Push:
    """Push the end, a success unless told otherwise."""
    return "chat/finish", {"requestId": "R", "statusCode": 200} | fields


# Rows that read alike in both modes.
BOTH: dict[str, tuple[list[Push], list[Line]]] = {
    "deltas": (
        [says("Hel"), says(""), says("lo"), finishes(fullAnswer="Hello")],
        [("text", "Hello"), FINISHED],
    ),
    "content instead of text": (
        [("chat/answer", {"content": "Hi"}), finishes()],
        [("text", "Hi"), FINISHED],
    ),
    "nothing at all": ([finishes()], [FINISHED]),
    "empty full answer": ([says("Hi"), finishes(fullAnswer="")], [("text", "Hi"), FINISHED]),
    "full answer only": ([finishes(fullAnswer="Hi")], [("text", "Hi"), FINISHED]),
    "full answer with thoughts": (
        [finishes(fullAnswer="<think>hm</think>\nHi")],
        [("reasoning", "hm"), ("text", "Hi"), FINISHED],
    ),
    "full answer extends": (
        [says("Hel"), finishes(fullAnswer="Hello")],
        [("text", "Hello"), FINISHED],
    ),
    "full answer differs": ([says("Hi"), finishes(fullAnswer="Bye")], [("text", "Hi"), FINISHED]),
    "full answer is shorter": ([says("Hi"), finishes(fullAnswer="H")], [("text", "Hi"), FINISHED]),
    "full answer after thoughts": (
        [thinks("hm"), says("Hi"), finishes(fullAnswer="Hi!")],
        [("reasoning", "hm"), ("text", "Hi!"), FINISHED],
    ),
    "thoughts pushed": (
        [thinks("h"), thinks("m", "done"), says("Hi"), finishes()],
        [("reasoning", "hm"), ("text", "Hi"), FINISHED],
    ),
    "thoughts in the text": (
        [says("<thi"), says("nk>hm</think>\n\nHi"), finishes()],
        [("reasoning", "hm"), ("text", "Hi"), FINISHED],
    ),
    "text that looked like a marker": (
        [says("a <thi"), finishes()],
        [("text", "a <thi"), FINISHED],
    ),
    "absent status": ([says("Hi"), finishes(statusCode=None)], [("text", "Hi"), FINISHED]),
    "status 0": (
        [says("Hi"), finishes(statusCode=0)],
        [("text", "Hi"), ("failed", "engine_failed")],
    ),
    "status 500": ([finishes(statusCode=500, reason="boom")], [("failed", "engine_failed")]),
    "status 406": (
        [says("Hi"), finishes(statusCode=406)],
        [("text", "Hi"), ("failed", "content_filtered")],
    ),
    "status 403": ([finishes(statusCode=403)], [("failed", "quota_exceeded")]),
    "full answer of a failure": (
        [finishes(statusCode=500, fullAnswer="an error page")],
        [("failed", "engine_failed")],
    ),
    "cancelled by somebody else": (
        [says("Hi"), finishes(reason="cancelled")],
        [("text", "Hi"), ("failed", "engine_failed")],
    ),
    "filtered": (
        [says("Hi"), says("secret", isFiltered=True)],
        [("text", "Hi"), ("failed", "content_filtered")],
    ),
    "filter timed out": (
        [says("Hi"), ("chat/filterTimeout", {})],
        [("text", "Hi"), ("failed", "content_filtered")],
    ),
    "error push": (
        [says("Hi"), ("error", {"message": "code 110"})],
        [("text", "Hi"), ("failed", "quota_exceeded")],
    ),
    "fatal error push": ([("fatal_error", {"error": {"a": 1}})], [("failed", "engine_failed")]),
    "steps are no end": (
        [("chat/process_step_callback", {"step": "step_end"}), says("Hi"), finishes()],
        [("text", "Hi"), FINISHED],
    ),
    "late pushes": (
        [says("Hi"), finishes(), says("late"), thinks("late"), finishes(statusCode=500)],
        [("text", "Hi"), FINISHED],
    ),
    "late pushes after a failure": (
        [finishes(statusCode=500), says("late"), finishes()],
        [("failed", "engine_failed")],
    ),
    "overwrite extends": (
        [says("Hel"), replaces("Hello"), says("!"), finishes()],
        [("text", "Hello!"), FINISHED],
    ),
    "overwrite repeats": (
        [says("Hello"), replaces("Hello"), says("!"), finishes(fullAnswer="Hello!")],
        [("text", "Hello!"), FINISHED],
    ),
    "overwrite first": ([replaces("Hi"), finishes()], [("text", "Hi"), FINISHED]),
    "overwrite within a marker": (
        [says("a <thi"), replaces("a <think>hm</think>b"), finishes()],
        [("text", "a "), ("reasoning", "hm"), ("text", "b"), FINISHED],
    ),
    "overwrite after pushed thoughts": (
        [thinks("hm"), says("Hel"), replaces("Hello"), finishes()],
        [("reasoning", "hm"), ("text", "Hello"), FINISHED],
    ),
}


@pytest.mark.parametrize("replaceable", [False, True], ids=["stream", "whole"])
@pytest.mark.parametrize(("pushes", "expected"), BOTH.values(), ids=BOTH.keys())
def test_what_a_client_sees(pushes: list[Push], expected: list[Line], replaceable: bool) -> None:
    """A stream and a whole answer tell the same story."""
    assert expected == answered(*pushes, replaceable=replaceable)


# Text that went out cannot be taken back; a whole answer never shows what was replaced.
TAKEN_BACK: dict[str, tuple[list[Push], list[Line], list[Line]]] = {
    "contradicts": (
        [says("Yes"), replaces("No"), finishes()],
        [("text", "Yes\n\nNo"), FINISHED],
        [("text", "No"), FINISHED],
    ),
    "contradicts, then goes on": (
        [says("Yes"), replaces("No"), says("!"), finishes(fullAnswer="No!")],
        [("text", "Yes\n\nNo!"), FINISHED],
        [("text", "No!"), FINISHED],
    ),
    "contradicts, then extends": (
        [says("Yes"), replaces("No"), replaces("No, never"), finishes()],
        [("text", "Yes\n\nNo, never"), FINISHED],
        [("text", "No, never"), FINISHED],
    ),
    "contradicts, then the full answer extends": (
        [says("Yes"), replaces("No"), finishes(fullAnswer="No, never")],
        [("text", "Yes\n\nNo, never"), FINISHED],
        [("text", "No, never"), FINISHED],
    ),
    "shrinks": (
        [says("Hello world"), replaces("Hello"), finishes()],
        [("text", "Hello world"), FINISHED],
        [("text", "Hello"), FINISHED],
    ),
    "shrinks, with a full answer": (
        [says("Hello world"), replaces("Hello"), finishes(fullAnswer="Hello")],
        [("text", "Hello world"), FINISHED],
        [("text", "Hello"), FINISHED],
    ),
}


@pytest.mark.parametrize(
    ("pushes", "streamed", "_whole"), TAKEN_BACK.values(), ids=TAKEN_BACK.keys()
)
def test_a_stream_cannot_take_back(
    pushes: list[Push], streamed: list[Line], _whole: list[Line]
) -> None:
    """What was sent stays, the new text follows it once, and a note says so."""
    answer = Answer("m", replaceable=False)
    events = [
        event
        for method, params in pushes
        for event in answer.read(method, chat_push(msgspec.json.encode(params)))
    ]

    assert streamed == transcript(events)
    assert codes(answer.notes) == ("answer_rewritten",)


@pytest.mark.parametrize(
    ("pushes", "_streamed", "whole"), TAKEN_BACK.values(), ids=TAKEN_BACK.keys()
)
def test_a_whole_answer_shows_the_last_version(
    pushes: list[Push], _streamed: list[Line], whole: list[Line]
) -> None:
    """Nothing that was replaced can be seen."""
    assert whole == answered(*pushes, replaceable=True)


def test_a_stream_begins_with_its_first_text() -> None:
    """The beginning names the model and comes once."""
    answer = Answer("m", replaceable=False)
    text = BlockDelta(kind=BlockKind.TEXT, text="a")

    assert answer.read("chat/answer", chat_push(b'{"text":""}')) == []
    assert [Started(model="m"), text] == answer.read("chat/answer", chat_push(b'{"text":"a"}'))
    assert [text] == answer.read("chat/answer", chat_push(b'{"text":"a"}'))


def test_a_whole_answer_is_held_until_its_end() -> None:
    """Nothing goes out before it can no longer be replaced."""
    answer = Answer("m", replaceable=True)

    assert answer.read("chat/answer", chat_push(b'{"text":"a"}')) == []
    assert transcript(answer.read("chat/finish", chat_push(b"{}"))) == [("text", "a"), FINISHED]


@pytest.mark.parametrize("replaceable", [False, True], ids=["stream", "whole"])
def test_failing_from_outside(replaceable: bool) -> None:
    """A time-out or a lost connection ends the answer once; what had come stays."""
    error = LingmaError(ErrorKind.ENGINE_TIMEOUT, "silent")
    answer = Answer("m", replaceable=replaceable)
    events = answer.read("chat/answer", chat_push(b'{"text":"a <th"}'))

    events += answer.fail(error)

    assert transcript(events) == [("text", "a <th"), ("failed", "engine_timeout")]
    assert Failed(error=error) == events[-1]
    assert answer.ended
    assert answer.fail(error) == []
