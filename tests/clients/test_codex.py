"""Codex CLI over the Responses API."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.support import agents
from tests.support.agents import Desk, Ran, call

# What would look for something outside of this machine.
STAY_HOME = ("-c", "check_for_update_on_startup=false", "-c", "features.plugins=false")


def codex(desk: Desk, *arguments: str) -> Ran:
    """Run `codex exec`; it prints its events as JSON lines."""
    config = desk.home / ".codex" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(agents.pasted("Codex", "toml", desk.server.url))
    options = ["--json", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
    return desk.run("exec", *STAY_HOME, *options, *arguments, LINGMA_API_KEY=agents.KEY)


def shell(command: str) -> agents.Call:
    """Return a call of its shell tool."""
    return call("exec_command", cmd=command)


def patch(body: str) -> agents.Call:
    """Return a call of its freeform tool."""
    return call("apply_patch", input=f"*** Begin Patch\n{body}*** End Patch\n")


def messages(ran: Ran) -> list[str]:
    """Return what it tells its user."""
    items = [event["item"] for event in ran.events if event["type"] == "item.completed"]
    return [item["text"] for item in items if item["type"] == "agent_message"]


def commands(ran: Ran) -> list[tuple[int, str]]:
    """Return exit code and output of the commands it ran, in their order."""
    items = [event["item"] for event in ran.events if event["type"] == "item.completed"]
    ran_here = [item for item in items if item["type"] == "command_execution"]
    return [(item["exit_code"], item["aggregated_output"]) for item in ran_here]


@pytest.mark.parametrize("route", agents.ROUTES)
def test_a_task_of_several_steps_edits_a_file(tmp_path: Path, route: str) -> None:
    """It writes, changes and reads a file through its shell tool, two calls at once among them."""
    write = shell(f"cat > {agents.NAME} <<'END'\n{agents.TEXT}END")
    append = shell(f"printf %s {shlex.quote(agents.AFTER)} >> {agents.NAME}")
    steps = [write], [append, shell("printf %s 'ß\\n'")], [shell(f"cat {agents.NAME}")]
    whole = agents.TEXT + agents.AFTER
    with agents.desk(tmp_path, "codex", route) as desk:
        ran = codex(desk, agents.task(*steps))

        assert ran.code == 0, ran
        assert desk.file.read_bytes() == whole.encode()
        assert sorted(commands(ran)) == [(0, ""), (0, ""), (0, whole), (0, "ß\\n")]
        assert agents.QUOTED in messages(ran)[-1]
        agents.check_exchanges(desk.server, route, steps=[1, 2, 1])


@pytest.mark.parametrize("route", agents.ROUTES)
def test_a_freeform_tool_gets_raw_text(tmp_path: Path, route: str) -> None:
    """For a model that Codex knows, it offers `apply_patch`; two patches make the file."""
    added = "".join(f"+{line}\n" for line in agents.TEXT.split("\n")[:-1])
    changed = "".join(f"+{line}\n" for line in agents.AFTER.split("\n"))
    steps = (
        [patch(f"*** Add File: {agents.NAME}\n{added}")],
        [patch(f"*** Update File: {agents.NAME}\n@@\n-end\n{changed}")],
    )
    with agents.desk(tmp_path, "codex", route) as desk:
        ran = codex(desk, "-m", "gpt-5.5", agents.task(*steps))

        assert ran.code == 0, ran
        whole = agents.TEXT.removesuffix("end\n") + agents.AFTER + "\n"
        assert desk.file.read_bytes() == whole.encode()
        assert "Success." in messages(ran)[-1]
        agents.check_exchanges(desk.server, route, steps=[1, 1])


@pytest.mark.parametrize("route", agents.ROUTES)
def test_tools_that_come_as_an_item_are_called_in_their_namespace(
    tmp_path: Path, route: str
) -> None:
    """For newer models it brings one tool for scripts in its input; a script makes the file."""
    write = json.dumps(f"cat > {agents.NAME} <<'END'\n{agents.TEXT}END", ensure_ascii=False)
    script = f"const r = await tools.exec_command({{cmd: {write}}});\ntext(r.exit_code);"
    with agents.desk(tmp_path, "codex", route) as desk:
        ran = codex(desk, "-m", "gpt-6-sol", agents.task([call("exec", input=script)]))

        assert ran.code == 0, ran
        assert desk.file.read_bytes() == agents.TEXT.encode()
        assert "Script completed" in messages(ran)[-1]
        agents.check_exchanges(desk.server, route, steps=[1])


def test_a_session_goes_on(tmp_path: Path) -> None:
    """With its key, a plain answer arrives as it is, with usage; the next turn carries it along."""
    with agents.desk(tmp_path, "codex", LINGMA_API_KEYS=agents.KEY) as desk:
        first = codex(desk, f"Hallo! [[demo: say={json.dumps(agents.TEXT)}]]")
        second = codex(desk, "resume", "--last", "And now? [[demo: quote=prompt]]")

        assert messages(first) == [agents.TEXT]
        usage = first.events[-1]["usage"]
        assert usage["input_tokens"] > 0
        assert usage["output_tokens"] > 0
        assert "Hallo!" in messages(second)[0]
        assert agents.TEXT.strip() in messages(second)[0]
