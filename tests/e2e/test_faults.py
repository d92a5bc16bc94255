"""Each way in which Lingma can fail, at each point of the answer, in both modes.

Whatever happens: a stream ends as an error event without `[DONE]`, an answer that is not
streamed as an HTTP status, everything taken is given back, and the next request works.
"""

from __future__ import annotations

import json

import pytest

from tests.support.serving import Serving, wait_until

# Directive, status without streaming, code of the error.
ENDINGS = [
    ("finish=401", 401, "login_required"),
    ("finish=403", 429, "insufficient_quota"),
    ('finish=403 reason="please log in"', 401, "login_required"),
    ("finish=406", 400, "content_filter"),
    ("finish=408", 504, "engine_timeout"),
    ("finish=429", 429, "overloaded"),
    ("finish=500", 502, "engine_failed"),
    ("finish=601", 400, "content_filter"),
    ("finish=80408", 504, "engine_timeout"),
    ("finish=0", 502, "engine_failed"),
    ("finish=31404", 502, "engine_failed"),
    ("end=filter", 400, "content_filter"),
    ("end=filter-timeout", 400, "content_filter"),
    ("end=error", 502, "engine_failed"),
    ("end=fatal anonymous", 502, "engine_failed"),
    ("drop", 502, "engine_failed"),
    ("close", 502, "engine_failed"),
    ("crash=3", 502, "engine_failed"),
    ("garbage=bytes", 502, "engine_failed"),
    ("garbage=json", 502, "engine_failed"),
    ("garbage=utf8", 502, "engine_failed"),
    ("garbage=huge", 502, "engine_failed"),
    ("garbage=negative", 502, "engine_failed"),
    ("garbage=nolength", 502, "engine_failed"),
]
POINTS = ["0", "2", "last"]
REFUSALS = [
    ("reply=failure", 502, "engine_failed"),
    ("reply=result-failure", 502, "engine_failed"),
    ("reply=error", 502, "engine_failed"),
    ("reply=unknown", 501, "engine_unsupported"),
]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(("directive", "status", "code"), ENDINGS)
def test_ends_properly(demo: Serving, directive: str, status: int, code: str, point: str) -> None:
    """The failure is told in the right form, nothing leaks, and the next request works."""
    question = f"[[demo: {directive} after={point}]]"

    whole = demo.ask(question)
    assert (whole.status_code, whole.json()["error"]["code"]) == (status, code)

    streamed = demo.ask(question, stream=True)
    if point == "0":
        assert (streamed.status_code, streamed.json()["error"]["code"]) == (status, code)
    else:
        frames = [line[6:] for line in streamed.text.splitlines() if line.startswith("data: ")]
        assert streamed.status_code == 200
        assert "[DONE]" not in frames
        assert json.loads(frames[-1])["error"]["code"] == code
        assert any(json.loads(frame)["choices"][0]["delta"].get("content") for frame in frames[:-1])

    assert demo.ask("[[demo: say=fine]]").json()["choices"][0]["message"]["content"] == "fine"
    wait_until(lambda: demo.in_flight() == 0, within=2, what="released leases")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("directive", "status", "code"), REFUSALS)
def test_refused_asks_are_statuses(
    demo: Serving, directive: str, status: int, code: str, stream: bool
) -> None:
    """A `chat/ask` that is refused fails at once, streaming or not."""
    answer = demo.ask(f"[[demo: {directive}]]", stream=stream)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("x-should-retry") == ("false" if status == 501 else None)


GOOD = [
    ("reply=success", "0123456789"),
    ("reply=result", "0123456789"),
    ("reply=none", "0123456789"),
    ("reply=late", "0123456789"),
    ("finish=absent", "0123456789"),
    ("duplicate", "0123456789"),
    ("late=3", "0123456789"),
    ("blanks", "0123456789"),
    ("field=content", "0123456789"),
    ("full=empty", "0123456789"),
    ("full=only", "0123456789"),
    ("full=other", "0123456789"),
    ("overwrite=extend after=2", None),
    ("noise", "0123456789"),
    ("strangers after=1", "0123456789"),
    ("cut=1", "0123456789"),
    ("cut=1 message=binary", "0123456789"),
    ("coalesce=5 message=mixed", "0123456789"),
    ("header=upper separator=lf", "0123456789"),
    ("header=typed", "0123456789"),
    ("think=push", "0123456789"),
    ("think=tags", "0123456789"),
    ("think=block", "0123456789"),
    ("think=timed split=1", "0123456789"),
    ("demand=config,register,log,edit after=1", None),
]


@pytest.mark.parametrize(("directive", "expected"), GOOD)
def test_oddities_do_no_harm(demo: Serving, directive: str, expected: str | None) -> None:
    """Whichever side of a conflict Lingma takes, both modes give the same whole answer."""
    question = f'[[demo: say="0123456789" {directive}]]'

    whole = demo.ask(question).json()["choices"][0]["message"]["content"]
    streamed = streamed_text(demo.ask(question, stream=True).text)

    if expected is not None:
        assert whole == expected
    assert streamed == whole


def streamed_text(body: str) -> str:
    """Return the text of a stream that ended well."""
    frames = [line[6:] for line in body.splitlines() if line.startswith("data: ")]
    assert frames[-1] == "[DONE]"
    chunks = [json.loads(frame) for frame in frames[:-1]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def test_reasoning_is_kept_apart(demo: Serving) -> None:
    """Reasoning in any of its forms arrives as `reasoning_content` and never in the text."""
    for form in ("push", "push-end", "tags", "block", "timed"):
        question = f'[[demo: say="answer" thought="because" think={form} split=1]]'

        message = demo.ask(question).json()["choices"][0]["message"]

        assert (message["content"], message["reasoning_content"].strip()) == ("answer", "because")


def test_a_replaced_answer(demo: Serving) -> None:
    """Replaced text: whole answers show only the new text; streams keep both and say so."""
    question = "[[demo: overwrite=contradict after=2]]"

    whole = demo.ask(question)
    streamed = streamed_text(demo.ask(question, stream=True).text)

    replaced = whole.json()["choices"][0]["message"]["content"]
    assert streamed.endswith(replaced)
    assert len(streamed) > len(replaced)


def test_tools_are_refused(demo: Serving) -> None:
    """A tool that Lingma wants to run gets `success: false`, and the answer goes on."""
    for demand in ("tool", "tool-async", "sync"):
        answer = demo.ask(f"[[demo: demand={demand} after=1]]")

        assert "tool_refused" in answer.headers["x-lingma-notes"]
        assert "true" not in answer.json()["choices"][0]["message"]["content"].lower()


def test_huge_and_empty_answers(demo: Serving) -> None:
    """Five megabytes in one piece and an empty answer both arrive as they are."""
    huge = demo.ask("[[demo: size=5m chunks=1]]").json()["choices"][0]["message"]["content"]
    empty = demo.ask('[[demo: say=""]]').json()["choices"][0]["message"]["content"]

    assert (len(huge), empty) == (5_000_000, "")
