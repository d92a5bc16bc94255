"""What is remembered of responses: over restarts and deaths, by whom, and where."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.demo_words import say
from tests.support.frames import frames, streamed
from tests.support.serving import WAIT_SECONDS, Serving, serving, wait_until

QUOTE = "[[demo: quote=session]]"
ANN, BOB = "key-of-ann-0123456789", "key-of-bob-9876543210"
PATH = "/v1/responses"


def create(server: Serving, text: str, **more: Any) -> dict[str, Any]:
    """Return a response that is not streamed."""
    answer = server.post({"model": "org_auto", "input": text, **more}, PATH)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def text_of(response: dict[str, Any]) -> str:
    """Return the text of a response."""
    return "".join(part["text"] for item in response["output"] for part in item["content"])


def read_to_the_end(server: Serving, body: dict[str, Any]) -> dict[str, Any]:
    """Stream a response and return its object the moment its terminal event is there."""
    with streamed(server, PATH, body | {"stream": True}) as answer:
        for frame in frames(answer.iter_lines()):
            if frame.name == "response.completed":
                found: dict[str, Any] = frame.data["response"]
                return found
    pytest.fail("the stream had no end")


def rows(home: Path) -> dict[str, int]:
    """Return how many rows each table of the store has."""
    with closing(sqlite3.connect(home / "state" / "responses.db")) as database:
        count = "select (select count(*) from lingma_entries), (select count(*) from lingma_items)"
        entries, items = database.execute(count).fetchone()
    return {"entries": entries, "items": items}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_a_conversation_goes_on_after_a_restart(
    tmp_path: Path, stream: bool, number: signal.Signals
) -> None:
    """Whoever has read the end of an answer can go on from it, whatever becomes of the server."""
    body = {"model": "org_auto", "input": "my name is Ann " + say("hello Ann")}
    with serving(tmp_path, "--demo") as server:
        first = read_to_the_end(server, body) if stream else create(server, body["input"])
        kill(server, number)

    with serving(tmp_path, "--demo") as server:
        second = create(server, "and " + say("again"), previous_response_id=first["id"])
        third = create(server, QUOTE, previous_response_id=second["id"])
        found = server.get(f"{PATH}/{first['id']}").json()
        listed = server.get(f"{PATH}/{third['id']}/input_items?order=asc").json()

    assert found == first
    words = ["my name is Ann", "hello Ann", "again", QUOTE]
    places = [text_of(third).rindex(word) for word in words]
    assert places == sorted(places)
    assert [item["role"] for item in listed["data"]] == ["user", "assistant"] * 2 + ["user"]


def kill(server: Serving, number: signal.Signals) -> None:
    """End the server; what it left behind must not be taken for a running one."""
    family = server.children()
    server.stop(number)
    wait_until(lambda: not any(child.is_running() for child in family), what="no orphans")
    (server.home / "run" / "server.json").unlink(missing_ok=True)


def test_a_cancelled_stream_is_remembered_up_to_there(tmp_path: Path) -> None:
    """A client that leaves in mid-stream leaves nothing half-told in the store."""
    with serving(tmp_path, "--demo") as server:
        body = {"model": "org_auto", "input": "[[demo: chunks=900 delay=0.02]]", "stream": True}
        with streamed(server, PATH, body) as answer:
            first = next(frames(answer.iter_lines())).data["response"]
        wait_until(lambda: server.in_flight() == 0, what="released leases")

        assert server.get(f"{PATH}/{first['id']}").status_code == 404


def test_another_key_finds_nothing(tmp_path: Path) -> None:
    """Responses and conversations are their owner's; for anybody else they do not exist."""
    with serving(tmp_path, "--demo", environ={"LINGMA_API_KEYS": f"{ANN},{BOB}"}) as server:

        def ask(key: str, method: str, path: str, **body: Any) -> httpx.Response:
            return httpx.request(
                method,
                server.url + path,
                json=body or None,
                headers={"authorization": f"Bearer {key}"},
                trust_env=False,
                timeout=WAIT_SECONDS,
            )

        model = {"model": "org_auto", "input": QUOTE}
        talk = ask(ANN, "POST", "/v1/conversations", metadata={}).json()["id"]
        first = ask(ANN, "POST", PATH, **model, conversation=talk).json()
        response, conversation = f"{PATH}/{first['id']}", f"/v1/conversations/{talk}"
        item = ask(ANN, "GET", f"{conversation}/items").json()["data"][0]["id"]
        requests: list[tuple[str, str, dict[str, Any]]] = [
            ("GET", response, {}),
            ("GET", f"{response}/input_items", {}),
            ("POST", f"{response}/cancel", {}),
            ("DELETE", response, {}),
            ("POST", PATH, {**model, "previous_response_id": first["id"]}),
            ("POST", PATH, {**model, "conversation": talk}),
            ("GET", conversation, {}),
            ("POST", conversation, {"metadata": {"a": "b"}}),
            ("GET", f"{conversation}/items", {}),
            ("POST", f"{conversation}/items", {"items": [{"role": "user", "content": "x"}]}),
            ("GET", f"{conversation}/items/{item}", {}),
            ("DELETE", f"{conversation}/items/{item}", {}),
            ("DELETE", conversation, {}),
        ]
        for method, path, body in requests:
            assert ask(BOB, method, path, **body).status_code == 404, (method, path)
        # A foreign reference says no more than an unknown one.
        mine = {"type": "item_reference", "id": first["output"][0]["id"]}
        told = ask(
            BOB, "POST", PATH, model="org_auto", input=[mine, {"role": "user", "content": QUOTE}]
        )
        assert "no model was asked" not in told.text

        assert ask(ANN, "GET", response).json() == first
        assert len(ask(ANN, "GET", f"{conversation}/items").json()["data"]) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_store_false_stores_nothing(tmp_path: Path, stream: bool) -> None:
    """The response cannot be found, and the database has not a row or byte of it."""
    secret = "a-word-to-look-for"
    body = {"model": "org_auto", "input": f"{secret} {QUOTE}", "store": False}
    with serving(tmp_path, "--demo") as server:
        made = read_to_the_end(server, body) if stream else server.post(body, PATH).json()

        assert made["store"] is False
        assert secret in text_of(made)
        for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/input_items")]:
            url = f"{server.url}{PATH}/{made['id']}{path}"
            assert httpx.request(method, url, trust_env=False).status_code == 404
        lost = server.post({"input": "x", "previous_response_id": made["id"]}, PATH)
        assert lost.status_code == 404
        assert rows(tmp_path) == {"entries": 0, "items": 0}
        assert all(secret.encode() not in file.read_bytes() for file in stored_files(tmp_path))
        # What is stored does leave a row, so the look above can tell.
        create(server, secret)
        assert rows(tmp_path)["entries"] == 1
        assert any(secret.encode() in file.read_bytes() for file in stored_files(tmp_path))


def stored_files(home: Path) -> list[Path]:
    """Return the files of the database."""
    return list((home / "state").glob("responses.db*"))


def test_store_false_in_a_conversation_adds_to_it_only(tmp_path: Path) -> None:
    """The turn is part of the conversation that was named, the response itself is not kept."""
    with serving(tmp_path, "--demo") as server:
        talk = server.post({}, "/v1/conversations").json()["id"]
        made = create(server, "hello", conversation=talk, store=False)

        assert server.get(f"{PATH}/{made['id']}").status_code == 404
        assert rows(tmp_path) == {"entries": 1, "items": 2}


def test_store_in_memory_ends_with_the_server(tmp_path: Path) -> None:
    """It works until the restart, and no file is made."""
    keeping = ("--demo", "--response-store", "memory")
    with serving(tmp_path, *keeping) as server:
        first = create(server, "hello")
        second = create(server, QUOTE, previous_response_id=first["id"])

        assert "hello" in text_of(second)
        assert server.get(f"{PATH}/{first['id']}").json() == first
    with serving(tmp_path, *keeping) as server:
        assert server.get(f"{PATH}/{first['id']}").status_code == 404
    assert stored_files(tmp_path) == []


@pytest.mark.parametrize("stream", [False, True])
def test_no_store_says_so(tmp_path: Path, stream: bool) -> None:
    """Answers come with a note and `store: false`; the past is refused, never ignored."""
    with serving(tmp_path, "--demo", "--response-store", "none") as server:
        body = {"model": "org_auto", "input": "hello", "stream": stream}
        answer = server.post(body, PATH)
        if stream:
            made = read_to_the_end(server, body)
        else:
            made = answer.json()
            assert server.post(body | {"store": False}, PATH).headers["x-lingma-notes"] == (
                "usage_estimated"
            )

        assert "not_stored" in answer.headers["x-lingma-notes"].split(",")
        assert made["store"] is False
        assert server.get(f"{PATH}/{made['id']}").status_code == 404
        for past in ({"previous_response_id": made["id"]}, {"conversation": "conv_1"}):
            refused = server.post(body | past, PATH)
            assert refused.status_code == 404
            assert refused.json()["error"]["param"] == next(iter(past))
        assert server.post({}, "/v1/conversations").status_code == 404
    assert stored_files(tmp_path) == []


def test_a_response_too_large_to_keep_is_still_answered(tmp_path: Path) -> None:
    """The client gets its answer and a note; what was stored before stays."""
    environ = {"LINGMA_RESPONSE_STORE_BYTES": "20000"}
    with serving(tmp_path, "--demo", environ=environ) as server:
        small = create(server, "hello")
        answer = server.post({"model": "org_auto", "input": "[[demo: size=50000]]"}, PATH)

        assert answer.status_code == 200
        assert "not_stored" in answer.headers["x-lingma-notes"].split(",")
        assert server.get(f"{PATH}/{answer.json()['id']}").status_code == 404
        assert server.get(f"{PATH}/{small['id']}").json() == small
