"""Logins between bundles and the vault of a home."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lingma_cli.auth.accounts import Account
from lingma_cli.auth.bundles.bundle import Bundle, pack, to_text
from lingma_cli.auth.bundles.folder import is_live, lay, take
from lingma_cli.auth.bundles.sealed import seal
from lingma_cli.auth.keeping import entry_of
from lingma_cli.core.login import LoginState, LoginStatus
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths, write_private
from lingma_cli.secret import Secret
from lingma_cli.server.presence import ServerFile, announce, only_server
from lingma_cli.settings import Settings
from lingma_cli.wiring.home import (
    Home,
    has_login,
    open_home,
    remove_account,
    stored_bundle,
    work_dir_of,
)
from lingma_cli.wiring.session import (
    bundle_passphrase,
    configured_accounts,
    import_session,
    list_sessions,
)

ONE = Bundle(files={"id": b"i1", "user": b"u1", "quota": b"q"})
TWO = Bundle(files={"id": b"i2", "user": b"u2"})
IN = LoginStatus(state=LoginState.IN, name="alice", organisation="org", expires=9e9)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"LINGMA_HOME": str(tmp_path)})


@pytest.fixture
def home(paths: Paths) -> Home:
    return open_home(Settings(store="plain"), paths, warn=lambda _: None)


def test_what_is_imported_is_stored(home: Home) -> None:
    """As an account of its own, with the time; the engine's folder waits for the next start."""
    stored = import_session(home, ONE, "work", endpoint="https://l.example.com", now=5.0)

    assert stored == Account(
        name="work", method="import", endpoint="https://l.example.com", created=5.0
    )
    assert home.accounts.all() == (stored,)
    assert stored_bundle(home, stored) == ONE
    assert not work_dir_of(home.paths, "work").exists()


@pytest.mark.parametrize("place", ["vault", "folder"])
def test_a_live_login_stays(home: Home, place: str) -> None:
    """Whether the vault holds it or, as yet, only the engine's folder."""
    if place == "vault":
        import_session(home, ONE, "work", endpoint="", now=5.0)
    else:
        lay(ONE, work_dir_of(home.paths, "work"))

    with pytest.raises(LingmaError, match="has a login already") as caught:
        import_session(home, TWO, "work", endpoint="", now=6.0)

    assert "--replace" in (caught.value.hint or "")
    assert has_login(home, "work")
    if place == "vault":
        assert stored_bundle(home, home.accounts.choose("work")) == ONE
    else:
        assert take(work_dir_of(home.paths, "work")) == ONE


def test_a_live_login_is_replaced_on_demand(home: Home) -> None:
    """In the vault, and out of the folder, which the next start fills; its owner's name goes."""
    home.accounts.add(Account(name="work", method="browser", endpoint="https://e", username="old"))
    home.vault.put(entry_of("work"), pack(ONE))
    lay(ONE, work_dir_of(home.paths, "work"))

    import_session(home, TWO, "work", endpoint="", now=6.0, overwrite=True)

    account = home.accounts.choose("work")
    assert stored_bundle(home, account) == TWO
    assert not is_live(work_dir_of(home.paths, "work"))
    assert account == Account(name="work", method="import", endpoint="https://e", created=6.0)


def test_a_verified_import_knows_the_account(home: Home) -> None:
    """What the engine said, and the login as the engine left it."""
    import_session(home, ONE, "work", endpoint="", now=5.0, verify=lambda _: (TWO, IN))

    account = home.accounts.choose("work")
    assert (account.username, account.organisation, account.expires) == ("alice", "org", 9e9)
    assert stored_bundle(home, account) == TWO


def test_a_refused_import_changes_nothing(home: Home) -> None:
    """Neither vault nor folder nor accounts."""
    import_session(home, ONE, "work", endpoint="", now=5.0)
    lay(ONE, work_dir_of(home.paths, "work"))
    before = home.accounts.all()

    def refuse(_: Bundle) -> tuple[Bundle, LoginStatus]:
        raise LingmaError(ErrorKind.LOGIN_REQUIRED, "no")

    with pytest.raises(LingmaError, match="no"):
        import_session(home, TWO, "work", endpoint="", now=6.0, overwrite=True, verify=refuse)

    assert home.accounts.all() == before
    assert stored_bundle(home, before[0]) == take(work_dir_of(home.paths, "work")) == ONE


def test_under_a_running_server_no_login_is_replaced_or_removed(home: Home) -> None:
    """It would write its own back; a new account does not disturb it."""
    import_session(home, ONE, "work", endpoint="", now=5.0)

    with only_server(home.paths):
        announce(home.paths, ServerFile(url="http://127.0.0.1:1", pid=1, started=0.0))
        with pytest.raises(LingmaError) as replacing:
            import_session(home, TWO, "work", endpoint="", now=6.0, overwrite=True)
        with pytest.raises(LingmaError) as removing:
            remove_account(home, "work")
        import_session(home, TWO, "other", endpoint="", now=6.0)

    assert replacing.value.kind is removing.value.kind is ErrorKind.ALREADY_RUNNING
    assert stored_bundle(home, home.accounts.choose("work")) == ONE
    assert [account.name for account in home.accounts.all()] == ["work", "other"]


def test_the_list_tells_what_the_vault_holds(home: Home) -> None:
    """An account without a login is in it, and cannot be exported."""
    import_session(home, ONE, "work", endpoint="", now=5.0)
    home.accounts.add(Account(name="empty", method="browser"))
    home.accounts.use("empty")

    assert [(item.account.name, item.is_active, item.size) for item in list_sessions(home)] == [
        ("work", False, len(pack(ONE))),
        ("empty", True, None),
    ]
    with pytest.raises(LingmaError, match="`empty` has no login") as caught:
        stored_bundle(home, home.accounts.choose("empty"))
    assert "lingma login --account empty" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["../x", "A", ""])
def test_an_import_needs_a_name(home: Home, name: str) -> None:
    """One that is harmless in paths."""
    with pytest.raises(LingmaError):
        import_session(home, ONE, name, endpoint="", now=5.0)

    assert home.accounts.all() == ()


def test_the_settings_name_accounts(tmp_path: Path) -> None:
    """With bundles plain and sealed; for these the passphrase lies in a file."""
    passphrase = Secret("correct horse")
    write_private(tmp_path / "phrase", passphrase.reveal())
    sealed = seal(TWO, passphrase, account="x", created=1.0, expires=100.0)
    listed = [
        {"username": "u1", "password": "p1"},
        {"session_bundle": to_text(pack(ONE))},
        {"session_bundle": to_text(sealed, width=76)},
    ]
    settings = Settings(
        accounts=Secret(json.dumps(listed)), passphrase_file=str(tmp_path / "phrase")
    )

    found = configured_accounts(settings, now=99.0)

    assert [(one.name, one.bundle) for one in found] == [
        ("u1", None),
        ("account-2", ONE),
        ("account-3", TWO),
    ]
    with pytest.raises(LingmaError, match="the session bundle has expired"):
        configured_accounts(settings, now=100.0)


def test_one_account_is_called_default(tmp_path: Path) -> None:
    """By a bundle in a file, say."""
    (tmp_path / "bundle").write_text(to_text(pack(ONE)))

    (found,) = configured_accounts(Settings(session_bundle_file=str(tmp_path / "bundle")), now=1.0)

    assert (found.name, found.bundle) == ("default", ONE)
    assert configured_accounts(Settings(), now=1.0) == []


def test_the_named_file_comes_before_the_setting(tmp_path: Path) -> None:
    """So that a bundle may have another passphrase than the vault."""
    write_private(tmp_path / "vault", "one")
    write_private(tmp_path / "bundle", "two")
    settings = Settings(passphrase_file=str(tmp_path / "vault"))

    assert bundle_passphrase(settings) == Secret("one")
    assert bundle_passphrase(settings, str(tmp_path / "bundle")) == Secret("two")
