"""A Lingma engine over a real process of the demo."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from lingma_cli.core.chat import AskMode
from lingma_cli.core.notes import codes
from lingma_cli.engines.lingma.engine import LingmaEngine
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.live import Live, options, question, texts
from tests.support.playbook import Line

FINISHED: Line = ("finished", "stop")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """An engine for the tests that leave it as they found it."""
    engine = Live(tmp_path_factory.mktemp("live"))
    yield engine
    engine.close()


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    """Start engines of one's own; they are ended after the test."""
    started: list[Live] = []

    def start(**changes: Any) -> Live:
        engine = Live(tmp_path / f"work-{len(started)}", **changes)
        started.append(engine)
        return engine

    yield start
    for engine in started:
        engine.close()


# answers

MODES = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
ANSWERS: dict[str, tuple[str, list[Line]]] = {
    "plain": ('[[demo: say="Hello"]]', [("text", "Hello"), FINISHED]),
    "any byte": ('[[demo: say="你好🙂" repeat=5 cut=1]]', [("text", "你好🙂" * 5), FINISHED]),
    "binary": ('[[demo: say="你好🙂" message=mixed cut=3]]', [("text", "你好🙂"), FINISHED]),
    "coalesced": ('[[demo: say="abcdef" split=1 coalesce=4]]', [("text", "abcdef"), FINISHED]),
    "head": ('[[demo: say="a" header=typed separator=lf]]', [("text", "a"), FINISHED]),
    "blanks": ('[[demo: say="abc" split=1 blanks]]', [("text", "abc"), FINISHED]),
    "content": ('[[demo: say="abc" field=content]]', [("text", "abc"), FINISHED]),
    "empty": ('[[demo: say=""]]', [FINISHED]),
    "full only": ('[[demo: say="abc" full=only]]', [("text", "abc"), FINISHED]),
    "full empty": ('[[demo: say="abc" full=empty]]', [("text", "abc"), FINISHED]),
    "full other": ('[[demo: say="abc" full=other]]', [("text", "abc"), FINISHED]),
    "no reply": ('[[demo: say="abc" reply=none]]', [("text", "abc"), FINISHED]),
    "late reply": ('[[demo: say="abc" reply=late]]', [("text", "abc"), FINISHED]),
    "status absent": ('[[demo: say="abc" finish=absent]]', [("text", "abc"), FINISHED]),
    "duplicate": ('[[demo: say="abc" duplicate late=3]]', [("text", "abc"), FINISHED]),
    "noise": ('[[demo: say="abc" noise usage=5 title="t"]]', [("text", "abc"), FINISHED]),
    "strangers": ('[[demo: say="abc" strangers]]', [("text", "abc"), FINISHED]),
    "thoughts pushed": (
        '[[demo: say="abc" think=push thought="hm"]]',
        [("reasoning", "hm"), ("text", "abc"), FINISHED],
    ),
    "thoughts in tags": (
        '[[demo: say="abc" think=tags thought="hm" split=1]]',
        [("reasoning", "\nhm\n"), ("text", "abc"), FINISHED],
    ),
    "thoughts in a block": (
        '[[demo: say="abc" think=block thought="hm" split=1]]',
        [("reasoning", "hm"), ("text", "abc"), FINISHED],
    ),
    "status 0": ('[[demo: say="abc" finish=0]]', [("text", "abc"), ("failed", "engine_failed")]),
    "status 429": (
        "[[demo: chunks=5 finish=429 after=0]]",
        [("failed", "overloaded")],
    ),
    "filter": (
        "[[demo: say=abc end=filter-timeout after=last]]",
        [("text", "abc"), ("failed", "content_filtered")],
    ),
    "error push": (
        '[[demo: say=abc end=error after=last reason="boom"]]',
        [("text", "abc"), ("failed", "engine_failed")],
    ),
    "anonymous error": (
        "[[demo: say=abc end=fatal anonymous after=last]]",
        [("text", "abc"), ("failed", "engine_failed")],
    ),
    "refused by a result": ("[[demo: reply=failure]]", [("failed", "engine_failed")]),
    "refused by the other": ("[[demo: reply=result-failure]]", [("failed", "engine_failed")]),
    "refused by an error": ("[[demo: reply=error]]", [("failed", "engine_failed")]),
    "unknown method": ("[[demo: reply=unknown]]", [("failed", "engine_unsupported")]),
}


@MODES
@pytest.mark.parametrize(("prompt", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers(live: Live, prompt: str, expected: list[Line], stream: bool) -> None:
    """However the binary says it, the client sees the same."""
    assert expected == live.ask(prompt, stream=stream)


@MODES
def test_a_huge_answer(live: Live, stream: bool) -> None:
    """Five megabytes in one delta and its repetition in the finish."""
    lines = live.ask("[[demo: size=5m chunks=1]]", stream=stream)

    assert len(texts(lines).encode()) >= 5_000_000
    assert lines[-1] == FINISHED


def test_answers_side_by_side(live: Live) -> None:
    """Many asks share the connection and none gets another one's words."""

    async def main() -> list[str]:
        async def one(place: int) -> str:
            said: list[Any] = []
            prompt = f'[[demo: say="{place:03d}" repeat=20 split=2]]'
            async with live.engine.ask(question(prompt)) as ask:
                while batch := await ask.next_batch():
                    said += batch
            return "".join(getattr(event, "text", "") for event in said)

        return await asyncio.gather(*(one(place) for place in range(30)))

    assert [f"{place:03d}" * 20 for place in range(30)] == live.run(main())


def test_what_is_asked(live: Live) -> None:
    """Prompt, model and mode arrive, and every push was acknowledged."""
    request = replace(question("hi [[demo: quote=payload]]"), mode=AskMode.AGENT)
    events, ask = live.events(request)
    payload = json.loads("".join(getattr(event, "text", "") for event in events))

    assert (
        payload["extra"]["modelConfig"]["key"],
        payload["mode"],
        payload["sessionType"],
    ) == ("org_auto", "agent", "ask")
    assert ask.request_id == payload["requestId"]
    assert live.noted("all-acked", requestId=ask.request_id)


def test_the_models(live: Live) -> None:
    """They are known as soon as the engine is ready, and can be asked for again."""
    models = live.run(live.engine.refresh_models())

    assert "org_auto" in [model.key for model in models]
    assert models == live.engine.models


def test_the_models_as_they_are_and_the_process(live: Live) -> None:
    """The raw answer is there for people who look into things; so is the process."""
    raw = json.loads(live.run(live.engine.raw_models()))
    (listening,) = live.journal("listening")

    assert "chat" in raw
    assert live.engine.pid == listening["pid"]


def test_a_session_does_not_stay_behind(live: Live) -> None:
    """When the answer has ended, its session is removed from the user's history."""
    _, ask = live.events(question("[[demo: say=abc]]"))

    gone = {"sessionId": ask.session_id}
    assert live.noted("received", method="chat/deleteSessionById", params=gone)
    assert live.journal("received", method="chat/stop") == []


# demands of the binary

REFUSAL = "this tool is not offered by the client"


def test_its_requests_are_answered(live: Live) -> None:
    """Configuration and edits get the shapes they wait for."""
    live.ask("[[demo: demand=config,register,log,edit]]")
    answers = {note["method"]: note["answer"] for note in live.noted("demand-answer")}

    assert json.loads(answers["workspace/applyEdit"]) == {"applied": False}
    assert json.loads(answers["workspace/configuration"]) == [None] * 3


@pytest.mark.parametrize("demand", ["tool", "tool-async"])
def test_tools_are_refused(live: Live, demand: str) -> None:
    """Nothing is claimed to have run, the answer goes on, and a note tells of it."""
    events, ask = live.events(question(f"[[demo: say=abc demand={demand}]]"))

    assert events
    assert codes(ask.notes) == ("tool_refused",)
    answers = [note["answer"] for note in live.noted("demand-answer", method="tool/invoke")]
    if demand == "tool":
        assert REFUSAL in answers[-1]
    else:
        results = live.noted("received", method="tool/invokeResult")
        assert (
            results[-1]["params"]["success"],
            results[-1]["params"]["errorMessage"],
        ) == (False, REFUSAL)


def test_a_pending_tool_is_disapproved(live: Live) -> None:
    """The approval is denied under the ids of the call."""
    _, ask = live.events(question("[[demo: say=abc demand=sync]]"))
    denied = live.noted("received", method="tool/call/approve")[-1]["params"]

    assert (False, ask.request_id) == (denied["approval"], denied["requestId"])
    assert denied["toolCallId"]


# stopping


def test_leaving_early_stops_the_answer(live: Live) -> None:
    """The binary is told to stop, and the session is removed afterwards."""

    async def main() -> str:
        async with live.engine.ask(question("[[demo: chunks=1000 delay=0.05]]")) as ask:
            await ask.next_batch()
            return ask.request_id

    request_id = live.run(main())

    ends = live.noted("ask-end", requestId=request_id)
    assert [note["ending"] for note in ends] == ["cancelled"]
    stops = live.noted("received", method="chat/stop")
    assert request_id in [note["params"]["requestId"] for note in stops]


def test_aborting_ends_the_events(live: Live) -> None:
    """The reason is the last event, and the binary is told to stop."""
    error = LingmaError(ErrorKind.SHUTTING_DOWN, "bye")

    async def main() -> tuple[list[Any], str, str]:
        async with live.engine.ask(question("[[demo: first=60]]")) as ask:
            ask.abort(error)
            events = list(await ask.next_batch())
            assert list(await ask.next_batch()) == []
            return events, ask.request_id, ask.session_id

    events, request_id, session_id = live.run(main())

    assert [error] == [event.error for event in events]
    assert live.noted("ask-end", requestId=request_id)
    # A call that is answered after all that was sent before shows that no second delete follows.
    live.run(live.engine.refresh_models())
    deleted = live.noted("received", method="chat/deleteSessionById")
    assert [note["params"]["sessionId"] for note in deleted].count(session_id) == 1


def test_silence_before_the_first_event(begin: Callable[..., Live]) -> None:
    """The answer fails in time and is stopped upstream; the engine lives on."""
    engine = begin(first_event_timeout=0.2)

    assert engine.ask("[[demo: first=60]]") == [("failed", "engine_timeout")]
    assert engine.noted("received", method="chat/stop")
    assert engine.ask("[[demo: say=a]]") == [("text", "a"), FINISHED]


def test_silence_after_text(begin: Callable[..., Live]) -> None:
    """What came stays, then the failure."""
    engine = begin(idle_timeout=0.2)

    lines = engine.ask("[[demo: say=abc end=silence]]")

    assert lines == [("text", "abc"), ("failed", "engine_timeout")]


# a connection that breaks

BREAKS = [
    *(f"garbage={kind}" for kind in ("bytes", "nolength", "huge", "negative", "json", "utf8")),
    *(f"garbage={kind}" for kind in ("array", "deep", "params", "text", "websocket")),
    "drop",
    "close",
]


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_connection_is_made_again(live: Live, fault: str) -> None:
    """The answer fails, its text stays, and after a moment the next ask works."""
    before = len(live.changes)

    lines = live.ask(f"[[demo: chunks=4 {fault} after=2]]")
    live.until(lambda: len(live.changes) >= before + 2)

    assert lines[-1] == ("failed", "engine_failed")
    assert live.changes[-1] is None
    assert live.ask("[[demo: say=a]]") == [("text", "a"), FINISHED]


# the end of the process


@pytest.mark.parametrize("after", ["0", "2"])
def test_a_crash(begin: Callable[..., Live], after: str) -> None:
    """The answer fails and so does the engine, with the exit status."""
    engine = begin()

    lines = engine.ask(f"[[demo: chunks=4 crash=9 after={after}]]")

    assert lines[-1] == ("failed", "engine_failed")
    assert "exited with status 9" in engine.death().message


def test_a_hang_ends_in_a_replacement(begin: Callable[..., Live]) -> None:
    """A process that says nothing any more is given up, and ended."""
    engine = begin(first_event_timeout=0.2)
    (listening,) = engine.noted("listening")

    assert engine.ask("[[demo: hang]]") == [("failed", "engine_timeout")]
    assert ErrorKind.ENGINE_TIMEOUT is engine.death().kind
    assert not psutil.pid_exists(listening["pid"])


def test_ending_the_engine_ends_the_process(begin: Callable[..., Live]) -> None:
    """A cancelled run leaves nobody behind, also a wrapped and stubborn one."""
    engine = begin(start="stubborn wrapper")
    (listening,) = engine.noted("listening")

    engine.end()

    assert not psutil.pid_exists(listening["pid"])


# starts

STARTS: dict[str, dict[str, str]] = {
    "information as text": {"start": "info=text"},
    "stale information": {"start": "info=stale info_delay=0.2"},
    "broken JSON beside good text": {"start": "info=garbage"},
    "another port": {"start": "port=other"},
    "a wrapper": {"start": "wrapper"},
    "a flood of output": {"start": "flood=2m"},
    "bare flags": {"sides": "command=bare"},
    "the path of Qoder CN": {"sides": "path=ws origin=refuse"},
    "notifications": {"sides": "pushes=notifications"},
    "strict acknowledgements": {"sides": "acks=strict ack_wait=2"},
    "no initialized": {"sides": "initialized=unknown initialize=lsp task=upper"},
    "an undecided login": {"login": "status=0"},
    "frames of one byte": {"wire": "cut=1 message=mixed"},
}


@pytest.mark.parametrize("switches", STARTS.values(), ids=STARTS.keys())
def test_starts(begin: Callable[..., Live], switches: dict[str, str]) -> None:
    """Whichever side of a conflict the binary is on, it gets ready and answers."""
    engine = begin(**switches)

    assert engine.ask('[[demo: say="好"]]') == [("text", "好"), FINISHED]
    assert engine.changes == [None]


NO_STARTS: dict[str, tuple[dict[str, Any], str]] = {
    "it exits": ({"start": "exit=3"}, "exited with status 3"),
    "no information": ({"start": "info=none", "startup_timeout": 1.0}, "wrote no info file"),
    "a foreign pid": ({"start": "info=wrong-pid", "startup_timeout": 1.0}, "which is not ours"),
    "a dead pid": ({"start": "info=dead-pid", "startup_timeout": 1.0}, "which is not ours"),
    "a late initialize": (
        {"start": "initialize_delay=30", "startup_timeout": 1.0},
        "did not answer `initialize`",
    ),
}


@pytest.mark.parametrize(("changes", "words"), NO_STARTS.values(), ids=NO_STARTS.keys())
def test_failed_starts(begin: Callable[..., Live], changes: dict[str, Any], words: str) -> None:
    """The engine dies in time and says why, without ever having been ready."""
    started = time.monotonic()
    engine = begin(ready=False, **changes)

    error = engine.death()

    assert words in error.message
    assert None not in engine.changes
    assert time.monotonic() - started < 10


def test_a_foreign_listener_is_never_talked_to(begin: Callable[..., Live]) -> None:
    """A port that is not our child's gets no connection."""
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        foreign.setblocking(False)
        port = foreign.getsockname()[1]
        engine = begin(ready=False, start=f"info_port={port}", startup_timeout=1.0)
        error = engine.death()
        with pytest.raises(BlockingIOError):
            foreign.accept()

    assert "is not its own" in error.message


def test_without_a_login(begin: Callable[..., Live]) -> None:
    """The engine is ready, asks are refused with the reason, and a login is seen when it comes."""
    engine = begin(login="state=file")

    with pytest.raises(LingmaError) as caught:
        engine.ask("hi")

    assert ErrorKind.LOGIN_REQUIRED is caught.value.kind
    assert caught.value.hint


def test_an_engine_that_does_not_run(tmp_path: Path) -> None:
    """Asking and listing are refused."""
    engine = LingmaEngine("demo-0", options(tmp_path), lambda: "id")

    async def main() -> list[ErrorKind]:
        kinds = []
        for attempt in (engine.refresh_models(), engine.ask(question("hi")).__aenter__()):
            with pytest.raises(LingmaError) as caught:
                await attempt
            kinds.append(caught.value.kind)
        return kinds

    assert asyncio.run(main()) == [ErrorKind.ENGINE_UNAVAILABLE] * 2
