"""The command line, parsed and as a real process."""

import json
from pathlib import Path

import pytest

from lingma_cli.demo.command import Command, Flags, UsageError, parse
from tests.demo.client import run, running
from tests.demo.test_logins import REAL, TOKEN, calls


def test_both_flag_forms_mean_the_same(tmp_path: Path) -> None:
    """`--flag value` and `--flag=value` are in use and mixed."""
    wanted = Flags(
        work_dir=tmp_path, socket_port=1, http_port=2, endpoint="https://e", startup_id="s"
    )
    spaced = (
        f"start --workDir {tmp_path} --socketPort 1 --httpPort 2 --transportType websocket"
        " --endpoint https://e --copyDataDir /old --startupId s"
    )
    joined = spaced.replace(" --", "\n--").replace(" ", "=").split("\n")

    assert parse(spaced.split()) == Command(name="start", flags=wanted)
    assert parse(joined) == Command(name="start", flags=wanted)


def test_the_default_root_is_that_of_the_binary() -> None:
    """Without `--workDir` the data root is `~/.lingma`."""
    assert parse(["start"]).flags.root == Path.home() / ".lingma"


@pytest.mark.parametrize(
    "words",
    [
        "",
        "serve",
        "start --colour red",
        "start --workDir",
        "start --socketPort many",
        "start --socketPort 70000",
        "start --transportType pipe",
        "start -o json",
        "--workDir /tmp",
    ],
)
def test_other_command_lines_are_a_usage_error(words: str) -> None:
    """Unknown subcommands and flags, bad values, and bare flags on the usual side."""
    with pytest.raises(UsageError):
        parse(words.split())


def test_the_bare_side_knows_no_start() -> None:
    """With bare flags only those start the server."""
    assert parse(["--socketPort", "5"], bare=True).flags.socket_port == 5
    with pytest.raises(UsageError):
        parse(["start"], bare=True)


def test_usage_errors_exit_with_2_and_the_usage_text() -> None:
    """The process says how it is used on stderr."""
    code, out, err = run("--workDir", "/nowhere")

    assert (code, out) == (2, "")
    assert "Usage: Lingma start [flags]" in err


def test_a_bad_switch_exits_with_2() -> None:
    """A switch that cannot be read is told at once."""
    code, _, err = run("version", start="exploded")

    assert code == 2
    assert "LINGMA_DEMO_START: unknown key `exploded`" in err


def test_version_says_that_it_is_a_simulator() -> None:
    """The first line has the binary's form."""
    assert run("version") == (0, "version: 2.11.1-demo\nsimulator: true\n", "")


def test_status_reads_the_login_of_a_work_directory(tmp_path: Path) -> None:
    """An empty directory is logged out, one that was started in is logged in."""
    before = json.loads(run("status", "-o", "json", "--workDir", str(tmp_path))[1])
    with running(tmp_path):
        after = json.loads(run("status", "-o=json", f"--workDir={tmp_path}")[1])

    assert before == {"logged_in": False, "version": "2.11.1-demo"}
    assert after == {
        "logged_in": True,
        "version": "2.11.1-demo",
        "username": "demo",
        "user_type": "personal_standard",
    }


def test_status_names_whoever_is_logged_in(tmp_path: Path) -> None:
    """And nobody after the logout."""
    words = ("status", "-o", "json", "--workDir", str(tmp_path))
    with running(tmp_path, login=REAL) as demo:
        calls(demo, ("auth/login", TOKEN | {"personalToken": "team-personal-token"}))
        calls(demo, ("auth/switchAccount", {"orgId": "org-red"}))
        inside = json.loads(run(*words)[1])
        calls(demo, ("auth/logout", {}))
        outside = json.loads(run(*words)[1])

    assert (inside["username"], inside["user_type"]) == ("team", "enterprise_standard")
    assert outside == {"logged_in": False, "version": "2.11.1-demo"}


def test_machine_info_tells_the_token_the_server_wants(tmp_path: Path) -> None:
    """The token is the one in `cache/machine_token.json`."""
    with running(tmp_path):
        written = json.loads((tmp_path / "cache/machine_token.json").read_text())

    code, out, _ = run("machine-info", "--workDir", str(tmp_path))

    assert (code, out) == (0, f"machine token: {written['token']}\nmachine type: demo\n")


def test_the_bare_side_starts_from_flags_alone(tmp_path: Path) -> None:
    """The other side of the conflict serves as well."""
    with running(tmp_path, sides="command=bare") as demo:
        assert demo.written["pid"] == demo.process.pid


def test_the_default_root_of_a_real_binary_is_left_alone(tmp_path: Path) -> None:
    """Without `--workDir` a foreign login in `~/.lingma` stops the simulator."""
    cache = tmp_path / ".lingma/cache"
    cache.mkdir(parents=True)
    (cache / "user").write_text("bm90IG91cnM=")

    code, _, err = run("start", home=str(tmp_path))

    assert code == 2
    assert "belongs to a real Lingma" in err
    assert not (tmp_path / ".lingma/.info").exists()
