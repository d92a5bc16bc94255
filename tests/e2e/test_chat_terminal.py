"""`lingma chat` at a real terminal, before a real server with the simulator."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.cli import Terminal, run_lingma, terminal
from tests.support.serving import Serving, serving, wait_until

READY = "Ctrl-D leaves\n"
LEAVE = "\x04"


def pasted(text: str) -> str:
    """Return what a terminal sends when `text` is pasted."""
    return f"\x1b[200~{text}\x1b[201~"


def saying(text: str, more: str = "") -> str:
    """Return a question that the simulator answers with `text`."""
    return f"[[demo: say={json.dumps(text, ensure_ascii=False)} {more}]]"


@contextmanager
def chatting(
    server: Serving, home: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    with terminal("chat", "--url", server.url, *arguments, home=home, env=env) as screen:
        screen.expect(READY)
        yield screen


def ask(screen: Terminal, question: str) -> None:
    """Ask on an empty screen and wait until the prompt is back."""
    screen.screen.reset()
    screen.type(f"{question}\r")
    screen.expect("\n\n>")


def leave(screen: Terminal) -> None:
    screen.type(LEAVE)
    assert screen.wait() == 0


def stops(server: Serving) -> int:
    """Return how often Lingma was told to stop."""
    return sum("chat/stop" in str(entry) for entry in server.journal_entries())


def stored(home: Path) -> list[str]:
    """Return what was said in the last conversation."""
    content = json.loads((home / "state" / "chat-last.json").read_text())
    return [turn["text"] for turn in content["turns"]]


def test_a_pasted_block_is_one_question(demo: Serving, tmp_path: Path) -> None:
    """Its lines are neither sent one by one nor taken for commands; Enter sends them."""
    block = "def f():\r\n    return 1\r\n\r\n/exit\r\n[[demo: say=seen]]"
    with chatting(demo, tmp_path) as screen:
        screen.type(pasted(block))
        screen.expect("[[demo: say=seen]]")
        assert "\nseen" not in screen.text()
        screen.type("\r")
        screen.expect("\nseen\n\n>")
        leave(screen)

    assert stored(tmp_path) == [block.replace("\r\n", "\n"), "seen"]


def test_lines_are_added_with_alt_enter_and_backslash(demo: Serving, tmp_path: Path) -> None:
    """And sent together."""
    with chatting(demo, tmp_path) as screen:
        ask(screen, "one\x1b\rtwo\\\r[[demo: say=seen]]")
        leave(screen)

    assert stored(tmp_path)[0] == "one\ntwo\n[[demo: say=seen]]"


def test_the_next_chat_remembers_what_was_typed(demo: Serving, tmp_path: Path) -> None:
    """Whole blocks come back, from a private file; `--no-history` knows and keeps nothing."""
    block = "two\n[[demo: say=lines]]"
    with chatting(demo, tmp_path) as screen:
        ask(screen, pasted(block))
        leave(screen)
    history = tmp_path / "state" / "chat-history.jsonl"
    before = history.read_bytes()

    with chatting(demo, tmp_path, "--no-history") as screen:
        ask(screen, "\x1b[Ahello")
        assert "> hello" in screen.text()
        leave(screen)
    assert (before, block) == (history.read_bytes(), stored(tmp_path)[0])

    with chatting(demo, tmp_path) as screen:
        screen.type("\x1b[A")
        screen.expect("> two\n  [[demo: say=lines]]")
        screen.type("\x03")
        leave(screen)
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_ctrl_c_stops_the_answer_upstream(demo: Serving, tmp_path: Path) -> None:
    """Lingma is told, the half answer is kept, and the same prompt asks again."""
    with chatting(demo, tmp_path) as screen:
        before = stops(demo)
        screen.type("[[demo: chunks=500 delay=0.05]]\r")
        screen.expect("\n1 2 3")
        screen.type("not shown now")
        screen.type("\x03")
        screen.expect("\nstopped\n\n>")
        assert "not shown now" not in screen.text()
        wait_until(lambda: stops(demo) > before, what="the stop")
        ask(screen, "\x15/usage")
        assert "0 answers" in screen.text()
        leave(screen)

    assert stored(tmp_path)[1].startswith("1 2 3")


def test_keys_of_an_answers_time_wait_for_the_prompt(demo: Serving, tmp_path: Path) -> None:
    """They are not mixed into the answer, and leave in the end."""
    with chatting(demo, tmp_path) as screen:
        screen.type("[[demo: chunks=20 delay=0.05]]\r")
        screen.expect("\n1 2 3")
        screen.type("[[demo: say=second!\x7f]]\r\x04")
        screen.expect(" 19 20\n\n> [[demo: say=second]]\nsecond\n\n>")
        assert screen.wait() == 0


def test_markdown_is_shown_while_it_comes(demo: Serving, tmp_path: Path) -> None:
    """However it is cut, the screen ends up with each block once, rendered."""
    source = (
        "# Plan\n\nSome **bold** text.\n\n1. one\n2. two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    )
    source += "```python\nx = 1\n\ny = 2\n```\n\nDone: 你好.\n"
    with chatting(demo, tmp_path) as screen:
        ask(screen, saying(source, "split=2 delay=0.002"))
        shown = screen.text().partition("]]\n")[2]
        leave(screen)

    assert shown == (
        "Plan\n\nSome bold text.\n\n 1 one\n 2 two\n\n a  b\n ────\n 1  2\n\n"
        "```python\nx = 1\n\ny = 2\n```\n\nDone: 你好.\n\n>"
    )
    assert b"\x1b[1mbold\x1b[0m" in screen.raw
    assert b"\x1b[2J" not in screen.raw


def test_without_colour_the_text_is_shown_as_written(demo: Serving, tmp_path: Path) -> None:
    """`NO_COLOR` leaves no style at all, in the prompt neither."""
    with chatting(demo, tmp_path, env={"NO_COLOR": "1"}) as screen:
        ask(screen, saying("# Plan\n\n**bold**\n", "think=push"))
        assert "# Plan\n\n**bold**\n\n>" in screen.text()
        leave(screen)

    assert re.findall(rb"\x1b\[[0-9;]*[1-9][0-9;]*m", screen.raw) == []


def test_the_terminal_is_asked_nothing(demo: Serving, tmp_path: Path) -> None:
    """What it would answer could end up in the next shell; and the paste mode is left again."""
    with chatting(demo, tmp_path) as screen:
        ask(screen, "hello")
        leave(screen)

    assert b"\x1b[6n" not in screen.raw
    assert screen.raw.rindex(b"\x1b[?2004l") > screen.raw.rindex(b"\x1b[?2004h")


def test_commands_change_and_show_the_conversation(demo: Serving, tmp_path: Path) -> None:
    """None of them is sent as a question."""
    path = tmp_path / "chat.md"
    with chatting(demo, tmp_path) as screen:
        ask(screen, "/model")
        assert "model: the choice of the server\n  org_auto" in screen.text()
        ask(screen, "/model kmodel")
        ask(screen, "/system be brief")
        ask(screen, "[[demo: say=first]]")
        ask(screen, "/retry")
        assert "> /retry\nfirst\n" in screen.text()
        ask(screen, "/usage")
        assert re.search(r"2 answers: \d+ input and \d+ output tokens \(estimated\)", screen.text())
        ask(screen, f"/save {path}")
        assert f"saved: {path}" in screen.text()
        ask(screen, f"/save {path}")
        assert "error: this exists already and stays as it is" in screen.text()
        ask(screen, "/nonsense")
        assert "error: there is no command `/nonsense`\n\nhint: `/help` lists" in screen.text()
        ask(screen, "/clear")
        screen.type("/exit\r")
        assert screen.wait() == 0

    assert stored(tmp_path) == ["[[demo: say=first]]", "first"]
    assert "Model: `kmodel`\n\n## Instructions\n\nbe brief\n\n" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_goes_with_the_first_question(demo: Serving, tmp_path: Path) -> None:
    """Its name is shown before."""
    note = tmp_path / "note.txt"
    note.write_text("from a file\n")
    with terminal("chat", "--url", demo.url, "-f", str(note), home=tmp_path) as screen:
        screen.expect("goes with the next question: ")
        screen.expect("\n>")
        ask(screen, "[[demo: say=one]] what?")
        ask(screen, "[[demo: say=two]]")
        leave(screen)

    said = stored(tmp_path)
    assert said[0].endswith("what?\n\nFile `" + str(note) + "`:\n\n```\nfrom a file\n```")
    assert said[2] == "[[demo: say=two]]"


def test_a_chat_goes_on_where_the_last_one_ended(demo: Serving, tmp_path: Path) -> None:
    """After a question from a pipe, too; JSON there is one object."""
    first = run_lingma("chat", "--url", demo.url, "[[demo: say=one]]", "--json", home=tmp_path)
    assert json.loads(first.out)["answer"] == "one"

    with terminal("chat", "--url", demo.url, "-c", home=tmp_path) as screen:
        screen.expect("questions so far: 1; the last one:\n  [[demo: say=one]]\n>")
        ask(screen, "[[demo: say=two]]")
        leave(screen)

    assert stored(tmp_path) == ["[[demo: say=one]]", "one", "[[demo: say=two]]", "two"]


def test_a_lost_server_does_not_end_the_chat(tmp_path: Path) -> None:
    """Lost in mid-answer and then for good, it is an error each time, and the prompt is back."""
    with (
        serving(tmp_path / "server", "--demo") as server,
        chatting(server, tmp_path) as screen,
    ):
        screen.type("[[demo: chunks=500 delay=0.05]]\r")
        screen.expect("\n1 2 3")
        server.process.kill()
        server.process.wait()
        screen.expect("error: the server broke off before the answer was complete")
        screen.expect("lingma status`\n\n>")
        ask(screen, "/retry")
        assert f"error: no server answers at `{server.url}`\n\nhint: run `lingma" in screen.text()
        leave(screen)
