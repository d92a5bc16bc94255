"""Continue CLI over OpenAI Chat Completions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import agents
from tests.support.agents import Desk, Ran, call


def cn(desk: Desk, *arguments: str) -> Ran:
    """Run `cn -p`; it prints the last answer only."""
    config = desk.home / ".continue" / "config.yaml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(agents.pasted("Continue", "yaml", desk.server.url))
    return desk.run(
        "--auto", "-p", *arguments, LINGMA_API_KEY=agents.KEY, CONTINUE_METRICS_ENABLED="0"
    )


@pytest.mark.parametrize("route", agents.ROUTES)
def test_a_task_of_several_steps_edits_a_file(tmp_path: Path, route: str) -> None:
    """It writes, edits and reads a file, two calls at once among them."""
    with agents.desk(tmp_path, "cn", route) as desk:
        path = str(desk.file)
        edit = call("Edit", file_path=path, old_string=agents.BEFORE, new_string=agents.AFTER)
        steps = (
            [call("Write", filepath=path, content=agents.TEXT)],
            [call("Read", filepath=path), call("Bash", command="printf %s 'ß\\n' > more")],
            [edit],
            [call("Read", filepath=path)],
        )
        ran = cn(desk, agents.task(*steps))

        assert ran.code == 0, ran
        assert desk.file.read_bytes() == agents.TEXT.replace(agents.BEFORE, agents.AFTER).encode()
        assert (desk.work / "more").read_text() == "ß\\n"
        assert agents.QUOTED in ran.out
        agents.check_exchanges(desk.server, route, steps=[1, 2, 1, 1])


def test_a_session_goes_on(tmp_path: Path) -> None:
    """With its key, a plain answer arrives as it is; the resumed session carries it along."""
    with agents.desk(tmp_path, "cn", LINGMA_API_KEYS=agents.KEY) as desk:
        first = cn(desk, f"Hallo! [[demo: say={json.dumps(agents.TEXT)}]]")
        second = cn(desk, "And now? [[demo: quote=prompt]]", "--resume")

        assert first.out == agents.TEXT + "\n"
        assert "Hallo!" in second.out
        assert agents.TEXT.strip() in second.out
