"""`lingma completion`."""

from pathlib import Path

from lingma_cli.cli.app import tree
from lingma_cli.cli.completions import SCRIPTS
from tests.support.cli import run_lingma


def test_the_script_is_printed_alone(tmp_path: Path) -> None:
    """`source <(lingma completion bash)` gets the script and nothing else."""
    result = run_lingma("completion", "zsh", home=tmp_path)

    assert (0, SCRIPTS["zsh"].render(tree()), "") == (result.code, result.out, result.err)


def test_an_unknown_shell_is_an_error(tmp_path: Path) -> None:
    """The hint names those there are."""
    result = run_lingma("completion", "tcsh", home=tmp_path)

    assert (result.code, result.out) == (2, "")
    assert "error: unknown shell: `tcsh`\n\nhint: choose one of bash, zsh" in result.err
