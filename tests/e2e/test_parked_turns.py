"""Native tool calls over several requests: one ask upstream, whoever dies in between."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.test_client_facts import CHAT, MESSAGES, RESPONSES, body_for, text_in
from tests.e2e.test_stored_responses import kill
from tests.support.demo_words import NATIVE, asks, calls, entries
from tests.support.serving import WAIT_SECONDS, Serving, serving, wait_until

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
WISH = calls([("add", {"a": 1})], [("add", {"a": 2}), ("add", {"a": 3})])
PROTOCOLS = [CHAT, RESPONSES, MESSAGES]


class Talk:
    """A conversation with one tool, whole turns, in any of the protocols."""

    def __init__(self, server: Serving, path: str, *, key: str = "any") -> None:
        self.server = server
        self.key = key
        self.path = path
        tool: dict[str, Any] = {"name": "add", "parameters": SCHEMA}
        if path == CHAT:
            tool = {"type": "function", "function": tool}
        elif path == RESPONSES:
            tool |= {"type": "function"}
        else:
            tool = {"name": "add", "input_schema": SCHEMA}
        self._body = body_for(path, WISH, tools=[tool])
        self.turns: list[dict[str, Any]] = self._body[self._field]
        self.notes: list[str] = []

    @property
    def _field(self) -> str:
        return "input" if self.path == RESPONSES else "messages"

    def ask(self) -> tuple[str, list[str]]:
        """Return the text of the next turn and the ids of its calls."""
        answer = httpx.post(
            self.server.url + self.path,
            json=self._body,
            headers={"x-api-key": self.key},
            trust_env=False,
            timeout=WAIT_SECONDS,
        )
        text = text_in(self.path, answer)
        self.notes = answer.headers["x-lingma-notes"].split(",")
        body = answer.json()
        if self.path == CHAT:
            message = body["choices"][0]["message"]
            self.turns.append(message)
            return text, [call["id"] for call in message.get("tool_calls", ())]
        if self.path == RESPONSES:
            self.turns += body["output"]
            return text, [item["call_id"] for item in body["output"] if "call_id" in item]
        self.turns.append({"role": "assistant", "content": body["content"]})
        return text, [block["id"] for block in body["content"] if block["type"] == "tool_use"]

    def tell(self, results: dict[str, str]) -> None:
        """Add what the tools said."""
        for call_id, said in results.items():
            if self.path == CHAT:
                self.turns.append({"role": "tool", "tool_call_id": call_id, "content": said})
            elif self.path == RESPONSES:
                kind = "function_call_output"
                self.turns.append({"type": kind, "call_id": call_id, "output": said})
            else:
                block = {"type": "tool_result", "tool_use_id": call_id, "content": said}
                self.turns.append({"role": "user", "content": [block]})


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server whose model calls tools natively."""
    with serving(tmp_path_factory.mktemp("native"), "--demo", environ=NATIVE) as server:
        yield server


@pytest.mark.parametrize("path", PROTOCOLS)
def test_three_turns_are_one_ask(native: Serving, path: str) -> None:
    """Each request brings results to the ask that waits; its lease is out all the while."""
    before = asks(native)
    talk = Talk(native, path)

    _, first = talk.ask()
    # The place inside was given back, the lease is the lot's.
    assert native.in_flight() == 1
    talk.tell({first[0]: "one!"})
    _, second = talk.ask()
    assert native.in_flight() == 1
    talk.tell({second[0]: "two!", second[1]: "three!"})
    text, none = talk.ask()

    assert (len(first), len(second), none) == (1, 2, [])
    assert "two!" in text
    assert "three!" in text
    assert asks(native) == before + 1
    wait_until(lambda: native.in_flight() == 0, within=5, what="released leases")
    answered = entries(native, "tool-answer")[-6:]
    assert not any(entry["odd"] for entry in answered)


@pytest.mark.parametrize("path", PROTOCOLS)
def test_results_in_another_order_and_with_words(native: Serving, path: str) -> None:
    """Results may come in any order; what the user adds goes with them, and is noted."""
    before = asks(native)
    talk = Talk(native, path)
    _, first = talk.ask()
    talk.tell({first[0]: "one!"})
    _, (left, right) = talk.ask()
    talk.tell({right: "three!", left: "two!"})
    talk.turns.append({"role": "user", "content": "and be quick"})
    text, _ = talk.ask()

    assert "three!" in text
    assert "and be quick" in text
    assert "text_joined" in talk.notes
    assert asks(native) == before + 1


def test_a_client_that_never_comes_back_leaves_nothing(tmp_path: Path) -> None:
    """After `parked_timeout` the ask is refused upstream and its lease is back."""
    environ = NATIVE | {"LINGMA_PARKED_TIMEOUT": "0.5"}
    with serving(tmp_path, "--demo", environ=environ) as server:
        talk = Talk(server, CHAT)
        _, (call_id,) = talk.ask()
        wait_until(lambda: server.in_flight() == 0, within=10, what="released leases")
        wait_until(lambda: entries(server, "ask-end"), within=10, what="an ask that ends upstream")

        # It comes back after all: the conversation is put again, and goes on behind its call.
        talk.tell({call_id: "one!"})
        _, second = talk.ask()
        assert len(second) == 2
        assert "parked_ask_lost" in talk.notes
        assert asks(server) == 2


@pytest.mark.parametrize("path", PROTOCOLS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "killed"])
def test_the_next_turn_survives_a_restart(
    tmp_path: Path, path: str, number: signal.Signals
) -> None:
    """A new server has no such ask; the turn is asked again with all that was said."""
    with serving(tmp_path, "--demo", environ=NATIVE) as server:
        talk = Talk(server, path)
        _, (call_id,) = talk.ask()
        talk.tell({call_id: "one!"})
        kill(server, number)

    with serving(tmp_path, "--demo", environ=NATIVE) as server:
        talk.server = server
        _, second = talk.ask()
        assert len(second) == 2
        assert call_id not in second
        talk.tell(dict.fromkeys(second, "more!"))
        text, _ = talk.ask()
        assert "more!" in text


def test_the_next_turn_survives_the_engine(native: Serving) -> None:
    """When the process dies with its asks, the new one is told all that was said."""
    talk = Talk(native, CHAT)
    _, (call_id,) = talk.ask()
    assert native.ask("[[demo: crash after=0]]").status_code == 502
    wait_until(lambda: native.in_flight() == 0, within=10, what="released leases")

    talk.tell({call_id: "one!"})
    _, second = talk.ask()
    assert len(second) == 2


def test_another_caller_cannot_answer(tmp_path: Path) -> None:
    """A result under another key does not reach the ask that waits."""
    keys = ("key-of-ann-0123456789", "key-of-bob-9876543210")
    with serving(
        tmp_path, "--demo", environ=NATIVE | {"LINGMA_API_KEYS": ",".join(keys)}
    ) as server:
        talk = Talk(server, CHAT, key=keys[0])
        _, (call_id,) = talk.ask()
        talk.tell({call_id: "one!"})
        talk.key = keys[1]
        talk.ask()

        assert asks(server) == 2
        answered = [e for e in entries(server, "tool-answer") if e["method"] != "tool/call/approve"]
        assert "one!" not in str(answered)
