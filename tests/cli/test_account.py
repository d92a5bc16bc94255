"""`lingma account`: the list, and what is done with one of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli import Result, run_lingma
from tests.support.logins import binary

AGREED = ("--accept-terms", "--store", "plain")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which `work` and `play` are logged in."""
    options = ("--method", "token", "--bin", str(binary(tmp_path)), *AGREED)
    for name, token in (("work", "team-personal-token"), ("play", "demo-personal-token")):
        more = ("--organisation", "org-red") if name == "work" else ()
        named = ("login", "--account", name, *options, *more)
        done = run_lingma(*named, home=tmp_path / "home", stdin=f"{token}\n")
        assert done.code == 0, done.err
    return tmp_path / "home"


def account(home: Path, *arguments: str) -> Result:
    """Run `lingma account …`."""
    return run_lingma("account", *arguments, home=home)


def names(home: Path) -> dict[str, bool]:
    """Return the accounts, and whether each is the active one."""
    listed = json.loads(account(home, "list", "--json").out)
    return {one["account"]: one["active"] for one in listed}


def test_list_use_rename_remove(home: Path) -> None:
    """Each leaves the list as it says, and the vault with the logins of those that are there."""
    assert names(home) == {"work": True, "play": False}
    assert account(home, "use", "play").code == 0
    assert names(home) == {"work": False, "play": True}
    assert account(home, "rename", "play", "fun").code == 0
    assert names(home) == {"work": False, "fun": True}
    assert account(home, "test", "fun", "--bin", str(home.parent / "Lingma")).code == 0
    assert account(home, "remove", "work").code == 0
    assert names(home) == {"fun": True}

    left = sorted(path.name for path in (home / "state" / "vault").glob("entry.login*"))
    assert left == ["entry.login+fun.plain"]


def test_the_list_for_people(home: Path, tmp_path: Path) -> None:
    """A row an account, `*` at the active one; without accounts the command to run."""
    rows = [line.split() for line in account(home, "list").out.splitlines()]
    empty = account(tmp_path / "empty", "list")

    assert rows[0] == ["ACCOUNT", "USER", "ORGANISATION", "BY", "SINCE", "EXPIRES"]
    assert rows[1][:6] == ["work", "*", "team", "Org", "Red", "token"]
    assert rows[2][:4] == ["play", "demo", "-", "token"]
    assert (empty.code, empty.out, "lingma login" in empty.err) == (0, "", True)


def test_a_login_is_tried_out(home: Path) -> None:
    """An engine says who it is; a login that is none is exit code 5."""
    path = home.parent / "Lingma"
    entry = home / "state" / "vault" / "entry.login+work.plain"
    before = entry.read_bytes()
    good = account(home, "test", "--bin", str(path))
    # The same executable, which now says that nobody is logged in.
    binary(home.parent, login="state=out")
    bad = account(home, "test", "play", "--bin", str(path))

    assert (good.code, "`work` is logged in as team" in good.err) == (0, True)
    assert bad.code == 5
    assert entry.read_bytes() == before
    assert list((home / "state").glob("verify-*")) == []


@pytest.mark.parametrize(
    "arguments", [("use",), ("remove",), ("test",), ("rename", "other")], ids=lambda words: words[0]
)
def test_an_account_that_is_not_there(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """It is named, and no vault is begun for it."""
    command, *rest = arguments
    done = account(tmp_path / "home", command, "nobody", *rest)

    assert done.code == 2
    assert "`nobody`" in done.err
    assert not (tmp_path / "home" / "state" / "vault").exists()
