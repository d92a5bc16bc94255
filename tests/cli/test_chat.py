"""`lingma chat` with one question."""

import json
from pathlib import Path

import pytest

from tests.support.cli import Result, run_lingma, terminal
from tests.support.openai_server import (
    OpenAiServer,
    Reply,
    answer,
    chunk,
    error_reply,
    openai_server,
)


def chat(
    home: Path, reply: Reply, *arguments: str, stdin: str | bytes = ""
) -> tuple[Result, OpenAiServer]:
    with openai_server(chat=reply) as server:
        result = run_lingma("chat", "--url", server.url, *arguments, home=home, stdin=stdin)
    return result, server


def asked(server: OpenAiServer) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in server.asked[-1].json()["messages"]]


def test_the_answer_is_all_there_is_on_stdout(tmp_path: Path) -> None:
    """Reasoning is left out in a pipe, notes go to stderr, escapes are taken out."""
    headers = {"x-lingma-notes": "model_replaced,usage_estimated"}
    reply = answer("y\x1b[3", "1mes", reasoning="hm", headers=headers)

    result, _ = chat(tmp_path, reply, "hi")

    assert (result.code, result.out, result.err) == (0, "yes\n", "note: model_replaced\n")


@pytest.mark.parametrize(
    ("expected", "arguments", "stdin"),
    [
        ("what is it?", ["what", "is", "it?"], ""),
        ("from a pipe\n", [], "from a pipe\n"),
        ("explain\n\ncode\n", ["explain"], "code\n"),
        ("explain", ["explain"], " \n"),
        ("caf\ufffd", [], b"caf\xe9"),
    ],
)
def test_question_and_pipe_are_put_together(
    tmp_path: Path, expected: str, arguments: list[str], stdin: str | bytes
) -> None:
    """The argument first, then the piped text; bytes that are no text do no harm."""
    result, server = chat(tmp_path, answer("ok"), *arguments, stdin=stdin)

    assert result.code == 0
    assert [("user", expected)] == asked(server)


def test_model_and_system_prompt_are_sent(tmp_path: Path) -> None:
    """Options reach the server."""
    _, server = chat(tmp_path, answer("ok"), "hi", "--model", "kmodel", "--system", "be brief")

    assert server.asked[-1].json()["model"] == "kmodel"
    assert asked(server) == [("system", "be brief"), ("user", "hi")]


def test_json_is_one_object(tmp_path: Path) -> None:
    """Answer, model, usage and all notes, for programs."""
    headers = {"x-lingma-notes": "usage_estimated"}

    result, _ = chat(tmp_path, answer("a", "b", headers=headers), "hi", "--json")

    assert json.loads(result.out) == {
        "answer": "ab",
        "model": "org_auto",
        "finish_reason": "stop",
        "usage": {"input_tokens": 3, "output_tokens": 5},
        "notes": ["usage_estimated"],
    }


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_broken_answer_is_no_success(tmp_path: Path, form: tuple[str, ...]) -> None:
    """What came stays on stdout, but never as JSON; the exit code says that it is not all."""
    result, _ = chat(tmp_path, Reply(pieces=[chunk("half")]), "hi", *form)

    assert (6, "" if form else "half\n") == (result.code, result.out)
    assert "error: the server broke off before the answer was complete" in result.err


def test_a_refusal_shows_the_servers_words(tmp_path: Path) -> None:
    """With the exit code of its kind, and nothing that the terminal would obey."""
    refusal = error_reply(401, "the key\x1b]0;x\x07 is wrong", "invalid_api_key")

    result, _ = chat(tmp_path, refusal, "hi")

    assert (result.code, result.out) == (5, "")
    assert result.err.startswith("error: the key is wrong\n\nhint: set `LINGMA_API_KEY`")


def test_at_a_terminal_reasoning_is_dimmed(tmp_path: Path) -> None:
    """A person who asks one question sees how it was thought about; `NO_COLOR` leaves it plain."""
    for env, seen in (({}, b"\x1b[2mhm\x1b[0m"), ({"NO_COLOR": "1"}, b"hm\r\n")):
        with (
            openai_server(chat=answer("yes", reasoning="hm")) as server,
            terminal("chat", "hi", "--url", server.url, home=tmp_path, env=env) as screen,
        ):
            assert screen.wait() == 0

        assert seen in screen.raw
        assert screen.text() == "hm\nyes"


def test_json_needs_a_question(tmp_path: Path) -> None:
    """A conversation is nothing that JSON could hold."""
    with terminal("chat", "--json", home=tmp_path) as screen:
        assert screen.wait() == 2

    assert "error: there is no question" in screen.text()


def test_a_conversation_needs_a_server_from_the_start(tmp_path: Path) -> None:
    """Nobody types a question first and learns then that nobody listens."""
    with terminal("chat", "--url", "http://127.0.0.1:1", home=tmp_path) as screen:
        assert screen.wait() == 3

    assert "error: no server answers at `http://127.0.0.1:1`" in screen.text()
