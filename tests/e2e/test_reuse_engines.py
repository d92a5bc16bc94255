"""Long conversations over two engines: each stays where its session is, and it is told why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.test_client_facts import CHAT, RESPONSES
from tests.e2e.test_session_reuse import PROTOCOLS, TURNS, Seen, Talk
from tests.support.cli import run_lingma
from tests.support.serving import Serving, serving, wait_until

ENGINES = {"demo-0": "demo", "demo-1": "demo.1"}


@contextmanager
def _two(home: Path, **environ: str) -> Iterator[Serving]:
    """Serve two engines, both ready."""
    named = {f"LINGMA_{name}": value for name, value in environ.items()}
    with serving(home, "--demo", "--engines", "2", environ=named) as server:
        _wait_for_both(server)
        yield server


def _wait_for_both(server: Serving) -> None:
    wait_until(lambda: server.get("/healthz").json()["pool_ready"] == 2, what="both engines")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Two engines for the tests that leave them as they found them."""
    with _two(tmp_path_factory.mktemp("two")) as server:
        yield server


def _notes(server: Serving, engine: str, event: str) -> list[dict[str, Any]]:
    """Return what one engine has written down about one kind of event."""
    journal = server.home / "data" / ENGINES[engine] / "logs" / "demo.jsonl"
    notes = [json.loads(line) for line in journal.read_text().splitlines()]
    return [note for note in notes if note["event"] == event]


def _called(server: Serving, engine: str, method: str) -> list[dict[str, Any]]:
    """Return what one engine was called with."""
    notes = _notes(server, engine, "received")
    return [{**note["params"], "time": note["time"]} for note in notes if note["method"] == method]


class SeenByBoth(Seen):
    """What has reached either engine since this was made."""

    def _all_asks(self) -> list[dict[str, Any]]:
        asks = [ask for engine in ENGINES for ask in _called(self._server, engine, "chat/ask")]
        return sorted(asks, key=lambda ask: float(ask["time"]))


def _last(server: Serving) -> dict[str, Any]:
    """Return what is told of the latest turn."""
    turn: dict[str, Any] = server.get("/internal/stats").json()["session_cache"]["last_turns"][-1]
    return turn


def _begun(server: Serving, path: str, each: int = 1) -> dict[str, list[Talk]]:
    """Begin conversations until each engine has so many, whole and streamed ones in turn."""
    begun: dict[str, list[Talk]] = {engine: [] for engine in ENGINES}
    for number in range(40):
        if all(len(talks) == each for talks in begun.values()):
            return begun
        talk = Talk(server, path, stream=number % 2 == 1)
        talk.ask(f"the beginning of talk {number} over {path}")
        if len(talks := begun[_last(server)["engine"]]) < each:
            talks.append(talk)
    raise AssertionError("one engine gets all conversations")


@pytest.mark.parametrize("path", PROTOCOLS)
def test_twenty_turns_of_several_conversations(two: Serving, path: str) -> None:
    """Each goes on in its session from the second turn on, wherever the others are."""
    talks = [(engine, talk) for engine, both in _begun(two, path, 2).items() for talk in both]
    seen, told = SeenByBoth(two), []
    for turn in range(1, TURNS):
        for engine, talk in talks:
            talk.ask(f"turn {turn}")
            told.append((_last(two)["engine"] == engine, _last(two)["reason"]))

    assert told == [(True, "continued")] * (TURNS - 1) * len(talks)
    # Only what is new was sent.
    assert seen.asks == [(True, f"turn {turn}") for turn in range(1, TURNS) for _ in talks]
    assert len(set(seen.sessions)) == len(talks)


def test_twenty_turns_by_id(two: Serving) -> None:
    """A client that sends only its turn and the id of the answer before."""
    seen, previous = SeenByBoth(two), None
    for number in range(TURNS):
        body = {"model": "org_auto", "input": f"stored {number}", "previous_response_id": previous}
        previous = two.post(body, RESPONSES).json()["id"]

    assert seen.asks == [(number > 0, f"stored {number}") for number in range(TURNS)]
    assert len(set(seen.sessions)) == 1
    assert (_last(two)["reused"], _last(two)["reason"]) == (True, "continued")


@pytest.mark.parametrize("path", PROTOCOLS)
def test_a_client_that_edits_its_third_turn(two: Serving, path: str) -> None:
    """The answer comes from a fresh session that has heard the edited turn only."""
    talk = Talk(two, path)
    for number in range(5):
        talk.ask(f"[[demo: echo]] word {number} over {path}")
    before = _last(two)["engine"]
    users = [index for index, turn in enumerate(talk.turns) if turn.get("role") == "user"]
    talk.turns[users[2]] = {"role": "user", "content": "[[demo: echo]] edited"}
    seen = SeenByBoth(two)
    (heard,) = json.loads(talk.ask("[[demo: quote=session]]"))

    ((is_reply, prompt),) = seen.asks
    assert not is_reply
    assert heard["question"] == prompt
    assert "edited" in prompt
    assert f"word 1 over {path}" in prompt
    assert f"[[demo: echo]] word 2 over {path}" not in prompt
    told = _last(two)
    assert (told["reused"], told["reason"]) == (False, "differs")
    assert (told["message"], told["role"], told["engine"]) == (4, "user", before)
    assert talk.ask("go on")
    assert _last(two)["reused"]


def _pid(server: Serving, engine: str) -> int:
    return int(_notes(server, engine, "listening")[-1]["pid"])


def test_an_engine_that_was_killed(tmp_path: Path) -> None:
    """Its conversations go on with all that was said, those of the other one as if nothing was."""
    with _two(tmp_path) as server:
        talks = {engine: talk for engine, (talk,) in _begun(server, CHAT).items()}
        psutil.Process(_pid(server, "demo-0")).kill()
        wait_until(lambda: len(_notes(server, "demo-0", "listening")) == 2, what="a new start")
        _wait_for_both(server)
        seen = SeenByBoth(server)

        talks["demo-0"].ask("and then?")
        assert (_last(server)["reused"], _last(server)["reason"]) == (False, "engine_changed")
        talks["demo-0"].ask("and then?")
        assert _last(server)["reused"]
        talks["demo-1"].ask("and then?")
        assert _last(server)["reused"]
        assert [is_reply for is_reply, _ in seen.asks] == [False, True, True]
        assert "the beginning of" in seen.asks[0][1]


def test_an_engine_that_is_restarted_by_hand(tmp_path: Path) -> None:
    """A pin belongs to one life of one engine."""
    with _two(tmp_path) as server:
        talk = Talk(server, CHAT)
        talk.ask("one")
        engine = _last(server)["engine"]
        server.post({}, f"/v1/management/engines/{engine}/restart")
        wait_until(lambda: len(_notes(server, engine, "listening")) == 2, what="a new start")
        _wait_for_both(server)
        talk.ask("two")

        assert _last(server)["reason"] == "engine_changed"


def test_two_keys_never_share(tmp_path: Path) -> None:
    """The same words in the same protocol by somebody else are another conversation."""
    keys = [f"a-key-of-somebody-{number}" for number in range(2)]
    with _two(tmp_path, API_KEYS=",".join(keys), ADMIN_TOKEN="an-admin-token-of-a-test") as server:
        for path in PROTOCOLS:
            mine, theirs = (Talk(server, path, key=key) for key in keys)
            mine.ask(f"hello over {path}")
            theirs.turns += mine.turns
            seen = SeenByBoth(server)
            theirs.ask("go on")
            mine.ask("go on")

            assert [is_reply for is_reply, _ in seen.asks] == [False, True]
            assert len(set(seen.sessions)) == 2


def test_status_says_why(tmp_path: Path) -> None:
    """How many turns for which reason, and of the latest ones the message that differs."""
    with _two(tmp_path) as server:
        talk = Talk(server, CHAT)
        for number in range(3):
            talk.ask(f"turn {number}")
        talk.turns[2] = {"role": "user", "content": "rewritten"}
        talk.ask("turn 3")
        shown = run_lingma("status", home=tmp_path).out.splitlines()
        report = json.loads(run_lingma("status", "--json", home=tmp_path).out)

    table = shown[shown.index("") + 1 :]
    assert "turns     2 continued, 1 differs, 1 first turn" in table
    reasons = [line.rpartition("  ")[2] for line in table[-4:]]
    assert reasons == [
        "new session: the first turn",
        *["reused: the conversation is known"] * 2,
        "new session: the first message unlike what is known: messages[2] (user)",
    ]
    assert report["session_cache"]["reasons"] == {"first_turn": 1, "continued": 2, "differs": 1}
    turns = report["session_cache"]["last_turns"]
    assert [turn["reason"] for turn in turns] == ["first_turn", *["continued"] * 2, "differs"]
    assert (turns[-1]["message"], turns[-1]["role"], turns[-1]["model"]) == (2, "user", "org_auto")


def test_idle_sessions_are_deleted_where_they_are(tmp_path: Path) -> None:
    """When their time is up, each by the engine that keeps it, and nothing is kept then."""
    with _two(tmp_path, SESSION_CACHE_TTL_SEC="1") as server:
        for number in range(6):
            server.ask(f"conversation {number}")
        asked = {
            engine: {ask["sessionId"] for ask in _called(server, engine, "chat/ask")}
            for engine in ENGINES
        }
        assert all(asked.values())

        def deleted() -> dict[str, set[str]]:
            method = "chat/deleteSessionById"
            return {
                engine: {call["sessionId"] for call in _called(server, engine, method)}
                for engine in ENGINES
            }

        wait_until(lambda: deleted() == asked, within=8, what="deletions")
        assert server.get("/internal/stats").json()["session_cache"]["entries"] == 0
