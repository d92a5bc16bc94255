"""What an engine of its own says of a login, and what it is told; the rest is in `tests/e2e`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lingma_cli.auth.accounts import Account
from lingma_cli.auth.bundles.bundle import Bundle
from lingma_cli.auth.bundles.folder import lay
from lingma_cli.auth.keeping import LoginKeeper
from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.account import log_out, try_out, verified
from lingma_cli.wiring.home import keep_login, open_home, stored_bundle, work_dir_of
from tests.support.accounts import bundle_of, record, record_of

DEMO = Settings(demo=True, store="plain")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An empty home."""
    return find_paths({"LINGMA_HOME": str(tmp_path)})


def test_an_engine_confirms_a_login(paths: Paths) -> None:
    """A real process is asked, and its folder is gone afterwards."""
    bundle, status = verified(bundle_of(record()), DEMO, paths, {})

    assert (status.state, status.name) == (LoginState.IN, "demo")
    assert bundle.files["user"]
    assert not any(paths.state.rglob("user"))


def test_an_engine_refuses_what_is_no_login(paths: Paths) -> None:
    """Bound to another machine's id, it opens nothing; nothing of it stays."""
    foreign = Bundle(files={**bundle_of(record()).files, "id": b"another"})

    with pytest.raises(LingmaError, match="does not confirm") as caught:
        verified(foreign, DEMO, paths, {})

    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED
    assert not any(paths.state.rglob("user"))


def test_an_engine_refuses_an_account_without_leave(paths: Paths) -> None:
    """Logged in is not enough, if every question would be turned down."""
    with pytest.raises(LingmaError, match="may not use Lingma"):
        verified(bundle_of(record("blocked")), DEMO, paths, {})


def test_an_account_is_tried_out(paths: Paths) -> None:
    """By its login in the vault; one that is no good names the command for a new one."""
    home = open_home(DEMO, paths, warn=lambda _: None)
    good, bad = Account(name="good", method="token"), Account(name="bad", method="token")
    keep_login(home, good, bundle_of(record()))
    keep_login(home, bad, Bundle(files={**bundle_of(record()).files, "id": b"another"}))

    assert try_out(home, good, DEMO, {}, now=5.0).name == "demo"
    with pytest.raises(LingmaError) as caught:
        try_out(home, bad, DEMO, {}, now=5.0)
    assert caught.value.hint == "run `lingma login --account bad`"


def test_a_trial_after_a_crash_takes_the_newest_login(paths: Paths) -> None:
    """The one that the engine's folder has; what the engine makes of it is kept."""
    home = open_home(DEMO, paths, warn=lambda _: None)
    keep_login(home, Account(name="work", method="token", expires=9e9), bundle_of(record("old")))
    work_dir = work_dir_of(paths, "work")
    LoginKeeper(home.vault, "work", work_dir, warn=pytest.fail).lay()
    lay(bundle_of(record("new")), work_dir, replace=True)

    status = try_out(home, home.accounts.choose("work"), DEMO, {}, now=5.0)

    assert status.name == "new"
    kept = record_of(stored_bundle(home, home.accounts.choose("work")))
    assert kept is not None
    assert kept.user == "new"


def test_logged_out_where_no_engine_is(paths: Paths) -> None:
    """The account is forgotten all the same, and why nobody was told is returned."""
    home = open_home(DEMO, paths, warn=lambda _: None)
    account = Account(name="work", method="token")
    keep_login(home, account, bundle_of(record()))
    trouble = log_out(home, account, replace(DEMO, demo=False, bin="/no/such/file"), {})

    assert trouble is not None
    assert "/no/such/file" in trouble.message
    assert (home.accounts.all(), home.vault.get("login/work")) == ((), None)
