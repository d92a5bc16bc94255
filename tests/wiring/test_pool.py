"""Which engines a server has, by its settings and its home."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lingma_cli.auth.bundles.bundle import Bundle, pack, to_text
from lingma_cli.auth.bundles.folder import lay
from lingma_cli.control.logins import Post
from lingma_cli.control.persisted import HttpEntry, PersistedEngines
from lingma_cli.engines.lingma.engine import LingmaEngine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import Paths, find_paths
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.home import open_home
from lingma_cli.wiring.pool import Pool, build_pool
from lingma_cli.wiring.session import import_session
from lingma_cli.wiring.surroundings import Surroundings
from lingma_cli.wiring.unattended import PasswordOfRun
from lingma_cli.wiring.vault import VaultDoor

ONE = Bundle(files={"id": b"i1", "user": b"u1"})
TWO = Bundle(files={"id": b"i1", "user": b"u2"})
PLAIN = Settings(store="plain")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"LINGMA_HOME": str(tmp_path)})


@pytest.fixture
def with_accounts(paths: Paths) -> Paths:
    """A home with two accounts, one of a dedicated service."""
    home = open_home(PLAIN, paths, warn=lambda _: None)
    import_session(home, ONE, "work", endpoint="https://l.example.com", now=5.0)
    import_session(home, ONE, "play", endpoint="", now=5.0)
    return paths


def build(
    settings: Settings,
    paths: Paths,
    warnings: list[str] | None = None,
    *,
    is_guarded: bool = True,
) -> Pool:
    warned = [] if warnings is None else warnings
    around = Surroundings(
        settings=settings,
        paths=paths,
        environ={},
        command=("lingma",),
        open_vault=VaultDoor(settings, paths, warn=warned.append, ask=pytest.fail).open,
        warn=warned.append,
        is_guarded=is_guarded,
    )
    return build_pool(around, lambda _: None)


def posts(pool: Pool) -> list[Post]:
    names = [slot.engine.name for slot in pool.supervisor.registry.slots]
    return [pool.logins.find(instance=name) for name in names]


def work_dirs(pool: Pool) -> list[Path]:
    return [engine._options.work_dir for engine in engines(pool)]


def engines(pool: Pool) -> list[LingmaEngine]:
    found = [slot.engine for slot in pool.supervisor.registry.slots]
    assert all(isinstance(engine, LingmaEngine) for engine in found)
    return [engine for engine in found if isinstance(engine, LingmaEngine)]


def test_the_demo_touches_no_vault(with_accounts: Paths) -> None:
    """One engine that sees to its login itself, whatever accounts there are."""
    settings = replace(PLAIN, demo=True, username="me", password=Secret("hush"))
    (post,) = posts(pool := build(settings, with_accounts))

    assert (post.slot.engine.name, post.slot.account, post.keeper) == ("demo-0", "", None)
    assert work_dirs(pool) == [with_accounts.data / "demo"]


def test_without_accounts_there_is_one_engine(paths: Paths, tmp_path: Path) -> None:
    """On its own folder, or the one that is named; no vault is begun for it."""
    pool = build(PLAIN, paths)
    named = build(replace(PLAIN, work_dir=str(tmp_path / "w")), paths)

    (post,) = posts(pool)
    assert (post.slot.engine.name, post.keeper) == ("inst-0", None)
    assert "`lingma login`" in post.slot.login_hint
    assert (work_dirs(pool), work_dirs(named)) == (
        [paths.data / "lingma" / "inst-0"],
        [tmp_path / "w"],
    )
    assert not paths.vault_folder.exists()


def test_each_account_of_the_home_has_an_engine(with_accounts: Paths) -> None:
    """With a folder, a service and a port of its own."""
    pool = build(replace(PLAIN, socket_port=4000, dedicated_domain_url="https://d"), with_accounts)

    assert [(post.slot.engine.name, post.slot.account) for post in posts(pool)] == [
        ("inst-0", "work"),
        ("inst-1", "play"),
    ]
    assert work_dirs(pool) == [with_accounts.data / "accounts" / name for name in ("work", "play")]
    assert [engine._options.endpoint for engine in engines(pool)] == [
        "https://l.example.com",
        "https://d",
    ]
    assert [engine._options.socket_port for engine in engines(pool)] == [4000, 4001]
    assert posts(pool)[1].slot.login_hint == "run `lingma login --account play`"
    assert all(post.keeper is not None and post.log_in is None for post in posts(pool))


def test_when_a_refreshed_login_ends_is_not_known(with_accounts: Paths) -> None:
    """It is another one than the login that the vendor spoke of."""
    home = open_home(PLAIN, with_accounts, warn=lambda _: None)
    home.accounts.add(replace(home.accounts.choose("work"), expires=9e9))
    post = posts(pool := build(PLAIN, with_accounts))[0]
    assert post.keeper is not None
    post.keeper.lay()
    lay(TWO, work_dirs(pool)[0], replace=True)
    post.keeper.take_back()

    account = home.accounts.choose("work")
    assert account.refreshed > account.created
    assert account.expires == 0


def test_a_named_folder_is_not_for_accounts(with_accounts: Paths, tmp_path: Path) -> None:
    """Logins are wiped where they were laid; a folder of the user's is not touched, and it is
    said."""
    warnings: list[str] = []
    pool = build(replace(PLAIN, work_dir=str(tmp_path / "w")), with_accounts, warnings)

    assert tmp_path / "w" not in work_dirs(pool)
    assert any("`work_dir`" in warning for warning in warnings)


def test_accounts_of_a_run(with_accounts: Paths) -> None:
    """They take the place of the home's, in folders of their own, and in no file."""
    before = sorted(with_accounts.state.rglob("*"))
    listed = [
        {"username": "Al.ice", "password": "p:w,d"},
        {"session_bundle": to_text(pack(ONE))},
    ]
    settings = replace(PLAIN, accounts=Secret(json.dumps(listed)))
    first, second = posts(pool := build(settings, with_accounts))

    assert (first.slot.account, second.slot.account) == ("al.ice", "account-2")
    assert (first.method, second.method) == ("password", "bundle")
    assert isinstance(first.log_in, PasswordOfRun)
    assert (first.log_in.username, first.log_in.password) == ("Al.ice", Secret("p:w,d"))
    assert second.log_in is None
    assert work_dirs(pool) == [with_accounts.data / "run" / n for n in ("al.ice", "account-2")]
    assert pool.secrets == (Secret("p:w,d"),)
    assert sorted(with_accounts.state.rglob("*")) == before


def test_what_a_killed_run_has_left_is_removed(paths: Paths) -> None:
    """Before anything starts, whatever this run is; the simulator's is no run of anybody."""
    left = paths.data / "run" / "default"
    of_run = replace(PLAIN, username="me", password=Secret("hush"))
    kept = []
    for settings in (replace(PLAIN, demo=True), PLAIN, of_run):
        lay(ONE, left, replace=True)
        build(settings, paths)
        kept.append((left / "cache" / "user").exists())

    assert kept == [True, False, False]


def test_a_named_folder_holds_the_accounts_of_a_run(paths: Paths, tmp_path: Path) -> None:
    """Each in a folder below it."""
    settings = replace(PLAIN, username="me", password=Secret("p"), work_dir=str(tmp_path / "w"))

    assert work_dirs(build(settings, paths)) == [tmp_path / "w" / "default"]


def test_without_unattended_logins_a_password_is_not_used(paths: Paths) -> None:
    """A person is asked for."""
    settings = replace(PLAIN, username="me", password=Secret("hush"), auto_login_enabled=False)

    assert [post.log_in for post in posts(build(settings, paths))] == [None]


def test_accounts_that_make_no_sense_are_refused(paths: Paths) -> None:
    """Before anything starts, and without the value."""
    with pytest.raises(LingmaError) as caught:
        build(replace(PLAIN, accounts=Secret("alice-hush")), paths)

    assert caught.value.kind is ErrorKind.USAGE
    assert "hush" not in caught.value.advice


def test_who_stands_open_by_accident_serves_no_engines_of_the_home(paths: Paths) -> None:
    """Neither those of the settings nor the remembered ones; one warning says what to do."""
    url = "http://127.0.0.1:9"
    book = PersistedEngines(paths.engines_file, warn=pytest.fail)
    book.put(HttpEntry(id="kept", url=url))
    settings = replace(PLAIN, demo=True, engines=({"id": "named", "url": f"{url}/two"},))
    warnings: list[str] = []
    pool = build(settings, paths, warnings, is_guarded=False)

    assert [slot.id for slot in pool.fleet.registry.slots] == ["demo-0"]
    (warning,) = warnings
    for word in (": 2;", "`--no-auth`", "LINGMA_ADMIN_TOKEN", "LINGMA_API_KEYS"):
        assert word in warning
    assert [entry.id for entry in book.all()] == ["kept"]
    for pool in (
        build(settings, paths),
        build(replace(settings, no_auth=True), paths, warnings, is_guarded=False),
    ):
        assert {slot.id for slot in pool.fleet.registry.slots} == {"demo-0", "named", "kept"}
    assert len(warnings) == 1


def test_without_engines_of_the_home_there_is_nothing_to_say(paths: Paths) -> None:
    """The first demo of a new user is not greeted with a warning."""
    warnings: list[str] = []
    build(replace(PLAIN, demo=True), paths, warnings, is_guarded=False)

    assert warnings == []
