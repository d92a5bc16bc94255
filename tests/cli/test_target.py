"""Which server a command talks to, and which keys leave the machine for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli.cli.target import find_keys, find_target
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths, write_private
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings


def running(home: Path, pid: int | None = None, url: str = "http://127.0.0.1:9") -> None:
    facts = {"url": url, "pid": pid or os.getpid(), "started": 1.0}
    write_private(find_paths({"LINGMA_HOME": str(home)}).server_file, json.dumps(facts))


def generated_keys(home: Path) -> None:
    keys = {"api_key": "lgm-file", "admin_token": "adm-file"}
    write_private(find_paths({"LINGMA_HOME": str(home)}).keys_file, json.dumps(keys))


def revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def test_an_option_wins_over_the_variable_and_that_over_the_running_server(tmp_path: Path) -> None:
    """`--url`, `LINGMA_URL`, then the file that `serve` writes; a `/v1` at the end is dropped."""
    home = {"LINGMA_HOME": str(tmp_path)}
    running(tmp_path)
    env = {**home, "LINGMA_URL": "http://127.0.0.1:2/v1"}

    assert find_target("http://[::1]:3/", None, env).url == "http://[::1]:3"
    assert find_target(None, None, env).url == "http://127.0.0.1:2"
    found = find_target(None, None, home)
    assert found.url == "http://127.0.0.1:9"
    assert found.server is not None
    assert (os.getpid(), 1.0) == (found.server.pid, found.server.started)


def test_a_dead_server_is_not_found(tmp_path: Path) -> None:
    """A file that a killed server left behind counts as none."""
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    running(tmp_path, pid=dead.pid)

    with pytest.raises(LingmaError, match="no running server found") as raised:
        find_target(None, None, {"LINGMA_HOME": str(tmp_path)})

    assert ErrorKind.SERVER_NOT_FOUND is raised.value.kind


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    """Garbage where the server's file should be is said to be that."""
    write_private(find_paths({"LINGMA_HOME": str(tmp_path)}).server_file, "{")

    with pytest.raises(LingmaError, match=r"cannot read `.*server\.json`"):
        find_target(None, None, {"LINGMA_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "url",
    ["localhost:8317", "ftp://x", "http://", "http://u:p@x", "http://x:99999", "http://[", ""],
)
def test_what_is_no_address_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    """An address may hold a password, so the message does not show it."""
    env = {"LINGMA_HOME": str(tmp_path), "LINGMA_URL": "nonsense"}

    with pytest.raises(LingmaError) as raised:
        find_target(url, None, env)

    assert (
        raised.value.kind,
        raised.value.message,
    ) == (ErrorKind.USAGE, "the server's address is not usable")


def test_keys_come_from_the_variable_the_settings_and_the_file(tmp_path: Path) -> None:
    """In this order."""
    generated_keys(tmp_path)
    env = {"LINGMA_HOME": str(tmp_path), "LINGMA_URL": "http://127.0.0.1:2"}

    def keys() -> tuple[str | None, str | None]:
        found = find_target(None, None, env).keys
        return revealed(found.api), revealed(found.admin)

    assert keys() == ("lgm-file", "adm-file")
    env |= {"LINGMA_API_KEYS": "first,second", "LINGMA_ADMIN_TOKEN": "adm-set"}
    assert keys() == ("first", "adm-set")
    env |= {"LINGMA_API_KEY": "mine\n"}
    assert keys() == ("mine", "adm-set")


def test_keys_of_this_machine_stay_on_it(tmp_path: Path) -> None:
    """A server elsewhere gets no key but the one meant for it."""
    generated_keys(tmp_path)
    env = {"LINGMA_HOME": str(tmp_path), "LINGMA_API_KEYS": "first"}

    here = find_target("http://localhost:1", None, env).keys
    elsewhere = find_target("http://example.org", None, env).keys
    told = find_target("http://example.org", None, {**env, "LINGMA_API_KEY": "theirs"}).keys

    assert (revealed(here.api), revealed(here.admin)) == ("first", "adm-file")
    assert (elsewhere.api, elsewhere.admin) == (None, None)
    assert (revealed(told.api), revealed(told.admin)) == ("theirs", None)


def test_without_any_key_there_is_none(tmp_path: Path) -> None:
    """A machine that never served has no keys, and that is no error."""
    keys = find_keys(Settings(), find_paths({"LINGMA_HOME": str(tmp_path)}))

    assert (keys.api, keys.admin) == (None, None)
