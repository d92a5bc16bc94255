"""Streams of servers, from bytes to events."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lingma_cli.core.chat import ChatRequest, Sampling
from lingma_cli.core.events import (
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.core.notes import NoteCode
from lingma_cli.engines.openai_http.answer import MAX_BYTES, AnswerReader
from lingma_cli.engines.openai_http.endings import Endings
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import Redactor
from tests.engines.openai_http.live import question
from tests.support.openai_server import chunk, delta, event
from tests.support.playbook import Line, transcript
from tests.support.strategies import byte_cuts, is_sentence, seal

DONE = b"data: [DONE]\n\n"
STOP = delta(finish="stop")
USAGE = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5}})
FINISHED: Line = ("finished", "stop")
CALLED: Line = ("finished", "tool_calls")
BROKEN: Line = ("failed", "engine_failed")


def reader(request: ChatRequest | None = None) -> AnswerReader:
    """Return a reader of an answer to `request`."""
    return AnswerReader(request or question(), Endings("local", Redactor()), lambda: "0" * 32)


def read(*pieces: bytes, request: ChatRequest | None = None) -> list[ChatEvent]:
    """Return all events of a stream, to the end."""
    answer = reader(request)
    return [event for piece in pieces for event in answer.feed(piece)] + answer.end()


def lines(*pieces: bytes) -> list[Line]:
    """Return what a client would see of a stream."""
    return transcript(read(*pieces))


def call(index: int, id_: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    """Return one piece of a call."""
    return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}


CASES: dict[str, tuple[bytes, list[Line]]] = {
    "plain": (chunk("Hel") + chunk("lo") + STOP + USAGE + DONE, [("text", "Hello"), FINISHED]),
    "no done": (chunk("a") + STOP, [("text", "a"), FINISHED]),
    "done alone": (DONE, [BROKEN]),
    "nothing": (b"", [BROKEN]),
    "no reason": (chunk("a"), [("text", "a"), BROKEN]),
    "no reason, done": (chunk("a") + DONE, [("text", "a"), BROKEN]),
    "role only": (delta(role="assistant", content=None) + STOP + DONE, [FINISHED]),
    "reasoning_content": (
        delta(reasoning_content="hm") + chunk("a") + STOP + DONE,
        [("reasoning", "hm"), ("text", "a"), FINISHED],
    ),
    "reasoning": (
        delta(reasoning="hm", content="") + chunk("a") + STOP + DONE,
        [("reasoning", "hm"), ("text", "a"), FINISHED],
    ),
    "both spellings": (
        delta(reasoning="hm", reasoning_content="hm") + STOP + DONE,
        [("reasoning", "hm"), FINISHED],
    ),
    "refusal": (delta(refusal="no") + STOP + DONE, [("text", "no"), FINISHED]),
    "parts": (
        delta(content=[{"type": "text", "text": "a"}, {"type": "x"}, 7]) + STOP + DONE,
        [("text", "a"), FINISHED],
    ),
    "comments": (b": ping\n\n" + chunk("a") + b":\n\n" + STOP + DONE, [("text", "a"), FINISHED]),
    "empty data": (b"data:\n\n" + chunk("a") + STOP + DONE, [("text", "a"), FINISHED]),
    "crlf": (
        (chunk("a") + STOP + DONE).replace(b"\n", b"\r\n"),
        [("text", "a"), FINISHED],
    ),
    "after done": (chunk("a") + STOP + DONE + chunk("b"), [("text", "a"), FINISHED]),
    "other choice": (
        chunk("a") + delta(1, content="b") + delta(1, finish="length") + STOP + DONE,
        [("text", "a"), FINISHED],
    ),
    "length": (chunk("a") + delta(finish="length") + DONE, [("text", "a"), ("finished", "length")]),
    "eos": (chunk("a") + delta(finish="eos_token") + DONE, [("text", "a"), FINISHED]),
    "filter": (
        chunk("a") + delta(finish="content_filter") + DONE,
        [("text", "a"), ("failed", "content_filtered")],
    ),
    "abort": (chunk("a") + delta(finish="abort") + DONE, [("text", "a"), BROKEN]),
    "calls without any": (
        chunk("a") + delta(finish="tool_calls") + DONE,
        [("text", "a"), FINISHED],
    ),
    "garbage": (chunk("a") + b"data: {oops\n\n" + STOP + DONE, [("text", "a"), BROKEN]),
    "wrong type": (b'data: {"choices":7}\n\n' + DONE, [BROKEN]),
    "no utf-8": (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', [BROKEN]),
    "deep": (b"data: " + b'{"error":' * 5000 + b"1" + b"}" * 5000 + b"\n\n", [BROKEN]),
    "unknown object": (b'data: {"type":"ping"}\n\n' + chunk("a") + STOP, [("text", "a"), FINISHED]),
    "html": (b"<html>Bad Gateway</html>\n\n", [BROKEN]),
    "error": (
        chunk("a") + event({"error": {"message": "m", "code": 429}}) + DONE,
        [("text", "a"), ("failed", "overloaded")],
    ),
    "error text": (event({"error": "out of memory"}) + DONE, [BROKEN]),
    "vllm error": (
        event({"object": "error", "message": "m", "code": 400}) + DONE,
        [("failed", "invalid_request")],
    ),
    "error field": (b'error: {"code":503,"message":"m"}\n\n', [("failed", "engine_unavailable")]),
    "error after reason": (STOP + event({"error": "late"}) + DONE, [BROKEN]),
    "call": (
        delta(tool_calls=[call(0, "a", "f", "")])
        + delta(tool_calls=[call(0, None, None, '{"x":1}')])
        + delta(finish="tool_calls")
        + DONE,
        [("tool_call", '{"x":1}'), CALLED],
    ),
    "call, stop": (
        delta(tool_calls=[call(0, "a", "f", "{}")]) + STOP + DONE,
        [("tool_call", "{}"), CALLED],
    ),
    "call, length": (
        delta(tool_calls=[call(0, "a", "f", '{"x')]) + delta(finish="length") + DONE,
        [("tool_call", '{"x'), ("finished", "length")],
    ),
    "call, object": (
        delta(tool_calls=[call(0, "a", "f", {"x": 1})]) + STOP + DONE,
        [("tool_call", '{"x":1}'), CALLED],
    ),
    "text between": (
        delta(tool_calls=[call(0, "a", "f", '{"x"')])
        + chunk("late")
        + delta(tool_calls=[call(0, None, None, ":1}")])
        + STOP
        + DONE,
        [("tool_call", '{"x":1}'), ("text", "late"), CALLED],
    ),
    "blanks between": (
        delta(tool_calls=[call(0, "a", "f", "{}")]) + chunk("\n") + STOP + DONE,
        [("tool_call", "{}"), CALLED],
    ),
    "call without a name": (delta(tool_calls=[call(0, "a", None, "{}")]) + STOP + DONE, [FINISHED]),
}


@pytest.mark.parametrize(("stream", "seen"), CASES.values(), ids=CASES)
def test_dialects(stream: bytes, seen: list[Line]) -> None:
    """Whatever a server sends, its client sees an answer and one honest end."""
    assert lines(stream) == seen
    assert is_sentence(seal([read(stream)]))


@given(st.data())
def test_every_cut_gives_the_same_events(data: st.DataObject) -> None:
    """Characters, lines and chunks may be torn anywhere."""
    stream = chunk("你好🙂") + delta(tool_calls=[call(0, "a", "f", "{}")]) + STOP + USAGE + DONE
    pieces = data.draw(byte_cuts(stream))

    assert read(*pieces) == read(stream)


@given(st.lists(st.sampled_from([*(stream for stream, _ in CASES.values()), b"\xff", b"\r\n"])))
def test_any_mixture_is_a_sentence(pieces: list[bytes]) -> None:
    """No sequence of streams breaks the grammar."""
    assert is_sentence(seal([read(*pieces)]))


def test_an_answer_begins_with_its_first_event() -> None:
    """A stream that fails at once has not begun; a server's own name for its model stays there."""
    body = {"model": "/home/me/m.gguf", "choices": [{"delta": {"content": "a"}}]}

    assert read(event(body))[0] == Started(model="m1")
    assert isinstance(read(event({"error": "no"}))[0], Failed)


@pytest.mark.parametrize(
    "stream",
    [
        STOP + USAGE + DONE,
        USAGE + STOP + DONE,
        event(
            {
                "choices": [{"delta": {}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 5},
            }
        ),
        event({"choices": None, "usage": {"prompt_tokens": 3, "completion_tokens": 5}}) + STOP,
        event({"choices": [], "usage": {"prompt_tokens": 1}}) + STOP + USAGE,
        STOP + USAGE + event({"choices": [], "usage": {"prompt_tokens": None}}),
    ],
    ids=["last", "before", "with the reason", "no choices", "twice", "null after"],
)
def test_token_counts_are_told_once_before_the_end(stream: bytes) -> None:
    """They are found wherever they stand; the last ones count."""
    events = read(chunk("a"), stream)

    usage = Usage(input_tokens=3, output_tokens=5)
    assert events[-2:] == [UsageReported(usage=usage), Finished(reason=FinishReason.STOP)]
    assert sum(isinstance(each, UsageReported) for each in events) == 1


def test_reasoning_tokens_are_counted() -> None:
    """They are part of the details."""
    details = {"completion_tokens_details": {"reasoning_tokens": 4}}
    usage = {"prompt_tokens": 3, "completion_tokens": 5} | details

    expected = Usage(input_tokens=3, output_tokens=5, reasoning_tokens=4)
    assert UsageReported(usage=expected) in read(STOP, event({"choices": [], "usage": usage}))


def test_without_counts_none_are_told() -> None:
    """What was not said is not made up."""
    answer = reader()
    answer.feed(chunk("a") + STOP + DONE)

    assert answer.ended
    assert not answer.has_usage


def test_a_stop_sequence_is_named() -> None:
    """vLLM tells which; a token id or a stranger is none."""
    asked = replace(question(), sampling=Sampling(stop=("END",)))

    def end(stop: Any) -> ChatEvent:
        choice = {"delta": {}, "finish_reason": "stop", "stop_reason": stop}
        return read(event({"choices": [choice]}), request=asked)[-1]

    assert end("END") == Finished(reason=FinishReason.STOP, stop_sequence="END")
    assert end("other") == end(151643) == end(None) == Finished(reason=FinishReason.STOP)


def test_a_cut_after_the_last_word_is_no_loss() -> None:
    """A connection that breaks when all has been said has broken nothing."""
    error = LingmaError(ErrorKind.ENGINE_TIMEOUT, "cut")
    said, unsaid = reader(), reader()
    said.feed(chunk("a") + STOP)
    unsaid.feed(chunk("a"))

    assert transcript(said.end(error)) == [FINISHED]
    assert transcript(unsaid.end(error)) == [("failed", "engine_timeout")]


def test_an_answer_in_one_piece() -> None:
    """A server that does not stream gives a message instead of deltas."""
    message = {"role": "assistant", "content": "a", "tool_calls": [call(0, "c", "f", "{}")]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}

    events = reader().whole(json.dumps(body).encode())

    assert transcript(events) == [("text", "a"), ("tool_call", "{}"), CALLED]
    assert any(isinstance(each, UsageReported) for each in events)
    assert transcript(reader().whole(b'{"error":"no"}')) == [BROKEN]
    assert transcript(reader().whole(b"oops")) == [BROKEN]


def test_calls_beyond_the_first_are_dropped_if_one_is_wanted() -> None:
    """It is told in a note; ids that a server does not give are made."""
    answer = reader(replace(question(), parallel_tool_calls=False))
    both = delta(tool_calls=[call(0, None, "f", "{}"), call(1, "b", "g", "{}")])

    events = answer.feed(both + STOP + DONE)

    opened = [each for each in events if isinstance(each, BlockOpened)]
    assert [each.call_id for each in opened] == ["call_" + "0" * 24]
    assert [note.code for note in answer.notes] == [NoteCode.CALLS_DROPPED]


def test_a_huge_chunk_is_read_and_an_endless_one_is_not() -> None:
    """A megabyte is fine in any pieces; what never ends is given up."""
    stream = chunk("a" * 1_000_000) + STOP + DONE
    pieces = [stream[at : at + 65536] for at in range(0, len(stream), 65536)]
    answer = reader()

    assert lines(*pieces) == [("text", "a" * 1_000_000), FINISHED]
    endless = [b"a" * (1 << 20)] * (MAX_BYTES // (1 << 20) + 1)
    assert transcript([each for piece in endless for each in answer.feed(piece)]) == [BROKEN]
