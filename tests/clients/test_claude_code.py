"""Claude Code over Anthropic Messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import agents
from tests.support.agents import Desk, Ran, call

THOUGHT = "Erst denken: 你好"


def claude(desk: Desk, prompt: str, *options: str, key: str = agents.KEY, path: str = "") -> Ran:
    """Run `claude -p`; it prints what it does as JSON lines."""
    return desk.run(
        "-p",
        prompt,
        *("--output-format", "stream-json", "--verbose", *options),
        first=agents.pasted("Claude Code", "sh", desk.server.url + path),
        LINGMA_API_KEY=key,
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
    )


def blocks(ran: Ran, speaker: str, kind: str) -> list[dict[str, object]]:
    """Return the content blocks of one kind that `assistant` or `user` said."""
    said = [event["message"]["content"] for event in ran.events if event["type"] == speaker]
    return [block for content in said for block in content if block["type"] == kind]


@pytest.mark.parametrize("route", agents.ROUTES)
def test_a_task_of_several_steps_edits_a_file(tmp_path: Path, route: str) -> None:
    """It writes, edits and reads a file, two calls at once among them, and shows the thinking."""
    with agents.desk(tmp_path, "claude", route) as desk:
        path = str(desk.file)
        edit = call("Edit", file_path=path, old_string=agents.BEFORE, new_string=agents.AFTER)
        steps = (
            [call("Write", file_path=path, content=agents.TEXT)],
            [edit, call("Bash", command="printf %s 'ß\\n'", description="say")],
            [call("Bash", command=f"cat {agents.NAME}", description="read")],
        )
        prompt = agents.task(*steps, more=f'think=push thought="{THOUGHT}"')
        ran = claude(desk, prompt, "--allowedTools", "Write,Edit,Bash")

        assert ran.code == 0, ran
        assert desk.file.read_bytes() == agents.TEXT.replace(agents.BEFORE, agents.AFTER).encode()
        assert [block["name"] for block in blocks(ran, "assistant", "tool_use")] == [
            *("Write", "Edit", "Bash", "Bash")
        ]
        assert not any(block.get("is_error") for block in blocks(ran, "user", "tool_result"))
        assert agents.QUOTED in ran.events[-1]["result"]
        thoughts = {block["thinking"] for block in blocks(ran, "assistant", "thinking")}
        assert thoughts == {THOUGHT}
        agents.check_exchanges(desk.server, route, steps=[1, 2, 1])


def test_a_session_goes_on(tmp_path: Path) -> None:
    """With its key and a model of its own, an answer arrives as it is; the next turn knows it."""
    model = ("--model", "claude-opus-5-5")
    with agents.desk(tmp_path, "claude", LINGMA_API_KEYS=agents.KEY) as desk:
        first = claude(desk, f"Hallo! [[demo: say={json.dumps(agents.TEXT)}]]", *model)
        second = claude(desk, "And now? [[demo: quote=prompt]]", "--continue", *model)

        assert blocks(first, "assistant", "text") == [{"type": "text", "text": agents.TEXT}]
        assert first.events[-1]["usage"]["input_tokens"] > 0
        assert first.events[-1]["usage"]["output_tokens"] > 0
        assert "Hallo!" in second.events[-1]["result"]
        assert agents.TEXT.strip() in second.events[-1]["result"]


def test_tokens_are_counted_without_lingma(tmp_path: Path) -> None:
    """`/context` has many texts counted at once; they are, and no ask comes of it."""
    with agents.desk(tmp_path, "claude") as desk:
        counted = claude(desk, "/context")
        guessed = claude(desk, "/context", path="/nowhere")

        assert (counted.code, guessed.code) == (0, 0)
        # What the server did not count, Claude Code guesses; it guesses no messages.
        assert "| Messages | " in counted.events[-1]["result"]
        assert "| Messages | " not in guessed.events[-1]["result"]
        assert "chat/ask" not in desk.server.journal.read_text()


def test_a_wrong_key_is_told_at_once(tmp_path: Path) -> None:
    """It does not try again, but says what is wrong."""
    with agents.desk(tmp_path, "claude", LINGMA_API_KEYS=agents.KEY) as desk:
        ran = claude(desk, "Hallo!", key="wrong")

        assert ran.code == 1, ran
        assert ran.events[-1]["api_error_status"] == 401
