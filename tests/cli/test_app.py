"""The program as a whole: exit codes, the error voice, what it loads, and broken outputs."""

import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli import __version__
from tests.support.cli import PROGRAM, environment, run_lingma, terminal
from tests.support.openai_server import UNTIL_CLIENT_LEAVES, Reply, answer, chunk, openai_server

HEAVY = ("httpx", "keyring", "playwright", "rich", "starlette", "uvicorn", "websockets")


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version_is_one_line(tmp_path: Path, flag: str) -> None:
    """Scripts can read it."""
    result = run_lingma(flag, home=tmp_path)

    assert (0, f"lingma {__version__}\n", "") == (result.code, result.out, result.err)


@pytest.mark.parametrize(
    ("argument", "unwanted"), [("--version", (*HEAVY, "typer", "msgspec")), ("--help", HEAVY)]
)
def test_quick_questions_load_nothing_heavy(
    tmp_path: Path, argument: str, unwanted: tuple[str, ...]
) -> None:
    """Neither the version nor the help waits for a server's modules."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "lingma_cli", argument],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
        check=True,
    )

    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "lingma_cli" in loaded
    assert not loaded & set(unwanted)


def test_without_arguments_the_help_is_shown(tmp_path: Path) -> None:
    """Every command is listed."""
    result = run_lingma(home=tmp_path)

    assert result.code == 0
    for name in ("serve", "chat", "models", "status", "key", "config", "completion", "version"):
        assert f"\n  {name} " in result.out


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["srve"], "no such command `srve`", "did you mean `serve`?"),
        (["zzz"], "no such command `zzz`", "run `lingma --help`"),
        (["key"], "missing command", "run `lingma key --help`"),
        (["models", "--jsn"], "no such option: --jsn", "did you mean `--json`?"),
        (["models", "x"], "got unexpected extra argument(s) (x)", "run `lingma models --help`"),
        (["completion"], "missing argument `bash|zsh|fish|powershell`", "run `lingma completion"),
        (["chat", "--model"], "option `--model` requires an argument", "run `lingma"),
        (["chat"], "there is no question", "ask like `lingma chat"),
        (
            ["serve", "--port", "x"],
            "`port` from flag takes an integer, not `x`",
            "run `lingma config",
        ),
        (["models", "--config", "no.toml"], "cannot read `no.toml`", "run `lingma config"),
        (["models", "--url", "localhost"], "the server's address is not usable", "write it like"),
    ],
)
def test_wrong_usage_ends_with_2_in_one_voice(
    tmp_path: Path, arguments: list[str], error: str, hint: str
) -> None:
    """An error, an empty line and a hint on stderr; nothing on stdout, no box, no traceback."""
    result = run_lingma(*arguments, home=tmp_path)

    assert (result.code, result.out) == (2, "")
    first, empty, last = result.err.splitlines()
    assert first.startswith(f"error: {error}")
    assert empty == ""
    assert last.startswith(f"hint: {hint}")


@pytest.mark.parametrize("command", ["models", "status", "chat"])
def test_without_a_server_commands_end_with_3(tmp_path: Path, command: str) -> None:
    """They say so and name what to run."""
    result = run_lingma(command, home=tmp_path, stdin="hi")

    assert (result.code, result.out) == (3, "")
    assert "error: no running server found\n\nhint: run `lingma serve`" in result.err


def test_a_reader_that_leaves_ends_the_program_quietly(tmp_path: Path) -> None:
    """`| head` gets no traceback and no complaint."""
    with subprocess.Popen(
        [*PROGRAM, "completion", "fish"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        code = process.wait(20)

    assert (code, said) == (141, b"")


@pytest.mark.parametrize(("env", "is_traced"), [({}, False), ({"LINGMA_TRACEBACK": "1"}, True)])
def test_the_unexpected_is_one_line_and_a_traceback_on_demand(
    tmp_path: Path, env: dict[str, str], is_traced: bool
) -> None:
    """A full disk is an error: nothing is claimed to be written, and no traceback frightens."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(tmp_path, env),
            check=False,
        )

    assert done.returncode == 1
    assert done.stderr.startswith("error: unexpected OSError: ")
    assert is_traced == ("Traceback" in done.stderr)
    assert is_traced != ("hint: run it again with `LINGMA_TRACEBACK=1`" in done.stderr)


@pytest.mark.parametrize("closed", [1, 2])
def test_closed_streams_do_no_harm(tmp_path: Path, closed: int) -> None:
    """A program started without stdout or stderr still ends as it should."""
    command = f"{sys.executable} -m lingma_cli version {closed}>&-"

    done = subprocess.run(["/bin/sh", "-c", command], env=environment(tmp_path), check=False)

    assert done.returncode == 0


def test_output_that_the_terminal_cannot_spell_does_not_crash(tmp_path: Path) -> None:
    """An ASCII-only stdout gets question marks, JSON gets escapes."""
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    with openai_server(chat=answer("é 你好")) as server:
        plain = run_lingma("chat", "hi", "--url", server.url, home=tmp_path, env=ascii_only)
        as_json = run_lingma(
            "chat", "hi", "--json", "--url", server.url, home=tmp_path, env=ascii_only
        )

    assert (plain.code, plain.out) == (0, "? ??\n")
    assert '"answer": "\\u00e9 \\u4f60\\u597d"' in as_json.out


def test_ctrl_c_ends_with_130(tmp_path: Path) -> None:
    """An answer that is stopped by its only reader is no error to explain."""
    endless = Reply(pieces=[chunk("and so on"), UNTIL_CLIENT_LEAVES])
    with (
        openai_server(chat=endless) as server,
        terminal("chat", "go", "--url", server.url, home=tmp_path) as screen,
    ):
        screen.expect("and so on")
        screen.type("\x03")
        assert screen.wait() == 130
        assert server.client_left.wait(10)

    assert screen.text() == "and so on^C"
