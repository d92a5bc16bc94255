"""Which server a command talks to, and which keys leave the machine for it."""

import json
import os
from pathlib import Path

import pytest

from lingma_cli.cli.target import find_target
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths, write_private
from lingma_cli.secret import Secret
from lingma_cli.server.presence import ServerFile, announce, only_server
from lingma_cli.settings import Settings
from lingma_cli.wiring.vault import VaultDoor, find_keys

SERVER = ServerFile(url="http://127.0.0.1:9", pid=os.getpid(), started=1.0)
API, ADMIN = "lgm-0123456789abcdef", "lga-0123456789abcdef"


def generated_keys(home: Path) -> None:
    keys = {"api_key": API, "admin_token": ADMIN}
    write_private(find_paths({"LINGMA_HOME": str(home)}).keys_file, json.dumps(keys))


def revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def test_an_option_wins_over_the_variable_and_that_over_the_running_server(tmp_path: Path) -> None:
    """`--url`, `LINGMA_URL`, then the file that `serve` writes; a `/v1` at the end is dropped.

    A path before it stays.
    """
    home = {"LINGMA_HOME": str(tmp_path)}
    env = {**home, "LINGMA_URL": "http://127.0.0.1:2/v1"}
    paths = find_paths(home)

    with only_server(paths):
        announce(paths, SERVER)

        assert find_target("http://[::1]:3/", None, env).url == "http://[::1]:3"
        assert find_target(None, None, env).url == "http://127.0.0.1:2"
        assert find_target("http://box/lingma/v1/", None, env).url == "http://box/lingma"
        found = find_target(None, None, home)

    assert found.url == "http://127.0.0.1:9"
    assert found.server == SERVER


def test_a_dead_server_is_not_found(tmp_path: Path) -> None:
    """A file that a killed server left behind counts as none, whoever has its pid now."""
    announce(find_paths({"LINGMA_HOME": str(tmp_path)}), SERVER)

    with pytest.raises(LingmaError, match="no running server found") as raised:
        find_target(None, None, {"LINGMA_HOME": str(tmp_path)})

    assert ErrorKind.SERVER_NOT_FOUND is raised.value.kind


@pytest.mark.parametrize(
    "url",
    ["localhost:8317", "ftp://x", "http://", "http://u:p@x", "http://x:99999", "http://[", ""],
)
def test_what_is_no_address_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    """An address may hold a password, so the message does not show it."""
    env = {"LINGMA_HOME": str(tmp_path), "LINGMA_URL": "nonsense"}

    with pytest.raises(LingmaError) as raised:
        find_target(url, None, env)

    assert raised.value.kind is ErrorKind.USAGE
    assert raised.value.message.startswith("the server's address is not usable: ")
    assert "u:p" not in raised.value.advice


def test_keys_come_from_the_variable_the_settings_and_the_file(tmp_path: Path) -> None:
    """In this order."""
    generated_keys(tmp_path)
    env = {"LINGMA_HOME": str(tmp_path), "LINGMA_URL": "http://127.0.0.1:2"}

    def keys() -> tuple[str | None, str | None]:
        found = find_target(None, None, env).keys
        return revealed(found.api), revealed(found.admin)

    assert keys() == (API, ADMIN)
    env |= {"LINGMA_API_KEYS": "first,second", "LINGMA_ADMIN_TOKEN": "adm-set"}
    assert keys() == ("first", "adm-set")
    env |= {"LINGMA_API_KEY": "mine\n"}
    assert keys() == ("mine", "adm-set")


def test_keys_of_this_machine_stay_on_it(tmp_path: Path) -> None:
    """A server elsewhere gets no key but the one meant for it; all of 127.0.0.0/8 is here."""
    generated_keys(tmp_path)
    env = {"LINGMA_HOME": str(tmp_path), "LINGMA_API_KEYS": "first"}

    for local in ("http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1"):
        here = find_target(local, None, env).keys
        assert (revealed(here.api), revealed(here.admin)) == ("first", ADMIN)
    elsewhere = find_target("http://example.org", None, env).keys
    told = find_target("http://example.org", None, {**env, "LINGMA_API_KEY": "theirs"}).keys

    assert (elsewhere.api, elsewhere.admin) == (None, None)
    assert (revealed(told.api), revealed(told.admin)) == ("theirs", None)


def test_without_any_key_there_is_none(tmp_path: Path) -> None:
    """A machine that never served has no keys, and that is no error."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    keys = find_keys(Settings(), paths, VaultDoor(Settings(), paths, warn=pytest.fail).open)

    assert (keys.api, keys.admin) == (None, None)
