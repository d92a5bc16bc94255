"""The completion scripts; bash runs here, the others are checked as text."""

import re
import subprocess
from pathlib import Path

import pytest

from lingma_cli.cli.app import tree
from lingma_cli.cli.completions import SCRIPTS
from tests.support.cli import run_lingma

ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compopt() { :; }
_lingma
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bash script as the program prints it."""
    folder = tmp_path_factory.mktemp("bash")
    path = folder / "lingma.bash"
    path.write_text(run_lingma("completion", "bash", home=folder).out)
    return path


def complete(script: Path, *words: str, folder: Path | None = None) -> list[str]:
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", str(script), "lingma", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (["serve", "session"], ["se"]),
        (["--version", "--help"], ["--"]),
        (["show"], ["key", ""]),
        (["--admin"], ["key", "show", "--a"]),
        (["--demo"], ["serve", "--port", "1", "--dem"]),
        (["debug"], ["serve", "--log-level", "d"]),
        (["chat", "agent"], ["serve", "--ask-mode", ""]),
        (["debug", "info", "warning", "error"], ["serve", "--log-level", "="]),
        (["warning"], ["serve", "--log-level", "=", "w"]),
        ([], ["serve", "--host", ""]),
        (["bash", "zsh", "fish", "powershell"], ["completion", ""]),
        (["--json"], ["chat", "serve", "--j"]),
        (["--json"], ["models", "--url", "http://x", "--j"]),
    ],
)
def test_bash_completes(script: Path, expected: list[str], words: list[str]) -> None:
    """Commands, options, and the values that can be known, also behind `=`."""
    found = complete(script, *words)

    # An argument's choices stand before the options.
    assert expected == [word for word in found if word in expected]
    if words[-1]:
        assert expected == found


def test_bash_completes_files(script: Path, tmp_path: Path) -> None:
    """Options that take a file complete its name, spaces included."""
    (tmp_path / "my settings.toml").touch()

    assert complete(script, "serve", "--config", "my", folder=tmp_path) == ["my settings.toml"]


def test_the_function_is_registered(script: Path) -> None:
    """Sourcing the script is all a user has to do."""
    done = subprocess.run(
        ["bash", "--norc", "-c", f'source "{script}"; complete -p lingma'],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "complete -F _lingma lingma\n"


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_shell_learns_every_command_and_option(shell: str) -> None:
    """Whatever the program accepts is in each script."""
    text = SCRIPTS[shell].render(tree())

    for command in tree().walk():
        for word in command.words:
            assert word in text
        for option in command.options:
            for name in option.names:
                known = re.escape(name if shell != "fish" else name.lstrip("-"))
                assert re.search(rf"(?<![\w-]){known}(?![\w-])", text), name
