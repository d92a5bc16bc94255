"""`lingma serve` as a newcomer meets it: the greeting, and the lines it offers to paste."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment, run_lingma, terminal
from tests.support.serving import serving, wait_until

KEY = re.compile(r"API key   (\S{20,}) \(new")


@pytest.fixture
def lingma_binary(tmp_path: Path) -> str:
    """An executable that answers like Lingma's."""
    return program(tmp_path, "Lingma", "lingma_cli.demo")


def program(folder: Path, name: str, module: str) -> str:
    path = folder / name
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
    path.chmod(0o700)
    return str(path)


def paste(line: str, home: Path, tools: Path) -> str:
    """Run `line` in a shell in which `lingma` and `python3` are the ones under test."""
    program(tools, "lingma", "lingma_cli")
    python = tools / "python3"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o700)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True,
        text=True,
        env={**environment(home), "PATH": path},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines_to_paste(said: str) -> tuple[str, str]:
    """Return the lines for Python and for curl."""
    indented = [line for line in said.splitlines() if line.startswith("  ")]
    (curl,) = (line for line in indented if line.startswith("  curl "))
    return "\n".join(indented[:2]), curl


@pytest.mark.parametrize("mode", ["demo", "keys"])
def test_the_pasted_lines_get_an_answer(tmp_path: Path, lingma_binary: str, mode: str) -> None:
    """Both clients reach the model, with and without a key; the greeting is talk, not data."""
    arguments = ["--demo"] if mode == "demo" else ["--bin", lingma_binary]
    with serving(tmp_path / "home", *arguments) as server:
        wait_until_said(server.home / "stderr", "\n  curl ")
        python, curl = lines_to_paste(server.log)

        assert "demo Lingma" in paste(python, server.home, tmp_path)
        assert "demo Lingma" in paste(curl, server.home, tmp_path)
        assert ("a simulator answers" in server.log) == (mode == "demo")
        assert (server.home / "stdout").read_bytes() == b""


def test_a_new_key_does_not_get_into_a_log(tmp_path: Path, lingma_binary: str) -> None:
    """With stderr in a file, the key is made but not shown."""
    with serving(tmp_path / "home", "--bin", lingma_binary, ready=False) as server:
        wait_until_said(server.home / "stderr", "API key")
        key = run_lingma("key", "show", home=server.home).out.strip()
        said = server.log

    assert len(key) >= 20
    assert key not in said
    assert "needed: run `lingma key show`" in said


def wait_until_said(log: Path, text: str) -> None:
    wait_until(lambda: text in log.read_text(), what=text)


def test_a_new_key_is_shown_once_and_at_a_terminal_only(tmp_path: Path, lingma_binary: str) -> None:
    """The first start shows it, later ones name the command that does."""
    arguments = ("serve", "--port", "0", "--bin", lingma_binary)
    with terminal(*arguments, home=tmp_path) as first:
        first.expect("curl:", timeout=30)
        shown = KEY.search(first.text())
        first.type("\x03")
        assert first.wait(30) in (0, 130)
    with terminal(*arguments, home=tmp_path) as second:
        second.expect("curl:", timeout=30)
        again = second.text()

    assert shown is not None
    assert f"{shown[1]}\n" == run_lingma("key", "show", home=tmp_path).out
    assert shown[1] not in again
    assert "API key   needed: run `lingma key show`" in again


def test_chat_models_and_status_find_the_server(tmp_path: Path) -> None:
    """The commands of one home need no address."""
    with serving(tmp_path / "home", "--demo") as server:
        answered = run_lingma("chat", "what is up?", home=server.home)
        listed = run_lingma("models", home=server.home)
        status = run_lingma("status", home=server.home)

    assert (answered.code, answered.err) == (0, "")
    assert "what is up?" in answered.out
    assert "org_auto" in listed.out
    assert f"process   {server.process.pid}" in status.out
    assert "demo-0    ready" in status.out


def test_with_neither_demo_nor_binary_there_is_a_hint(tmp_path: Path) -> None:
    """A newcomer learns how to get one, and how to do without; nothing is downloaded unasked."""
    result = run_lingma("serve", home=tmp_path, env={"HOME": str(tmp_path)})

    assert result.code == 4
    assert "error: Lingma is not installed" in result.err
    assert "hint: run `lingma engine install`; `lingma serve --demo`" in result.err


def test_an_id_stands_once_in_the_settings(tmp_path: Path) -> None:
    """Two engines of one id are wrong usage, and the setting is named."""
    engine = '[[engines]]\nurl = "http://127.0.0.1:{port}"\nid = "box"\n'
    config = tmp_path / "own.toml"
    config.write_text(engine.format(port=1) + engine.format(port=2))
    arguments = ("serve", "--engines", "0", "--port", "0", "--config", str(config))
    refused = run_lingma(*arguments, home=tmp_path / "home")

    assert refused.code == 2
    assert "`engines` in the settings: the id `box` is there twice" in refused.err
