"""`lingma login`, `logout` and `whoami`: options and texts; the logins are in `tests/e2e`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lingma_cli.auth.accounts import Account, Accounts
from lingma_cli.paths import find_paths
from tests.support.cli import run_lingma
from tests.support.logins import binary

AGREED = ("--accept-terms", "--store", "plain")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with two accounts that have no login any more."""
    accounts = Accounts(find_paths({"LINGMA_HOME": str(tmp_path / "home")}).accounts_file)
    accounts.add(Account(name="one", method="browser", username="ann", organisation="Red"))
    accounts.add(Account(name="two", method="token", endpoint="https://lingma.corp.example"))
    return tmp_path / "home"


def test_whoami(home: Path) -> None:
    """The active account is shown unless another is named; unknown things are dashes."""
    shown = run_lingma("whoami", home=home)
    two = json.loads(run_lingma("whoami", "--account", "two", "--json", home=home).out)

    rows = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert (rows["account"], rows["user"], rows["organisation"]) == ("one", "ann", "Red")
    assert rows["expires"] == "-"
    assert (two["account"], two["endpoint"]) == ("two", "https://lingma.corp.example")
    assert (two["username"], two["created"]) == (None, None)


def test_nobody_is_logged_in(tmp_path: Path, home: Path) -> None:
    """No account at all is a login that is missing; a name that is not there is a mistake."""
    nobody = run_lingma("whoami", home=tmp_path / "empty")
    unknown = run_lingma("whoami", "--account", "three", home=home)

    assert (nobody.code, "run `lingma login`" in nobody.err) == (5, True)
    assert (unknown.code, "no account `three`" in unknown.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("login", "--method", "magic"), "`--method` is none of"),
        (("login", "--account", "No Name"), "an account's name has"),
        (("login", "--timeout", "soon"), "--timeout"),
        (("login", "--endpoint", "http://lingma.example", *AGREED), "no https address"),
        (("login", "--endpoint", "lingma.example", *AGREED), "no https address"),
        (("logout", "--all", "--account", "one"), "exclude each other"),
        (
            ("login", "--method", "password", "--headless", "--selectors", "/no", *AGREED),
            "cannot use the selectors in `/no`",
        ),
    ],
)
def test_options_that_make_no_sense(home: Path, arguments: tuple[str, ...], told: str) -> None:
    """They are usage errors, before anything starts."""
    done = run_lingma(*arguments, home=home, stdin="secret\n")

    assert done.code == 2
    assert told in done.err


def test_logged_out_here_and_there(tmp_path: Path) -> None:
    """A copy of the login that was made before is of no use any more; nothing is left here."""
    home, cloud = tmp_path / "home", tmp_path / "cloud"
    options = ("--bin", str(binary(tmp_path, login=f"state=file cloud={cloud}")))
    login = ("login", "--method", "token", *options, *AGREED)
    assert run_lingma(*login, home=home, stdin="demo-personal-token\n").code == 0
    bundle = run_lingma("session", "export", "--plaintext", home=home).out
    done = run_lingma("logout", *options, home=home)
    copy = ("login", "--method", "import", "--account", "copy", *options, *AGREED)
    again = run_lingma(*copy, home=home, stdin=bundle)

    assert (done.code, "logged out `default`" in done.err) == (0, True)
    assert "could not be told" not in done.err
    assert (again.code, "does not confirm" in again.err) == (5, True)
    assert run_lingma("whoami", home=home).code == 5
    assert not list((home / "state" / "vault").glob("entry.login*"))


def test_logged_out_without_an_executable(tmp_path: Path) -> None:
    """The vendor cannot be told; here the login is gone all the same."""
    home = tmp_path / "home"
    login = ("login", "--method", "token", "--bin", str(binary(tmp_path)), *AGREED)
    for name in ("one", "two"):
        done = run_lingma(*login, "--account", name, home=home, stdin="demo-personal-token\n")
        assert done.code == 0, done.err
    done = run_lingma("logout", "--all", "--bin", "/nonexistent", home=home)

    assert done.code == 0, done.err
    assert done.err.count("the vendor could not be told") == 2
    assert run_lingma("whoami", home=home).code == 5
    assert not list((home / "state" / "vault").glob("entry.login*"))


def test_nobody_to_log_out(tmp_path: Path) -> None:
    """All of none is no error; the active one of none is."""
    everybody = run_lingma("logout", "--all", home=tmp_path / "home")
    somebody = run_lingma("logout", home=tmp_path / "home")

    assert (everybody.code, "no account" in everybody.err) == (0, True)
    assert somebody.code == 5
