"""The vault as the settings say, and the generated keys in it.

With a keyring: `tests/e2e/test_vault.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lingma_cli.auth.keys_file import GeneratedKeys
from lingma_cli.errors import FACES, LingmaError
from lingma_cli.paths import Paths, find_paths, write_private
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.vault import (
    AskPassphrase,
    Keys,
    VaultDoor,
    Warn,
    ask_at_terminal,
    find_keys,
    find_or_make_keys,
)
from tests.support.cli import run_lingma, terminal

PHRASE = "correct horse battery staple"
KEYS = {"api_key": "lgm-0123456789abcdef", "admin_token": "lga-0123456789abcdef"}
ENCRYPTED, PLAIN = Settings(store="encrypted"), Settings(store="plain")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"LINGMA_HOME": str(tmp_path / "home")})


def door(
    settings: Settings, paths: Paths, *, warn: Warn = pytest.fail, ask: AskPassphrase = pytest.fail
) -> VaultDoor:
    return VaultDoor(settings, paths, warn=warn, ask=ask)


def find(
    settings: Settings, paths: Paths, *, warn: Warn = pytest.fail, ask: AskPassphrase = pytest.fail
) -> Keys:
    return find_keys(settings, paths, door(settings, paths, warn=warn, ask=ask).open)


def find_or_make(
    settings: Settings, paths: Paths, *, warn: Warn = pytest.fail, ask: AskPassphrase = pytest.fail
) -> GeneratedKeys:
    at = door(settings, paths, warn=warn, ask=ask)
    return find_or_make_keys(settings, paths, at, warn=warn)


class Person:
    """Answers questions from a list and remembers what they were."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, prompt: str) -> Secret | None:
        self.asked.append(prompt)
        answer = self._answers.pop(0)
        return Secret(answer) if answer else None


def passphrase_file(tmp_path: Path, content: str = f"{PHRASE}\nmore\n") -> Path:
    path = tmp_path / "phrase"
    write_private(path, content)
    return path


def test_a_new_passphrase_is_asked_for_twice_and_later_once(paths: Paths) -> None:
    """A slip of the finger must not lock a vault for ever."""
    person = Person(PHRASE, PHRASE, PHRASE)
    door(ENCRYPTED, paths, ask=person).open().put("keys", b"value")
    again = door(Settings(), paths, ask=person).open()

    assert again.get("keys") == b"value"
    assert [asked.startswith("passphrase") for asked in person.asked] == [True, False, True]


def test_two_different_new_passphrases_are_refused(paths: Paths) -> None:
    """Nothing is begun."""
    person = Person(PHRASE, "another")
    with pytest.raises(LingmaError, match="the two passphrases differ"):
        door(ENCRYPTED, paths, ask=person).open()

    person = Person(PHRASE, PHRASE)
    door(ENCRYPTED, paths, ask=person).open()


def test_a_passphrase_file_stands_in_for_the_person(paths: Paths, tmp_path: Path) -> None:
    """Its first line counts, whatever ends it."""
    settings = replace(ENCRYPTED, passphrase_file=str(passphrase_file(tmp_path)))
    door(settings, paths).open().put("keys", b"value")
    passphrase_file(tmp_path, PHRASE)
    assert door(settings, paths).open().get("keys")
    passphrase_file(tmp_path, f"{PHRASE}\r\n")
    assert door(settings, paths).open().get("keys")

    with pytest.raises(LingmaError, match="does not fit"):
        door(ENCRYPTED, paths, ask=Person("another")).open()


def test_a_doubtful_passphrase_file_is_refused(paths: Paths, tmp_path: Path) -> None:
    """Missing, empty, no text, or open to others: nobody is asked instead."""
    path = passphrase_file(tmp_path)
    settings = replace(ENCRYPTED, passphrase_file=str(path))
    path.chmod(0o644)
    with pytest.raises(LingmaError, match="others may open it"):
        door(settings, paths).open()
    for content in (b"", b"\nlater\n", b"\xff\xfe\n"):
        write_private(path, content)
        with pytest.raises(LingmaError, match="its first line is no passphrase"):
            door(settings, paths).open()
    path.unlink()
    with pytest.raises(LingmaError, match="there is no file") as caught:
        door(settings, paths).open()

    assert FACES[caught.value.kind].exit_code == 2


def test_a_plain_vault_warns_each_time(paths: Paths) -> None:
    """Also when nobody has chosen it this time."""
    warnings: list[str] = []
    for settings in (PLAIN, PLAIN, Settings()):
        door(settings, paths, warn=warnings.append, ask=pytest.fail).open()

    assert len(warnings) == 3
    assert all("unencrypted" in warning for warning in warnings)


def test_a_door_opens_once(paths: Paths) -> None:
    """Whoever asks for the vault again gets the same one, and nobody is asked again."""
    person = Person(PHRASE, PHRASE)
    at = door(ENCRYPTED, paths, ask=person)
    find_or_make_keys(ENCRYPTED, paths, at, warn=pytest.fail)

    assert at.open() is at.open()
    assert len(person.asked) == 2


def test_a_closed_door_may_open_later(paths: Paths) -> None:
    """One that could not be opened without a question is opened with one."""
    at = door(ENCRYPTED, paths, ask=Person(PHRASE, PHRASE))
    with pytest.raises(LingmaError, match="needs its passphrase"):
        at.open(asks=False)

    assert at.open().kind == "encrypted"


def test_keys_move_into_the_vault_and_are_found_there(paths: Paths) -> None:
    """Unchanged, and the file is gone."""
    write_private(paths.keys_file, json.dumps(KEYS))
    person = Person(*[PHRASE] * 3)
    made = find_or_make(ENCRYPTED, paths, ask=person)
    found = find(Settings(), paths, ask=person)

    assert not paths.keys_file.exists()
    assert (made.api_key, made.is_new) == (Secret(KEYS["api_key"]), False)
    assert found.api == Secret(KEYS["api_key"])
    assert found.admin == Secret(KEYS["admin_token"])


def test_no_secret_is_left_under_the_home(paths: Paths, tmp_path: Path) -> None:
    """With an encrypted vault no file holds key, token or passphrase."""
    person = Person(*[PHRASE] * 2)
    keys = find_or_make(ENCRYPTED, paths, ask=person)
    searched = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]

    assert searched
    for secret in (keys.api_key, keys.admin_token, Secret(PHRASE)):
        for path in searched:
            assert secret.reveal().encode() not in path.read_bytes()


def test_looking_makes_nothing(paths: Paths) -> None:
    """Who only reads begins no vault."""
    keys = find(Settings(), paths)

    assert (keys.api, keys.admin) == (None, None)
    assert not paths.state.exists()


def test_configured_keys_need_no_vault(paths: Paths) -> None:
    """A vault that would not open is not even tried."""
    find_or_make(ENCRYPTED, paths, ask=Person(PHRASE, PHRASE))
    settings = Settings(api_keys=(Secret("first"), Secret("second")), admin_token=Secret("adm"))
    keys = find(settings, paths)

    assert (keys.api, keys.admin) == (Secret("first"), Secret("adm"))


def test_keys_in_a_vault_that_does_not_open_are_not_made_anew(paths: Paths) -> None:
    """For reader and server alike."""
    find_or_make(ENCRYPTED, paths, ask=Person(PHRASE, PHRASE))
    for take in (find, find_or_make):
        with pytest.raises(LingmaError, match="does not fit") as caught:
            take(Settings(), paths, ask=Person("wrong"))
        assert FACES[caught.value.kind].exit_code == 5
        assert not paths.keys_file.exists()


def test_keys_still_in_their_file_serve_when_the_vault_does_not_open(paths: Paths) -> None:
    """The move waits for another day, and one line says so."""
    door(ENCRYPTED, paths, ask=Person(PHRASE, PHRASE)).open()
    write_private(paths.keys_file, json.dumps(KEYS))
    warnings: list[str] = []
    keys = find_or_make(Settings(), paths, warn=warnings.append, ask=Person("wrong"))

    assert keys.api_key == Secret(KEYS["api_key"])
    assert paths.keys_file.exists()
    assert len(warnings) == 1
    assert "does not fit" in warnings[0]


def test_a_lost_mark_makes_no_new_keys(paths: Paths) -> None:
    """The vault's entries are there, so the keys are not lost; a person has to look."""
    find_or_make(ENCRYPTED, paths, ask=Person(PHRASE, PHRASE))
    (paths.vault_folder / "vault.json").unlink()

    with pytest.raises(LingmaError, match="is missing"):
        find_or_make(Settings(), paths)

    assert not paths.keys_file.exists()


def test_without_a_terminal_nobody_is_asked() -> None:
    """The tests have none; a program in a pipe has none either."""
    assert ask_at_terminal("passphrase: ") is None


def test_the_person_types_the_passphrase_unseen(paths: Paths, tmp_path: Path) -> None:
    """`lingma key show` asks at the terminal, and in a pipe it says what it lacks."""
    write_private(paths.keys_file, json.dumps(KEYS))
    find_or_make(ENCRYPTED, paths, ask=Person(PHRASE, PHRASE))
    with terminal("key", "show", home=tmp_path / "home") as shown:
        shown.expect("passphrase of the vault:")
        shown.type(f"{PHRASE}\r")
        shown.expect(KEYS["api_key"])
        assert shown.wait() == 0
        assert PHRASE not in shown.text()

    piped = run_lingma("key", "show", home=tmp_path / "home")
    assert (piped.code, piped.out) == (5, "")
    assert "needs its passphrase" in piped.err
    env = {"LINGMA_PASSPHRASE_FILE": str(passphrase_file(tmp_path))}
    assert run_lingma("key", "show", home=tmp_path / "home", env=env).out.strip() == KEYS["api_key"]


def test_heavy_packages_are_imported_only_for_their_vault(tmp_path: Path) -> None:
    """Not by importing the module, looking where there is no vault, or opening a plain one."""
    program = """
import sys; from pathlib import Path
from lingma_cli.paths import find_paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.vault import VaultDoor, find_keys
paths = find_paths({"LINGMA_HOME": sys.argv[1]})
find_keys(Settings(), paths, VaultDoor(Settings(), paths, warn=print).open)
VaultDoor(Settings(store="plain"), paths, warn=lambda _: None).open().put("keys", b"x")
print({"keyring", "cryptography", "secretstorage", "jeepney"} & set(sys.modules))
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
