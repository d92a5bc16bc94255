"""Sessions over the running program: their routes, and chats that name one."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_client_facts import CHAT, RESPONSES, text_in
from tests.e2e.test_session_reuse import Seen
from tests.support.demo_words import NATIVE, calls, say
from tests.support.frames import frames_of
from tests.support.serving import WAIT_SECONDS, Serving, serving

QUOTE = "[[demo: quote=session]]"
ANN, BOB = "key-of-ann-0123456789", "key-of-bob-9876543210"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def call(server: Serving, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
    """Ask for `path`."""
    return httpx.request(
        method, server.url + path, json=body, trust_env=False, timeout=WAIT_SECONDS, **more
    )


def begin(server: Serving, **body: Any) -> str:
    """Begin a session and return its id."""
    made = server.post(body, "/sessions")
    assert made.status_code == 200, made.text
    found: str = made.json()["id"]
    return found


def messages(server: Serving, session_id: str) -> list[dict[str, Any]]:
    """Return what a session shows."""
    found: list[dict[str, Any]] = server.get(f"/sessions/{session_id}").json()["messages"]
    return found


def roles(server: Serving, session_id: str) -> list[str]:
    """Return who spoke in a session."""
    return [message["role"] for message in messages(server, session_id)]


def chat(server: Serving, session_id: str, text: str, *, stream: bool = False, **more: Any) -> str:
    """Say something in a session and return the answer."""
    body = {"model": "org_auto", "messages": [{"role": "user", "content": text}]}
    answer = server.post(body | {"session_id": session_id, "stream": stream} | more)
    if not stream:
        return text_in(CHAT, answer)
    frames = [frame.data for frame in frames_of(answer) if isinstance(frame.data, dict)]
    return "".join(frame["choices"][0]["delta"].get("content") or "" for frame in frames)


def is_recent(moment: str) -> bool:
    """Tell whether an ISO time is of the last minute."""
    return timedelta(0) <= datetime.now(UTC) - datetime.fromisoformat(moment) < timedelta(minutes=1)


def test_the_life_of_a_session(demo: Serving) -> None:
    """Made, listed, talked in, renamed, cleared and deleted."""
    made = demo.post({"title": "about\ttea"}, "/sessions").json()
    one = f"/sessions/{made['id']}"
    assert made["messages"] == []
    assert made["metadata"] == {"title": "about\ttea"}
    assert is_recent(made["created_at"])
    assert demo.get(one).json() == made

    assert chat(demo, made["id"], say("green")) == "green"
    question, answer = demo.get(one).json()["messages"]
    assert (question["role"], question["content"]) == ("user", say("green"))
    assert (answer["role"], answer["content"]) == ("assistant", "green")
    assert is_recent(question["timestamp"])
    assert is_recent(answer["timestamp"])
    (row,) = [row for row in demo.get("/sessions").json()["sessions"] if row["id"] == made["id"]]
    assert (row["title"], row["message_count"]) == ("about\ttea", 2)
    assert row["created_at"] == made["created_at"]
    assert made["last_active"] < row["last_active"]

    renamed = call(demo, "PATCH", f"{one}/title", {"title": "  " + "long " * 20})
    title = ("long " * 12).strip()
    assert renamed.json() == {"status": "updated", "session_id": made["id"], "title": title}
    assert demo.get(one).json()["metadata"] == {"title": title}
    assert demo.post(None, f"{one}/clear").json() == {"status": "cleared", "session_id": made["id"]}
    assert demo.get(one).json()["messages"] == []
    assert call(demo, "DELETE", one).json() == {"status": "deleted", "session_id": made["id"]}
    assert demo.get(one).status_code == 404


@pytest.mark.parametrize(
    ("title", "shown"),
    [(None, "New Chat"), ("", "New Chat"), (" \n", "New Chat"), ("é" * 70, "é" * 60)],
)
def test_titles(demo: Serving, title: str | None, shown: str) -> None:
    """Each session has one, of sixty characters at most."""
    assert demo.post({"title": title}, "/sessions").json()["metadata"]["title"] == shown
    assert demo.post(None, "/sessions").json()["metadata"]["title"] == "New Chat"


def test_what_is_refused(demo: Serving) -> None:
    """In OpenAI's words: what does not exist, and what makes no sense."""
    made = begin(demo)
    known = f"/sessions/{made}"
    unknown: list[tuple[str, str, Any]] = [
        ("GET", "/sessions/nope", None),
        ("GET", "/sessions/cleanup", None),
        ("DELETE", "/sessions/nope", None),
        ("POST", "/sessions/nope/clear", None),
        ("PATCH", "/sessions/nope/title", {"title": "x"}),
        ("POST", CHAT, {"messages": [{"role": "user", "content": "x"}], "session_id": "nope"}),
    ]
    odd: list[tuple[str, str, Any]] = [
        ("POST", "/sessions", {"title": 5}),
        ("POST", "/sessions", ["x"]),
        ("PATCH", f"{known}/title", {}),
        ("PATCH", f"{known}/title", {"title": " "}),
        ("POST", "/sessions/cleanup?max_age_minutes=-1", None),
        ("POST", "/sessions/cleanup?max_age_minutes=x", None),
        ("POST", CHAT, {"messages": [], "session_id": made}),
    ]
    for status, requests in ((404, unknown), (400, odd)):
        for method, path, body in requests:
            answer = call(demo, method, path, body)
            assert answer.status_code == status, (method, path, answer.text)
            assert answer.json()["error"]["type"] == "invalid_request_error"
    assert call(demo, "PUT", known, {}).status_code == 405


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_session_knows_what_was_said(tmp_path: Path, stream: bool) -> None:
    """The client sends its last words only, and the third turn has the two before it."""
    with serving(tmp_path, "--demo") as server:
        made, seen = begin(server), Seen(server)
        first = "my name is Ann " + say("hello Ann")
        assert chat(server, made, first, stream=stream) == "hello Ann"
        assert chat(server, made, say("again"), stream=stream) == "again"
        quoted = json.loads(chat(server, made, QUOTE, stream=stream))

        assert [turn["question"] for turn in quoted] == [first, say("again"), QUOTE]
        assert [turn.get("answer") for turn in quoted[:2]] == ["hello Ann", "again"]
        # One session upstream, in which each turn goes on.
        assert [is_reply for is_reply, _ in seen.asks] == [False, True, True]
        assert len(set(seen.sessions)) == 1
        assert roles(server, made) == ["user", "assistant"] * 3


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_session_outlives_the_server(tmp_path: Path, stream: bool) -> None:
    """After a restart it goes on where it was, title and all."""
    with serving(tmp_path, "--demo") as server:
        made = begin(server, title="tea")
        chat(server, made, "my name is Ann " + say("hello Ann"), stream=stream)
        before = server.get(f"/sessions/{made}").json()
    with serving(tmp_path, "--demo") as server:
        assert server.get(f"/sessions/{made}").json() == before
        told = chat(server, made, "[[demo: quote=prompt]]", stream=stream)
        assert 0 < told.index("my name is Ann") < told.index("quote=prompt")
        assert server.get("/sessions").json()["stats"] == {"total_sessions": 1, "total_messages": 4}


def test_a_session_is_its_callers(tmp_path: Path) -> None:
    """For another key it does not exist, and a cleanup of theirs leaves it alone."""
    with serving(tmp_path, "--demo", environ={"LINGMA_API_KEYS": f"{ANN},{BOB}"}) as server:

        def ask(key: str, method: str, path: str, body: Any = None) -> httpx.Response:
            return call(server, method, path, body, headers={"authorization": f"Bearer {key}"})

        made = ask(ANN, "POST", "/sessions", {"title": "mine"}).json()["id"]
        question = {"messages": [{"role": "user", "content": "x"}], "session_id": made}
        assert ask(ANN, "POST", CHAT, question).status_code == 200
        mine = ask(ANN, "GET", f"/sessions/{made}").json()
        requests: list[tuple[str, str, Any]] = [
            ("GET", f"/sessions/{made}", None),
            ("POST", f"/sessions/{made}/clear", None),
            ("PATCH", f"/sessions/{made}/title", {"title": "theirs"}),
            ("DELETE", f"/sessions/{made}", None),
            ("POST", CHAT, question),
        ]
        for method, path, body in requests:
            assert ask(BOB, method, path, body).status_code == 404, (method, path)
            assert call(server, method, path, body).status_code == 401, (method, path)
        empty = {"sessions": [], "stats": {"total_sessions": 0, "total_messages": 0}}
        assert ask(BOB, "GET", "/sessions").json() == empty
        cleaned = ask(BOB, "POST", "/sessions/cleanup?max_age_minutes=0").json()
        assert cleaned == {"status": "cleaned", "removed_sessions": 0}
        assert ask(ANN, "GET", f"/sessions/{made}").json() == mine


def test_a_cleanup_removes_what_is_idle(tmp_path: Path) -> None:
    """Half an hour unless something else is said."""
    with serving(tmp_path, "--demo") as server:
        made = [begin(server) for _ in range(3)]
        kept = server.post(None, "/sessions/cleanup").json()
        assert kept == {"status": "cleaned", "removed_sessions": 0}
        # The one used last comes first.
        chat(server, made[0], "hi")
        listed = server.get("/sessions").json()["sessions"]
        assert [row["id"] for row in listed] == [made[0], made[2], made[1]]
        gone = server.post(None, "/sessions/cleanup?max_age_minutes=0").json()
        assert gone["removed_sessions"] == 3
        assert server.get("/sessions").json()["sessions"] == []


@pytest.mark.parametrize("environ", [{}, NATIVE], ids=["text", "native"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_calls_go_on_in_a_session(tmp_path: Path, environ: dict[str, str], stream: bool) -> None:
    """The client sends the results alone, and they belong to the calls that are stored."""
    with serving(tmp_path, "--demo", environ=environ) as server:
        made = begin(server)
        question = "where? " + calls([("weather", {"city": "Ulm"}), ("weather", {"city": "Bonn"})])
        chat(server, made, question, stream=stream, tools=[WEATHER])
        asked = [one for one in messages(server, made) if one["metadata"].get("name")]
        given = [json.loads(one["metadata"]["arguments"]) for one in asked]
        assert given == [{"city": "Ulm"}, {"city": "Bonn"}]
        ids = [one["metadata"]["call_id"] for one in asked]
        results = [
            {"role": "tool", "tool_call_id": id_, "content": f"rain {number}"}
            for number, id_ in enumerate(ids)
        ]
        told = chat(server, made, "", messages=results, stream=stream, tools=[WEATHER])
        assert "rain 0" in told
        assert "rain 1" in told
        shown = messages(server, made)
        outputs = [one for one in shown if one["role"] == "tool"]
        assert [one["metadata"]["call_id"] for one in outputs] == ids
        assert [one["content"] for one in outputs] == ["rain 0", "rain 1"]
        assert (shown[-1]["role"], shown[-1]["content"]) == ("assistant", told)


def test_a_session_is_a_conversation(tmp_path: Path) -> None:
    """Responses go on in it, and it lists what they have added; it is one and the same."""
    with serving(tmp_path, "--demo") as server:
        made = begin(server, title="tea")
        chat(server, made, "by chat " + say("one"))
        body = {"model": "org_auto", "input": "by responses " + say("two"), "conversation": made}
        assert text_in(RESPONSES, server.post(body, RESPONSES)) == "two"
        quoted = json.loads(chat(server, made, QUOTE))

        assert [turn["answer"] for turn in quoted[:2]] == ["one", "two"]
        items = server.get(f"/v1/conversations/{made}/items?order=asc&limit=100").json()["data"]
        shown = messages(server, made)
        assert [item["id"] for item in items] == [one["metadata"]["id"] for one in shown]
        assert roles(server, made) == ["user", "assistant"] * 3
        other = server.post({"metadata": {"topic": "x"}}, "/v1/conversations").json()["id"]
        whole = server.get(f"/sessions/{other}").json()
        assert whole["metadata"] == {"topic": "x", "title": "New Chat"}
        call(server, "PATCH", f"/sessions/{other}/title", {"title": "t"})
        kept = server.get(f"/v1/conversations/{other}").json()["metadata"]
        assert kept == {"topic": "x", "title": "t"}


def test_a_strange_conversation_can_be_shown(demo: Serving) -> None:
    """Whatever clients have put there: items without a meaning here, titles and times of theirs."""
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "x", "created_at": 10**30},
        {"role": "user", "content": [{"type": "input_image", "image_url": "https://a/b.png"}]},
        {"type": "mystery", "value": 1, "created_at": "now"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
    ]
    metadata = {"title": ["no", "text"]}
    made = demo.post({"items": items, "metadata": metadata}, "/v1/conversations").json()["id"]
    whole = demo.get(f"/sessions/{made}").json()

    assert whole["metadata"]["title"] == "New Chat"
    assert [one["content"] for one in whole["messages"]] == ["x", "[image]", "", "hm"]
    assert [one["timestamp"] for one in whole["messages"]] == [None] * 4
    assert call(demo, "DELETE", f"/sessions/{made}").status_code == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_failed_answer_leaves_nothing(demo: Serving, stream: bool) -> None:
    """The question was not answered, so it is not part of the session."""
    made = begin(demo)
    body = {"model": "org_auto", "session_id": made, "stream": stream}
    question = {"role": "user", "content": "[[demo: finish=500 after=3]]"}
    answer = demo.post(body | {"messages": [question]})

    assert "error" in answer.text
    assert messages(demo, made) == []
    assert chat(demo, made, say("fine")) == "fine"
    assert roles(demo, made) == ["user", "assistant"]


def test_without_a_store(tmp_path: Path) -> None:
    """There are no sessions, and who wants one is told why."""
    with serving(tmp_path, "--demo", "--response-store", "none") as server:
        assert server.get("/sessions").json()["sessions"] == []
        assert server.get("/sessions/nope").status_code == 404
        assert server.post(None, "/sessions/cleanup").json()["removed_sessions"] == 0
        question = {"messages": [{"role": "user", "content": "x"}], "session_id": "conv_1"}
        for path, body in (("/sessions", {}), (CHAT, question)):
            refused = server.post(body, path)
            assert refused.status_code == 400
            assert "--response-store" in refused.json()["error"]["message"]


def test_sessions_in_memory(tmp_path: Path) -> None:
    """They work until the server ends, and leave no file."""
    with serving(tmp_path, "--demo", "--response-store", "memory") as server:
        made = begin(server)
        chat(server, made, "hi")
        assert "hi" in chat(server, made, QUOTE)
        assert roles(server, made) == ["user", "assistant"] * 2
    assert list((tmp_path / "state").glob("responses.db*")) == []
