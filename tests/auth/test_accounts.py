"""The file of accounts: names, the active one, and writers at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lingma_cli.auth.accounts import Account, Accounts, check_name
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import opened, try_lock

WORK = Account(name="work", method="browser", username="w", created=1.0, organisation="应用")
HOME = Account(name="home", method="import", endpoint="https://lingma.example.com")


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "state" / "accounts.json")


@pytest.fixture
def two(accounts: Accounts) -> Accounts:
    accounts.add(WORK)
    accounts.add(HOME)
    return accounts


def test_what_is_added_is_found(two: Accounts, tmp_path: Path) -> None:
    """By whoever reads the file next; it is the user's alone."""
    again = Accounts(tmp_path / "state" / "accounts.json")

    assert again.all() == (WORK, HOME)
    assert (again.get("home"), again.get("other")) == (HOME, None)
    assert (tmp_path / "state" / "accounts.json").stat().st_mode & 0o777 == 0o600


def test_looking_makes_no_file(accounts: Accounts, tmp_path: Path) -> None:
    """There are no accounts, and no trace."""
    assert (accounts.all(), accounts.active(), accounts.get("x")) == ((), None, None)
    assert not (tmp_path / "state").exists()


def test_an_account_is_stored_over_itself(two: Accounts) -> None:
    """In its old place."""
    newer = Account(name="work", method="token", created=2.0)
    two.add(newer)

    assert two.all() == (newer, HOME)


def test_the_first_is_active_until_another_is_chosen(two: Accounts) -> None:
    """A chosen one stays so under another name; without it the first is meant again."""
    assert two.active() == WORK

    two.use("home")
    two.rename("home", "private")
    active = two.active()
    assert active is not None
    assert active.name == "private"

    assert two.remove("private")
    assert two.active() == WORK


def test_who_names_no_account_means_the_active_one(accounts: Accounts) -> None:
    """Without any, a login is what is missing."""
    with pytest.raises(LingmaError) as caught:
        accounts.choose(None)
    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED

    accounts.add(WORK)
    accounts.add(HOME)
    assert (accounts.choose(None), accounts.choose("home")) == (WORK, HOME)


def test_a_namesake_of_a_removed_one_is_not_active(two: Accounts) -> None:
    """The choice goes with the account."""
    two.use("home")
    two.remove("home")
    two.add(HOME)

    assert two.active() == WORK


def test_removing_tells_whether_there_was_one(two: Accounts) -> None:
    """Twice is no error."""
    assert (two.remove("work"), two.remove("work")) == (True, False)
    assert two.all() == (HOME,)


def test_a_name_is_not_taken_twice(two: Accounts) -> None:
    """Renaming to itself is nothing."""
    with pytest.raises(LingmaError, match="`home` already"):
        two.rename("work", "home")
    two.rename("work", "work")

    assert two.all() == (WORK, HOME)


def test_a_name_for_another_account(two: Accounts) -> None:
    """One that nobody has and anybody may have; asking changes nothing."""
    two.check_free("third")
    for name in ("home", "No Name"):
        with pytest.raises(LingmaError):
            two.check_free(name)

    assert two.all() == (WORK, HOME)


def test_an_unknown_account_cannot_be_meant(two: Accounts) -> None:
    """Neither chosen nor renamed; the hint says where the names are."""
    acts: list[Callable[[], object]] = [
        lambda: two.choose("other"),
        lambda: two.use("other"),
        lambda: two.rename("other", "third"),
    ]
    for act in acts:
        with pytest.raises(LingmaError, match="no account `other`") as caught:
            act()
        assert "lingma account list" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["a", "0", "default", "a.b_c-d", "a" * 32])
def test_names(name: str) -> None:
    """Short, and harmless in a path, a keyring and a shell."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", ".", "..", "a/b", "a" * 33, "ü", "a b", "a\n"])
def test_names_that_are_none(two: Accounts, name: str) -> None:
    """They reach no file."""
    with pytest.raises(LingmaError):
        two.add(Account(name=name, method="import"))
    with pytest.raises(LingmaError):
        two.rename("work", name)

    assert two.all() == (WORK, HOME)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"accounts": [{}]}',
        b'{"accounts": [{"name": "../x", "method": "m"}]}',
        b'{"active": 1}',
        b'{"active": "\xff"}',
    ],
)
def test_a_corrupt_file_is_left_for_a_person(two: Accounts, tmp_path: Path, content: bytes) -> None:
    """It is neither taken for empty nor written over."""
    path = tmp_path / "state" / "accounts.json"
    path.write_bytes(content)

    for act in (two.all, lambda: two.add(WORK)):
        with pytest.raises(LingmaError, match="it is corrupt") as caught:
            act()
        assert caught.value.kind is ErrorKind.USAGE
    assert path.read_bytes() == content


def test_fields_of_a_later_version_do_not_harm(accounts: Accounts, tmp_path: Path) -> None:
    """An older program reads what a newer one wrote."""
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "accounts.json").write_text(
        '{"later": 1, "accounts": [{"name": "work", "method": "browser", "later": 1}]}'
    )

    assert accounts.all() == (Account(name="work", method="browser"),)


_ADD_TEN = """
import sys
from pathlib import Path
from lingma_cli.auth.accounts import Account, Accounts
for number in range(10):
    Accounts(Path(sys.argv[1])).add(Account(name=f"{sys.argv[2]}-{number}", method="import"))
"""


def test_writers_wait_for_each_other(accounts: Accounts, tmp_path: Path) -> None:
    """Three processes at once lose no account."""
    path = str(tmp_path / "state" / "accounts.json")
    writers = [subprocess.Popen([sys.executable, "-c", _ADD_TEN, path, name]) for name in "abc"]

    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert len(accounts.all()) == 30


def test_a_lock_that_stays_is_an_error(tmp_path: Path) -> None:
    """After patience, and with nothing changed; reading needs no lock."""
    waited: list[float] = []
    accounts = Accounts(tmp_path / "state" / "accounts.json", pause=waited.append)
    accounts.add(WORK)

    with opened(tmp_path / "state" / "accounts.lock", os.O_RDWR) as descriptor:
        assert try_lock(descriptor)
        with pytest.raises(LingmaError, match="stays locked"):
            accounts.remove("work")

    assert sum(waited) > 1.0
    assert accounts.all() == (WORK,)
