"""Real coding agents as child processes, pointed at one `lingma serve --demo` and at nothing else.

`tests/clients/clients.txt` says which; `LINGMA_TEST_CLIENTS` names the folder npm put them into.
They are configured with what README.md tells users to paste.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import Serving, serving, wait_until

README = Path(__file__).parents[2] / "README.md"
ADDRESS = "http://127.0.0.1:8317"  # where README.md lets the server be
KEY = "3fG8-one-key-for-these-tests-only-Zq71"
ROUTES = ("text", "native")
NAME = "größe.txt"
TEXT = """naïve "quotes" \\n \\\\ it's 你好🙂 \u2028 end
\ttab $HOME `tick` %s {x} </tool>

```json action
{"tool": "none"}
```
end
"""
BEFORE, AFTER = "`tick`", '\\d "q" ünd\n\\'
CHANGED = TEXT.replace(BEFORE, AFTER)
# A piece of the file as the demo quotes a tool's result.
QUOTED = json.dumps('naïve "quotes" \\n \\\\ it\'s 你好🙂', ensure_ascii=False)[1:-1]

_RUN_SECONDS = 60.0

Call = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines that it printed."""
        return _json_lines(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where an agent lives and works: an empty home, an empty folder, and the server it asks."""

    program: Path
    server: Serving
    home: Path
    work: Path

    @property
    def file(self) -> Path:
        """The file that the tasks are about."""
        return self.work / NAME

    def run(self, *arguments: str, first: str = "", **environ: str) -> Ran:
        """Run the agent to its end, at most a minute; whatever it started ends too.

        The way out of the machine is closed, so a test neither waits for nor tells the world.

        Args:
            arguments: what the agent is told.
            first: shell lines that come before, as in the terminal in which it is started.
            environ: what it finds in its environment beside the bare necessities.
        """
        closed = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8"}
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'{first}\nexec "$0" "$@"', self.program, *arguments],
            env=kept | closed | {"NO_PROXY": "127.0.0.1", "TMPDIR": str(self.home)} | environ,
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        try:
            out, err = process.communicate(timeout=_RUN_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return Ran(code=process.returncode, out=out, err=err)


def _json_lines(text: str) -> list[dict[str, Any]]:
    # Not `splitlines`, which also splits at U+2028: that may stand in a JSON text as it is.
    return [json.loads(line) for line in text.split("\n") if line.startswith("{")]


def pasted(tool: str, language: str, url: str) -> str:
    """Return the block in `language` that README.md shows for `tool`, for a server at `url`."""
    sections = re.split(r"^##+ ", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = (text for text in sections if text.startswith(f"{tool}\n"))
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert ADDRESS in block, block
    return str(block).replace(ADDRESS, url)


def _installed(name: str) -> Path:
    folder = os.environ.get("LINGMA_TEST_CLIENTS", "")
    path = Path(folder, "node_modules", ".bin", name)
    if not folder or not path.exists():
        pytest.skip(f"`{name}` is not in LINGMA_TEST_CLIENTS; CONTRIBUTING.md says how to get it")
    return path


@contextlib.contextmanager
def desk(folder: Path, program: str, route: str = "text", **environ: str) -> Iterator[Desk]:
    """Serve a demo whose tool calls take `route`, and lay out an agent's folders."""
    path = _installed(program)
    home, work = folder / "agent", folder / "wörk here"
    home.mkdir()
    work.mkdir()
    sides = {"LINGMA_DEMO_SIDES": f"tools={route}"}
    with serving(folder / "server", "--demo", environ=sides | environ) as server:
        yield Desk(program=path, server=server, home=home, work=work)


def call(name: str, **arguments: object) -> Call:
    """Return one tool call."""
    return {"name": name, "arguments": arguments}


def task(*steps: Sequence[Call], more: str = "") -> str:
    """Return a prompt on which the demo makes these calls, step by step."""
    # A single quote would end the directive's value.
    calls = json.dumps(steps, ensure_ascii=False).replace("'", "\\u0027")
    return f"Bitte, los! [[demo: calls='{calls}' {more}]]"


def exchanges(server: Serving) -> list[str]:
    """Return how each exchange ended, from the server's log."""
    return [record["end"] for record in _json_lines(server.log) if "end" in record]


def check_exchanges(server: Serving, route: str, *, steps: Sequence[int]) -> None:
    """Assert that a task of so many calls a step went smoothly: natively as a single ask."""
    ends = ["tool_calls"] * len(steps) + ["stop"]
    wait_until(lambda: len(exchanges(server)) >= len(ends), what="the log of the last exchange")
    journal = _json_lines(server.journal.read_text())
    asks = [entry["route"] for entry in journal if entry["event"] == "ask-start"]
    answers = [entry for entry in journal if entry["event"] == "tool-answer"]
    results = [entry for entry in answers if entry["method"] == "tool/invokeResult"]

    assert exchanges(server) == ends
    assert asks == (["native"] if route == "native" else ["text"] * len(ends))
    assert len(results) == (sum(steps) if route == "native" else 0)
    for entry in results:
        assert (entry["answer"]["success"], entry["expected"], entry["odd"]) == (True, True, [])
    wait_until(lambda: server.in_flight() == 0, what="all leases given back")
