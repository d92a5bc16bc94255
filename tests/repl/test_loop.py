"""The chat loop at a real terminal, against a scripted server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cli import Terminal, terminal
from tests.support.openai_server import (
    UNTIL_CLIENT_LEAVES,
    OpenAiServer,
    Reply,
    answer,
    chunk,
    error_reply,
    openai_server,
)
from tests.support.serving import wait_until

HINT = "/help shows more, Ctrl-D leaves"


@contextmanager
def chatting(
    home: Path, *replies: Reply, arguments: tuple[str, ...] = ()
) -> Iterator[tuple[Terminal, OpenAiServer]]:
    with (
        openai_server(chat=replies) as server,
        terminal("chat", "--url", server.url, *arguments, home=home) as screen,
    ):
        screen.expect(HINT)
        screen.expect("\n>")
        yield screen, server


def test_a_conversation_is_kept(tmp_path: Path) -> None:
    """Each question carries what was said before, system prompt first; Ctrl-D leaves with 0."""
    with chatting(tmp_path, answer("red"), answer("blue"), arguments=("--system", "be brief")) as (
        screen,
        server,
    ):
        screen.type("first?\r")
        screen.expect("red\n\n>")
        screen.type("second?\r")
        screen.expect("blue\n\n>")
        screen.type("\x04")
        assert screen.wait() == 0

    said = [(turn["role"], turn["content"]) for turn in server.asked[-1].json()["messages"]]
    assert said == [
        ("system", "be brief"),
        ("user", "first?"),
        ("assistant", "red"),
        ("user", "second?"),
    ]


def test_clear_starts_afresh_and_exit_leaves(tmp_path: Path) -> None:
    """Commands are not sent as questions, nor is an empty line."""
    with chatting(tmp_path, answer("red")) as (screen, server):
        screen.type("first?\r")
        screen.expect("red")
        screen.type("/clear\r")
        screen.expect("a new conversation")
        screen.type("\rsecond?\r")
        screen.expect("second?\nred")
        screen.type("/exit\r")
        assert screen.wait() == 0

    asked = [asked.json()["messages"] for asked in server.asked if asked.body]
    assert [[turn["content"] for turn in turns] for turns in asked] == [["first?"], ["second?"]]


def test_ctrl_c_stops_the_answer_and_not_the_program(tmp_path: Path) -> None:
    """The server is told at once, the prompt is back, and the half answer is remembered."""
    endless = Reply(pieces=[chunk("and so on"), UNTIL_CLIENT_LEAVES])
    with chatting(tmp_path, endless, answer("done")) as (screen, server):
        screen.type("go\r")
        screen.expect("and so on")
        screen.type("\x03")
        screen.expect("stopped")
        assert server.client_left.wait(10)
        screen.type("again\r")
        screen.expect("done\n\n>")
        screen.type("\x04")
        assert screen.wait() == 0

    assert [turn["content"] for turn in server.asked[-1].json()["messages"]] == [
        "go",
        "and so on",
        "again",
    ]


def test_ctrl_c_before_the_first_word_forgets_the_question(tmp_path: Path) -> None:
    """A question that got no answer is not part of the conversation."""
    silent = Reply(pieces=[b": ping\n\n", UNTIL_CLIENT_LEAVES])
    with chatting(tmp_path, silent, answer("done")) as (screen, server):
        screen.type("go\r")
        screen.expect("> go")
        wait_until(lambda: len(server.asked) == 2, what="the question")
        screen.type("\x03")
        screen.expect("\nstopped\n\n>")
        screen.type("again\r")
        screen.expect("done")

    assert [turn["content"] for turn in server.asked[-1].json()["messages"]] == ["again"]


def test_ctrl_c_at_the_prompt_clears_the_line(tmp_path: Path) -> None:
    """What was typed is not sent, and the program goes on."""
    with chatting(tmp_path, answer("done")) as (screen, server):
        screen.type("never mind")
        screen.expect("never mind")
        screen.type("\x03")
        screen.expect("never mind\n>")
        screen.type("go\r")
        screen.expect("done")

    assert [turn["content"] for turn in server.asked[-1].json()["messages"]] == ["go"]


def test_ctrl_c_twice_leaves(tmp_path: Path) -> None:
    """The first says so; anything typed in between counts anew."""
    with chatting(tmp_path, answer("done")) as (screen, _):
        screen.type("\x03")
        screen.expect("press Ctrl-C again or Ctrl-D to leave\n>")
        screen.type("go\r")
        screen.expect("done\n\n>")
        screen.type("\x03")
        screen.expect("done\n\n>\npress Ctrl-C again or Ctrl-D to leave\n>")
        screen.type("\x03")
        assert screen.wait() == 0


def test_an_error_does_not_end_the_conversation(tmp_path: Path) -> None:
    """The error is shown in the usual voice, and the next question works."""
    with chatting(
        tmp_path, error_reply(503, "the engine is starting", "engine_unavailable"), answer("done")
    ) as (screen, _):
        screen.type("go\r")
        screen.expect("error: the engine is starting\n\n>")
        screen.type("go\r")
        screen.expect("done")


def test_what_is_no_command_is_not_sent(tmp_path: Path) -> None:
    """It is an error with a hint; after a space the same text is a question."""
    with chatting(tmp_path, answer("done")) as (screen, server):
        screen.type("/etc/hosts?\r")
        screen.expect("error: there is no command `/etc/hosts?`\n\nhint: `/help` lists them")
        screen.type(" /etc/hosts?\r")
        screen.expect("done")

    asked = [asked.json()["messages"] for asked in server.asked if asked.body]
    assert [[turn["content"] for turn in turns] for turns in asked] == [["/etc/hosts?"]]


def test_answers_cannot_command_the_terminal(tmp_path: Path) -> None:
    """Colours, titles, clipboard and cursor moves of an answer do not reach the terminal."""
    evil = answer("a\x1b[2J\x1b]0;owned\x07b", "\x1b", "[31mc\x1b]52;c;eA==", "\x07d\u202e")
    with chatting(tmp_path, evil) as (screen, _):
        screen.type("go\r")
        screen.expect("abcd")
        screen.type("/exit\r")
        screen.wait()

    assert screen.screen.title != "owned"
    for harmful in (b"\x1b]0;", b"\x1b]52", b"\x1b[2J", b"\x1b[31m", "\u202e".encode()):
        assert harmful not in screen.raw


def test_reasoning_is_dimmed_and_notes_are_shown(tmp_path: Path) -> None:
    """A person sees the reasoning, dimmed, and what the server had to change."""
    reply = answer("yes", reasoning="hmm", headers={"x-lingma-notes": "model_replaced"})
    with chatting(tmp_path, reply) as (screen, _):
        screen.type("go\r")
        screen.expect("note: model_replaced")

    assert b"\x1b[2mhmm\x1b[0m" in screen.raw
    assert "hmm\n\nyes" in screen.text()


def test_answers_can_go_to_a_file_while_the_talk_stays(tmp_path: Path) -> None:
    """With stdout redirected, prompts are still seen and the file holds answers alone."""
    target = tmp_path / "answers.txt"
    with (
        openai_server(chat=answer("yes", reasoning="hmm")) as server,
        target.open("wb") as file,
        terminal("chat", "--url", server.url, home=tmp_path, stdout=file.fileno()) as screen,
    ):
        screen.expect("\n>")
        screen.type("go\r")
        screen.expect("go\n\n>")
        screen.type("\x04")
        assert screen.wait() == 0

    assert target.read_text() == "yes\n"
