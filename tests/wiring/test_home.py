"""A home's accounts: vault, record and engine's folder change together."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from lingma_cli.auth.accounts import Account, Accounts
from lingma_cli.auth.bundles.bundle import Bundle, pack
from lingma_cli.auth.bundles.folder import lay, take
from lingma_cli.auth.keeping import LoginKeeper
from lingma_cli.auth.vault.plain_vault import PlainVault
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths
from lingma_cli.server.presence import ServerFile, announce, only_server
from lingma_cli.wiring.home import (
    Home,
    keep_login,
    known_login,
    remove_account,
    rename_account,
    stored_bundle,
    work_dir_of,
)

BUNDLE = Bundle(files={"id": b"machine", "user": b"record"})
LOGIN = pack(BUNDLE)
NEWER = Bundle(files={"id": b"machine", "user": b"newer"})
OTHER = Account(name="other", method="token", username="ann", created=5.0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with one account that is logged in until 2000 s."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path / "home")})
    vault, accounts = PlainVault(paths.vault_folder), Accounts(paths.accounts_file)
    vault.put("login/work", LOGIN)
    accounts.add(Account(name="work", method="token", created=1.0, expires=2000.0))
    return Home(paths=paths, vault=vault, accounts=accounts)


class _Crash(BaseException):
    """The end of the process."""


class _Steps:
    """Counts down to the end of the process."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def take(self) -> None:
        """Do one more, or die."""
        if not self._left:
            raise _Crash
        self._left -= 1


class DyingVault(PlainVault):
    """Dies before one of its changes."""

    def __init__(self, folder: Path, steps: _Steps) -> None:
        super().__init__(folder)
        self._steps = steps

    def put(self, name: str, value: bytes) -> None:
        """Keep it, if there is life left."""
        self._steps.take()
        super().put(name, value)

    def delete(self, name: str) -> bool:
        """Forget it, if there is life left."""
        self._steps.take()
        return super().delete(name)


class DyingAccounts(Accounts):
    """Die before one of their changes."""

    def __init__(self, path: Path, steps: _Steps) -> None:
        super().__init__(path)
        self._steps = steps

    def rename(self, old: str, new: str) -> None:
        """Do it, if there is life left."""
        self._steps.take()
        super().rename(old, new)


def crashing(home: Home, steps: int) -> Home:
    """Return the same home for a process that dies after so many changes."""
    left = _Steps(steps)
    return Home(
        paths=home.paths,
        vault=DyingVault(home.paths.vault_folder, left),
        accounts=DyingAccounts(home.paths.accounts_file, left),
    )


def refresh(home: Home, name: str, bundle: Bundle) -> None:
    """Leave an account as a server does that is killed right after its engine got a new login."""
    work_dir = work_dir_of(home.paths, name)
    LoginKeeper(home.vault, name, work_dir, warn=pytest.fail).lay()
    lay(bundle, work_dir, replace=True)


class FullVault(PlainVault):
    """Gives, but does not take."""

    def put(self, name: str, value: bytes) -> None:
        """Refuse."""
        raise LingmaError(ErrorKind.LOGIN_REQUIRED, "the vault is full")


class ForgetfulVault(PlainVault):
    """Takes everything and keeps nothing."""

    def put(self, name: str, value: bytes) -> None:
        """Do nothing."""


def test_who_is_logged_in(home: Home) -> None:
    """An account with a login that is not over; not one without, nor an expired one."""
    home.accounts.add(Account(name="bare", method="token"))

    assert known_login(home, "work", 1999.0) is not None
    assert known_login(home, "work", 2000.0) is None
    assert known_login(home, "bare", 0.0) is None
    assert known_login(home, "nobody", 0.0) is None


def test_renamed(home: Home) -> None:
    """Login, engine's folder and record go along; the old name is free again."""
    (work_dir_of(home.paths, "work") / "cache").mkdir(parents=True)
    rename_account(home, "work", "office")

    assert (home.vault.get("login/work"), home.vault.get("login/office")) == (None, LOGIN)
    assert [account.name for account in home.accounts.all()] == ["office"]
    assert not work_dir_of(home.paths, "work").exists()
    assert (work_dir_of(home.paths, "office") / "cache").exists()


def test_renamed_to_itself(home: Home) -> None:
    """Nothing is lost."""
    rename_account(home, "work", "work")

    assert home.vault.get("login/work") == LOGIN


def test_a_name_that_cannot_be_taken(home: Home) -> None:
    """A taken or an odd one leaves the login where it is."""
    home.accounts.add(Account(name="office", method="token"))
    for name in ("office", "No Name"):
        with pytest.raises(LingmaError):
            rename_account(home, "work", name)

    assert home.vault.get("login/work") == LOGIN


@pytest.mark.parametrize("steps", range(5))
def test_a_crash_while_renaming_loses_nothing(home: Home, steps: int) -> None:
    """After whichever step: the account has its newest login, and the command can be repeated."""
    refresh(home, "work", NEWER)
    with suppress(_Crash):
        rename_account(crashing(home, steps), "work", "office")
    (account,) = home.accounts.all()
    assert stored_bundle(home, account) == NEWER

    if account.name == "work":
        rename_account(home, "work", "office")
    assert stored_bundle(home, home.accounts.choose("office")) == NEWER
    assert not work_dir_of(home.paths, "work").exists()


def test_renamed_over_leftovers(home: Home) -> None:
    """What an account that is gone has left in the engine's folder is nobody's."""
    lay(BUNDLE, work_dir_of(home.paths, "work"))
    lay(NEWER, work_dir_of(home.paths, "office"))
    rename_account(home, "work", "office")

    assert take(work_dir_of(home.paths, "office")) == BUNDLE


def test_the_newest_login_is_returned(home: Home) -> None:
    """One that only the engine's folder has, after a crash, goes into the vault first."""
    refresh(home, "work", NEWER)

    assert stored_bundle(home, home.accounts.choose("work")) == NEWER
    assert home.vault.get("login/work") == pack(NEWER)
    account = home.accounts.choose("work")
    assert (account.expires, account.refreshed > 1) == (0, True)


def test_an_old_login_is_not_returned_for_the_newest(home: Home) -> None:
    """If the vault does not take that, it is said where it is."""
    refresh(home, "work", NEWER)
    full = Home(paths=home.paths, vault=FullVault(home.paths.vault_folder), accounts=home.accounts)

    with pytest.raises(LingmaError, match="a newer login of `work` is in") as caught:
        stored_bundle(full, home.accounts.choose("work"))

    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED
    assert caught.value.hint


def test_a_running_server_brings_its_logins_itself(home: Home) -> None:
    """The vault's is returned, and nothing is moved."""
    refresh(home, "work", NEWER)
    with only_server(home.paths):
        announce(home.paths, ServerFile(url="http://127.0.0.1:1", pid=1, started=0.0))
        assert stored_bundle(home, home.accounts.choose("work")) == BUNDLE


def test_not_while_a_server_runs(home: Home) -> None:
    """It would write the login back under the old name."""
    with only_server(home.paths):
        announce(home.paths, ServerFile(url="http://127.0.0.1:1", pid=1, started=0.0))
        with pytest.raises(LingmaError) as caught:
            rename_account(home, "work", "office")

    assert caught.value.kind is ErrorKind.ALREADY_RUNNING
    assert home.vault.get("login/work") == LOGIN


def test_the_login_is_kept(home: Home) -> None:
    """In the vault and in the list of accounts; an older one in the engine's folder is gone."""
    older = work_dir_of(home.paths, "other") / "cache" / "user"
    older.parent.mkdir(parents=True)
    older.write_text("older")
    keep_login(home, OTHER, BUNDLE)

    assert home.vault.get("login/other") == pack(BUNDLE)
    assert home.accounts.get("other") == OTHER
    assert not older.exists()


def test_a_vault_that_keeps_nothing(home: Home) -> None:
    """It is found out before anybody is told of a success, and there is no account."""
    vault = ForgetfulVault(home.paths.vault_folder)
    forgetful = Home(paths=home.paths, vault=vault, accounts=home.accounts)

    with pytest.raises(LingmaError, match="does not give back"):
        keep_login(forgetful, OTHER, BUNDLE)
    assert home.accounts.get("other") is None


def test_nothing_stays_of_a_removed_account(home: Home, tmp_path: Path) -> None:
    """In the whole home there is no byte of it; the others stay."""
    keep_login(home, OTHER, BUNDLE)
    lay(BUNDLE, work_dir_of(home.paths, "work"))
    # Of a trial that was killed.
    lay(Bundle(files={"id": b"i", "user": b"work"}), home.paths.state / "login" / "engine")

    remove_account(home, "work")

    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"work" in path.read_bytes() for path in left)
    assert not any("work" in path.name for path in tmp_path.rglob("*"))
    assert home.accounts.all() == (OTHER,)
    with pytest.raises(LingmaError, match="no account `work`"):
        remove_account(home, "work")


def test_an_account_and_the_engine_without_one_share_no_folder(home: Home) -> None:
    """Whatever the account is called."""
    assert work_dir_of(home.paths, "inst-0") != home.paths.data / "lingma" / "inst-0"
