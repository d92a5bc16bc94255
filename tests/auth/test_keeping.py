"""A login between vault and folder: who is newer, whatever happened before."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lingma_cli.auth.bundles.bundle import Bundle, pack, unpack
from lingma_cli.auth.bundles.folder import lay, take, wipe
from lingma_cli.auth.keeping import LoginKeeper, RunVault
from lingma_cli.errors import ErrorKind, LingmaError

OLD = Bundle(files={"id": b"i", "user": b"old"})
NEW = Bundle(files={"id": b"i", "user": b"new", "quota": b"q"})
OTHER = Bundle(files={"id": b"j", "user": b"other"})


class Frail(RunVault):
    """A vault that refuses when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.is_locked = False
        self.after_put: Callable[[], object] = lambda: None

    def get(self, name: str) -> bytes | None:
        self._check()
        return super().get(name)

    def put(self, name: str, value: bytes) -> None:
        self._check()
        super().put(name, value)
        self.after_put()

    def _check(self) -> None:
        if self.is_locked:
            raise LingmaError(ErrorKind.LOGIN_REQUIRED, "the keyring is locked")


@dataclass
class Scene:
    """A keeper with its vault and folder."""

    work_dir: Path
    vault: Frail = field(default_factory=Frail)
    warnings: list[str] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)

    @property
    def keeper(self) -> LoginKeeper:
        """A new one each time, as each start has its own."""
        return LoginKeeper(
            self.vault,
            "work",
            self.work_dir,
            warn=self.warnings.append,
            on_taken=lambda: self.taken.append(1),
        )

    @property
    def held(self) -> Bundle | None:
        packed = self.vault.get("login/work")
        return unpack(packed) if packed is not None else None

    @property
    def laid(self) -> Bundle | None:
        return take(self.work_dir)

    def hold(self, bundle: Bundle) -> None:
        """Put a login into the vault, as another terminal does."""
        self.vault.put("login/work", pack(bundle))

    def refresh(self, bundle: Bundle) -> None:
        """Write a login into the folder, as the engine does."""
        lay(bundle, self.work_dir, replace=True)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "work")


@pytest.fixture
def started(scene: Scene) -> Scene:
    """OLD is in the vault and laid."""
    scene.hold(OLD)
    scene.keeper.lay()
    return scene


def test_a_login_is_laid_and_put_away(started: Scene) -> None:
    """0600 while it lies there; nothing is left after, and the vault has it still."""
    laid = started.laid
    modes = {
        stat.S_IMODE(path.stat().st_mode) for path in started.work_dir.rglob("*") if path.is_file()
    }
    started.keeper.put_away()

    assert laid == OLD
    assert modes == {0o600}
    assert started.laid is None
    assert not [path for path in started.work_dir.rglob("*") if path.is_file()]
    assert started.held == OLD
    assert (started.warnings, started.taken) == ([], [])


@pytest.mark.parametrize("way", [LoginKeeper.take_back, LoginKeeper.put_away, LoginKeeper.lay])
def test_a_refreshed_login_reaches_the_vault(
    started: Scene, way: Callable[[LoginKeeper], None]
) -> None:
    """While it runs, at its end, or at the next start after a crash."""
    started.refresh(NEW)
    way(started.keeper)
    way(started.keeper)

    assert started.held == NEW
    assert started.taken == [1]


@pytest.mark.parametrize("way", [LoginKeeper.take_back, LoginKeeper.put_away])
@pytest.mark.parametrize("refreshed", [True, False])
def test_a_new_login_of_a_person_is_not_overwritten(
    started: Scene, way: Callable[[LoginKeeper], None], refreshed: bool
) -> None:
    """Whatever the engine has done to the old one."""
    started.hold(OTHER)
    if refreshed:
        started.refresh(NEW)
    way(started.keeper)

    assert started.held == OTHER


def test_a_start_after_a_crash_obeys_the_person(started: Scene) -> None:
    """Both have changed: the vault wins."""
    started.refresh(NEW)
    started.hold(OTHER)
    started.keeper.lay()

    assert (started.laid, started.held) == (OTHER, OTHER)


@pytest.mark.parametrize("way", [LoginKeeper.lay, LoginKeeper.put_away])
def test_a_login_that_was_removed_does_not_come_back(
    started: Scene, way: Callable[[LoginKeeper], None]
) -> None:
    """Neither from a crash nor from an engine that still runs."""
    started.refresh(NEW)
    started.vault.delete("login/work")
    way(started.keeper)

    assert (started.laid, started.held) == (None, None)


def test_a_login_of_which_no_vault_knows_is_taken(scene: Scene) -> None:
    """The folder's, if nothing says that it was laid there."""
    scene.refresh(OLD)
    scene.keeper.lay()

    assert (scene.laid, scene.held) == (OLD, OLD)


def test_another_kind_of_vault_knows_nothing(started: Scene) -> None:
    """After a crash and a change of `store` the only copy is not thrown away."""

    class Another(Frail):
        kind = "another"

    started.vault = Another()
    started.keeper.lay()

    assert (started.laid, started.held) == (OLD, OLD)


def test_without_a_login_anywhere_there_is_nothing_to_do(scene: Scene) -> None:
    """The engine starts logged out."""
    scene.keeper.lay()
    scene.keeper.take_back()
    scene.keeper.put_away()

    assert (scene.laid, scene.held, scene.warnings) == (None, None, [])


def test_an_engine_that_loses_its_login_does_not_take_the_vaults(started: Scene) -> None:
    """What was worth keeping is kept; the next start tries it."""
    wipe(started.work_dir)
    started.keeper.take_back()
    started.keeper.put_away()

    assert started.held == OLD


def test_a_vault_that_fails_at_the_end_loses_nothing(started: Scene) -> None:
    """The folder keeps the login, a warning says so, and the next start brings it home."""
    started.refresh(NEW)
    started.vault.is_locked = True
    started.keeper.take_back()
    started.keeper.put_away()
    kept = started.laid
    said = list(started.warnings)
    started.keeper.lay()
    still = started.laid
    started.vault.is_locked = False
    started.keeper.lay()

    assert (kept, still, started.held) == (NEW, NEW, NEW)
    assert len(said) == 2
    assert all("the keyring is locked" in one and "`work`" in one for one in said)


def test_a_disk_that_fills_up_after_the_vault_took_a_login(started: Scene) -> None:
    """No record says that the vault has it, and a still newer one gets there all the same."""
    record = started.work_dir / ".lingma-cli.login"
    kept: list[bytes] = []

    def block() -> None:
        kept.append(record.read_bytes())
        record.unlink()
        record.mkdir()

    lay(NEW, started.work_dir, replace=True)
    started.vault.after_put = block
    started.keeper.take_back()
    record.rmdir()
    record.write_bytes(kept[0])
    started.vault.after_put = lambda: None
    newest = Bundle(files={"id": b"i", "user": b"newest"})
    lay(newest, started.work_dir, replace=True)
    assert not started.keeper.has_news()
    started.keeper.put_away()

    assert started.warnings
    assert unpack(started.vault.get("login/work") or b"") == newest
    assert take(started.work_dir) is None


def test_a_vault_that_refuses_to_store(started: Scene) -> None:
    """The same when it gives but does not take."""
    started.refresh(NEW)

    class Full(Frail):
        def put(self, name: str, value: bytes) -> None:
            raise LingmaError(ErrorKind.LOGIN_REQUIRED, "the vault is full")

    full = Full()
    RunVault.put(full, "login/work", pack(OLD))
    started.vault = full
    started.keeper.put_away()

    assert (started.laid, started.held) == (NEW, OLD)
    assert "the vault is full" in started.warnings[0]


def test_without_vault_and_folder_there_is_no_start(scene: Scene) -> None:
    """A locked vault is told, not taken for an empty one."""
    scene.vault.is_locked = True

    with pytest.raises(LingmaError, match="the keyring is locked"):
        scene.keeper.lay()


def test_news_are_what_the_vault_got_from_elsewhere(started: Scene) -> None:
    """Neither what was laid, nor what the engine refreshed, nor nothing."""
    seen = [started.keeper.has_news()]
    started.refresh(NEW)
    started.keeper.take_back()
    seen.append(started.keeper.has_news())
    started.hold(OTHER)
    seen.append(started.keeper.has_news())
    started.vault.delete("login/work")
    seen.append(started.keeper.has_news())

    assert seen == [False, False, True, False]


def test_the_record_gives_nothing_away(started: Scene) -> None:
    """It holds a digest."""
    record = started.work_dir / ".lingma-cli.login"

    assert b"old" not in record.read_bytes()


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"vault": 1}'])
def test_a_broken_record_is_none(started: Scene, content: bytes) -> None:
    """The vault counts then."""
    (started.work_dir / ".lingma-cli.login").write_bytes(content)
    started.refresh(NEW)
    started.keeper.lay()

    assert (started.laid, started.held) == (OLD, OLD)


def test_clearing_leaves_nothing(started: Scene) -> None:
    """Neither login nor record."""
    started.keeper.clear()

    assert not [path for path in started.work_dir.rglob("*") if path.is_file()]
    assert started.held == OLD


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    """It would be part of a path."""
    with pytest.raises(LingmaError):
        LoginKeeper(RunVault(), "../up", tmp_path, warn=lambda _: None)
