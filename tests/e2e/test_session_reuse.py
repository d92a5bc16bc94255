"""Conversations whose turns go on in one session upstream, over the running program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_client_facts import CHAT, MESSAGES, RESPONSES, body_for, text_in
from tests.support.demo_words import entries
from tests.support.frames import frames_of
from tests.support.serving import WAIT_SECONDS, Serving, serving, wait_until

PROTOCOLS = [CHAT, RESPONSES, MESSAGES]
TURNS = 20


class Talk:
    """A conversation in one of the protocols; the client sends all of it each time."""

    def __init__(
        self, server: Serving, path: str, *, key: str = "any", stream: bool = False, **more: Any
    ) -> None:
        self.server, self.path, self.key = server, path, key
        self._body = body_for(path, "", stream=stream, **more)
        self._field = "input" if path == RESPONSES else "messages"
        self.turns: list[dict[str, Any]] = []

    def ask(self, text: str) -> str:
        """Say something and return the answer, which is part of the conversation from then on."""
        self.turns.append({"role": "user", "content": text})
        answer = httpx.post(
            self.server.url + self.path,
            json=self._body | {self._field: self.turns},
            headers={"x-api-key": self.key},
            trust_env=False,
            timeout=WAIT_SECONDS,
        )
        if self._body["stream"]:
            words = _streamed(self.path, answer)
            self.turns.append({"role": "assistant", "content": words})
        else:
            words = text_in(self.path, answer)
            self.turns += _said(self.path, answer.json())
        return words


def _said(path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the turn as the protocol's clients keep it."""
    if path == CHAT:
        return [body["choices"][0]["message"]]
    if path == RESPONSES:
        output: list[dict[str, Any]] = body["output"]
        return output
    return [{"role": "assistant", "content": body["content"]}]


def _streamed(path: str, answer: httpx.Response) -> str:
    """Return the text of a stream."""
    assert answer.status_code == 200, answer.text
    frames = [frame.data for frame in frames_of(answer) if isinstance(frame.data, dict)]
    if path == CHAT:
        choices = [choice for frame in frames for choice in frame["choices"]]
        return "".join(choice["delta"].get("content") or "" for choice in choices)
    if path == RESPONSES:
        wanted = [one for one in frames if one["type"] == "response.output_text.delta"]
        return "".join(frame["delta"] for frame in wanted)
    deltas = [frame["delta"] for frame in frames if frame["type"] == "content_block_delta"]
    return "".join(delta.get("text", "") for delta in deltas)


class Seen:
    """What has reached the simulator since this was made, and what the log said of it."""

    def __init__(self, server: Serving) -> None:
        self._server = server
        self._asks, self._records = len(self._all_asks()), len(self._all_records())

    def _all_asks(self) -> list[dict[str, Any]]:
        notes = entries(self._server, "received")
        return [note["params"] for note in notes if note["method"] == "chat/ask"]

    def _all_records(self) -> list[str]:
        lines = [line for line in self._server.log.splitlines() if '"reuse"' in line]
        return [str(json.loads(line)["reuse"]) for line in lines]

    @property
    def asks(self) -> list[tuple[bool, str]]:
        """Whether each ask was a reply, and its whole prompt."""
        return [(ask["isReply"], ask["questionText"]) for ask in self._all_asks()[self._asks :]]

    @property
    def sessions(self) -> list[str]:
        """The session of each ask."""
        return [ask["sessionId"] for ask in self._all_asks()[self._asks :]]

    def reasons(self, count: int) -> list[str]:
        """Return what so many records say of it."""
        wait_until(lambda: len(self._all_records()) >= self._records + count, within=5)
        return self._all_records()[self._records :]


def deleted(server: Serving) -> list[str]:
    """Return the sessions that were removed upstream."""
    notes = entries(server, "received")
    gone = [note for note in notes if note["method"] == "chat/deleteSessionById"]
    return [note["params"]["sessionId"] for note in gone]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", PROTOCOLS)
def test_twenty_turns_are_one_session(demo: Serving, path: str, stream: bool) -> None:
    """From the second turn on, only what is new is sent, and the session knows the rest."""
    seen, talk = Seen(demo), Talk(demo, path, stream=stream, max_tokens=4096)
    said = [f"turn {number} of {path} {stream}" for number in range(TURNS - 1)]
    answers = [talk.ask(text) for text in said]
    *history, _ = json.loads(talk.ask("[[demo: quote=session]]"))

    expected = [(False, said[0]), *((True, text) for text in said[1:])]
    assert seen.asks == [*expected, (True, "[[demo: quote=session]]")]
    assert len(set(seen.sessions)) == 1
    assert [turn["question"] for turn in history] == said
    assert [turn["answer"] for turn in history] == answers
    assert seen.reasons(TURNS) == [
        "new session: the first turn",
        *["reused: the conversation is known"] * (TURNS - 1),
    ]


@pytest.mark.parametrize("path", PROTOCOLS)
def test_a_client_that_edits_its_third_turn(demo: Serving, path: str) -> None:
    """Everything is sent anew, the answer is right, and the record names the message."""
    talk = Talk(demo, path)
    for number in range(5):
        talk.ask(f"[[demo: echo]] number {number} {path}")
    users = [index for index, turn in enumerate(talk.turns) if turn.get("role") == "user"]
    talk.turns[users[2]] = {"role": "user", "content": "[[demo: echo]] edited"}
    seen = Seen(demo)

    assert talk.ask("[[demo: quote=prompt]]").count("edited") == 1
    ((is_reply, prompt),) = seen.asks
    assert not is_reply
    assert f"number 0 {path}" in prompt
    assert f"[[demo: echo]] number 2 {path}" not in prompt
    (reason,) = seen.reasons(1)
    assert reason.startswith("new session")
    assert reason.endswith("messages[4] (user)")


def test_stored_responses_go_on_in_their_session(demo: Serving) -> None:
    """A client that sends only its turn and an id has its history on both sides."""
    seen, previous = Seen(demo), None
    for number in range(4):
        body = {"model": "org_auto", "input": f"stored {number}", "previous_response_id": previous}
        previous = demo.post(body, RESPONSES).json()["id"]

    assert seen.asks == [(number > 0, f"stored {number}") for number in range(4)]


def test_each_of_several_answers_has_its_session(demo: Serving) -> None:
    """The client goes on with either."""
    question = {"role": "user", "content": "[[demo: chunks=3]] two of them"}
    first = demo.post({"model": "org_auto", "messages": [question], "n": 2}).json()
    seen = Seen(demo)
    turns = [question, first["choices"][1]["message"], {"role": "user", "content": "go on"}]
    again = demo.post({"model": "org_auto", "messages": turns, "n": 2}).json()

    assert len(again["choices"]) == 2
    assert [is_reply for is_reply, _ in seen.asks] == [True, False]


REWRITES: list[Callable[[str], str]] = [str.strip, lambda text: text[:10], lambda text: "else"]


@pytest.mark.parametrize("rewrite", REWRITES, ids=["trimmed", "cut", "other"])
def test_a_rewritten_answer(demo: Serving, rewrite: Callable[[str], str]) -> None:
    """As long as it is the only one that is known."""
    talk = Talk(demo, CHAT)
    talk.ask(f"[[demo: say=' a long answer ']] {rewrite('an x, a y, a z')} {id(rewrite)}")
    talk.turns[-1]["content"] = rewrite(talk.turns[-1]["content"])
    seen = Seen(demo)
    talk.ask("and?")

    assert seen.asks == [(True, "and?")]


CUTS: dict[str, dict[str, Any]] = {"stop": {"stop": ["7"]}, "length": {"max_tokens": 5}}


@pytest.mark.parametrize("more", CUTS.values(), ids=CUTS.keys())
def test_a_cut_answer_is_not_gone_on_with(demo: Serving, more: dict[str, Any]) -> None:
    """The session may know what the client has never seen."""
    talk = Talk(demo, CHAT, **more)
    talk.ask(f"[[demo: chunks=90]] cut {more}")
    seen = Seen(demo)
    talk.ask("and?")

    assert [is_reply for is_reply, _ in seen.asks] == [False]


def test_pictures_and_instructions(demo: Serving) -> None:
    """Media count by their kind, instructions by their words."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/1"}}
    parts: list[dict[str, Any]] = [{"type": "text", "text": "what is this?"}, picture]
    turns: list[dict[str, Any]] = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": parts},
    ]
    answer = demo.post({"model": "org_auto", "messages": turns}).json()
    turns += [answer["choices"][0]["message"], {"role": "user", "content": "sure?"}]
    parts[1] = {"type": "image_url", "image_url": {"url": "https://example.com/2"}}
    seen = Seen(demo)
    demo.post({"model": "org_auto", "messages": turns})

    assert seen.asks == [(True, "sure?")]


def test_a_turn_with_tools_is_asked_as_a_whole(demo: Serving) -> None:
    """Sessions are for plain talk."""
    talk = Talk(demo, CHAT, tools=[{"type": "function", "function": {"name": "add"}}])
    seen = Seen(demo)
    for text in ("with tools", "and again"):
        talk.ask(text)

    assert [is_reply for is_reply, _ in seen.asks] == [False, False]
    assert all("tools" in reason for reason in seen.reasons(2))


# servers of their own


@contextmanager
def _serving(home: Path, **environ: str) -> Iterator[Serving]:
    named = {f"LINGMA_{name}": value for name, value in environ.items()}
    with serving(home, "--demo", environ=named) as server:
        yield server


def test_an_engine_that_is_started_again(tmp_path: Path) -> None:
    """The pin is dropped, everything is sent, and from then on the new session is used."""
    with _serving(tmp_path) as server:
        talk = Talk(server, CHAT)
        talk.ask("one")
        server.ask("[[demo: crash after=0]]")
        wait_until(lambda: server.get("/healthz").json()["pool_ready"] > 0, what="a new engine")
        seen = Seen(server)
        talk.ask("two")
        talk.ask("three")

        (whole, prompt), rest = seen.asks
        assert not whole
        assert "one" in prompt
        assert rest == (True, "three")


def test_two_keys_never_share(tmp_path: Path) -> None:
    """The same words by somebody else are another conversation."""
    keys = [f"a-key-of-somebody-{number}" for number in range(2)]
    with _serving(tmp_path, API_KEYS=",".join(keys)) as server:
        mine, theirs = (Talk(server, CHAT, key=key) for key in keys)
        mine.ask("hello")
        theirs.turns += mine.turns
        seen = Seen(server)
        theirs.ask("go on")
        mine.ask("go on")

        assert [is_reply for is_reply, _ in seen.asks] == [False, True]
        assert len(set(seen.sessions)) == 2


@pytest.mark.parametrize("side", ["other", "refuse"])
def test_a_runtime_that_forgets(tmp_path: Path, side: str) -> None:
    """The client gets its answer from all that was said."""
    with _serving(tmp_path, DEMO_SIDES=f"sessions={side}") as server:
        talk, seen = Talk(server, CHAT), Seen(server)
        talk.ask("one")
        assert "## User\n\none" in talk.ask("[[demo: quote=prompt]]")
        assert [is_reply for is_reply, _ in seen.asks] == [False, True, False]
        assert seen.reasons(2)[1] == "new session: the engine did not go on in the session"


def test_idle_sessions_are_deleted_in_the_end(tmp_path: Path) -> None:
    """By number, by time, and when the server stops; each once."""
    with _serving(tmp_path, SESSION_CACHE_MAX_ENTRIES="2") as server:
        seen = Seen(server)
        for number in range(3):
            server.ask(f"conversation {number}")
        wait_until(lambda: deleted(server), within=5)
        assert deleted(server) == seen.sessions[:1]
        assert server.stop() == 0

        assert sorted(deleted(server)) == sorted(seen.sessions)
