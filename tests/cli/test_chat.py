"""`lingma chat` with one question."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import Result, environment, run_lingma, terminal
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


def test_files_go_with_the_question(tmp_path: Path) -> None:
    """Several, after the question; `-` is the piped text, which is not put twice."""
    note = tmp_path / "note.txt"
    note.write_text("from a file\n")

    result, server = chat(
        tmp_path, answer("ok"), "what?", "-f", str(note), "--file", "-", stdin="piped"
    )

    assert result.code == 0
    named = f"what?\n\nFile `{note}`:\n\n```\nfrom a file\n```"
    piped = "File `standard input`:\n\n```\npiped\n```"
    assert asked(server) == [("user", f"{named}\n\n{piped}")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("what?", "-f", "/bin/sh"), "error: this is no UTF-8 text: `/bin/sh`\n\nhint: only text"),
        (("what?", "-f", "/nowhere"), "error: cannot read `/nowhere`: No such file or directory\n"),
        (("-f", "-"), "error: there is no question\n"),
        (("what?", "-c"), "error: there is no conversation to continue\n\nhint: start one with"),
    ],
)
def test_what_cannot_be_sent_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Before the server hears of it."""
    result, server = chat(tmp_path, answer("ok"), *arguments)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(message)
    assert server.asked == []


def test_the_last_conversation_can_be_continued(tmp_path: Path) -> None:
    """With its instructions and its model, unless others are named; the file is private."""
    chat(tmp_path, answer("1"), "one", "--system", "be brief", "--model", "m")
    chat(tmp_path, answer("2"), "two", "-c", "--json")
    _, server = chat(tmp_path, answer("3"), "three", "--continue", "--system", "be kind")

    assert asked(server) == [
        ("system", "be kind"),
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "three"),
    ]
    assert server.asked[-1].json()["model"] == "m"
    stored = tmp_path / "state" / "chat-last.json"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600


def test_nothing_is_stored_without_history(tmp_path: Path) -> None:
    """Neither a new file nor a change to the old one."""
    chat(tmp_path, answer("1"), "one", "--no-history")
    assert not (tmp_path / "state").exists()

    chat(tmp_path, answer("1"), "one")
    chat(tmp_path, answer("2"), "two", "-c", "--no-history")
    _, server = chat(tmp_path, answer("3"), "three", "-c")
    assert [text for _, text in asked(server)] == ["one", "1", "three"]


def test_an_answer_counts_although_it_cannot_be_stored(tmp_path: Path) -> None:
    """A place that cannot be written costs a note."""
    (tmp_path / "state" / "chat-last.json").mkdir(parents=True)

    result, _ = chat(tmp_path, answer("yes"), "hi")

    assert (result.code, result.out) == (0, "yes\n")
    assert result.err.startswith("note: cannot ")


def test_one_question_imports_no_editor(tmp_path: Path) -> None:
    """What only a conversation needs does not slow down a pipe."""
    program = (
        "import sys; from lingma_cli.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    with openai_server(chat=answer("ok")) as server:
        done = subprocess.run(
            [sys.executable, "-c", program, "chat", "hi", "--url", server.url],
            env=environment(tmp_path),
            input="",
            capture_output=True,
            text=True,
            check=True,
        )

    first, loaded = done.stdout.splitlines()
    assert first == "ok"
    assert {"prompt_toolkit", "markdown_it"} & set(loaded.split()) == set()
    assert "lingma_cli" in loaded.split()
