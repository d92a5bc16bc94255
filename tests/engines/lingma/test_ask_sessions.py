"""Sessions that outlive their ask: kept, gone on in, lost, dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.events import ChatEvent
from tests.engines.lingma.live import Live, question, texts
from tests.support.playbook import Line, transcript

HISTORY = "[[demo: quote=session]]"


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Start engines that end with the test."""
    with ExitStack() as running:

        def start(**switches: Any) -> Live:
            live = Live(tmp_path, **switches)
            running.callback(live.close)
            return live

        yield start


def _turn(live: Live, request: ChatRequest) -> tuple[list[Line], str | None]:
    """Ask, and return what the client sees and the id of the session that was kept."""

    async def main() -> tuple[list[ChatEvent], str | None]:
        events: list[ChatEvent] = []
        async with live.engine.ask(request) as ask:
            while batch := await ask.next_batch():
                events += batch
            return events, ask.keep_session()

    events, kept = live.run(main())
    return transcript(events), kept


def _deleted(live: Live) -> list[str]:
    # A call that is answered after all that was sent before shows that no more is to come.
    live.run(live.engine.refresh_models())
    notes = live.journal("received", method="chat/deleteSessionById")
    return [note["params"]["sessionId"] for note in notes]


def test_a_session_that_is_kept_goes_on(begin: Callable[..., Live]) -> None:
    """It is not deleted, and the next turn is a reply in it that knows all before."""
    live = begin()
    _, kept = _turn(live, question("[[demo: say=one]] first"))
    assert kept is not None
    assert _deleted(live) == []
    lines, again = _turn(live, replace(question(HISTORY), session=kept))

    assert json.loads(texts(lines)) == [
        {"question": "[[demo: say=one]] first", "answer": "one"},
        {"question": HISTORY},
    ]
    assert again == kept
    sent = [note["params"] for note in live.journal("received", method="chat/ask")]
    assert [(ask["isReply"], ask["sessionId"]) for ask in sent] == [(False, kept), (True, kept)]
    assert sent[1]["questionText"] == HISTORY


def test_a_session_that_is_dropped_is_deleted(begin: Callable[..., Live]) -> None:
    """Once nobody wants it any more."""
    live = begin()
    _, kept = _turn(live, question("hi"))
    assert kept is not None
    live.engine.drop_session(kept)

    assert _deleted(live) == [kept]


ENDS = ["[[demo: say=a finish=500]]", "[[demo: say=a end=filter]]", "[[demo: reply=error]]"]


@pytest.mark.parametrize("directive", ENDS)
def test_nothing_is_kept_after_a_failure(begin: Callable[..., Live], directive: str) -> None:
    """The session goes, as without reuse."""
    live = begin()
    lines, kept = _turn(live, question(directive))

    assert lines[-1][0] == "failed"
    assert kept is None
    assert len(_deleted(live)) == 1


def test_nothing_is_kept_before_the_end(begin: Callable[..., Live]) -> None:
    """An answer that goes on is stopped when it is left."""
    live = begin()

    async def main() -> str | None:
        async with live.engine.ask(question("[[demo: chunks=900 delay=0.05]]")) as ask:
            await ask.next_batch()
            return ask.keep_session()

    assert live.run(main()) is None
    assert live.noted("ask-end", ending="cancelled")


def test_a_runtime_that_refuses_a_reply(begin: Callable[..., Live]) -> None:
    """A session that it has forgotten is a failure without a word."""
    live = begin(sides="sessions=refuse")
    _, kept = _turn(live, question("hi"))
    lines, _ = _turn(live, replace(question("and?"), session=kept))

    assert lines == [("failed", "engine_failed")]


def test_a_runtime_that_begins_another_session(begin: Callable[..., Live]) -> None:
    """Its answer would know nothing of the conversation, so it is stopped and not shown."""
    live = begin(sides="sessions=other")
    _, kept = _turn(live, question("hi"))
    assert kept is not None
    lines, again = _turn(live, replace(question("[[demo: chunks=900 delay=0.05]]"), session=kept))

    assert (lines, again) == ([("failed", "engine_failed")], None)
    assert live.noted("ask-end", ending="cancelled")


def test_nobody_to_tell(begin: Callable[..., Live]) -> None:
    """Dropping a session of an engine that is away is no error."""
    live = begin()
    live.end()

    live.engine.drop_session("S")
