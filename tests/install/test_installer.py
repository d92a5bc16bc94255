"""Which executable runs, and how another takes its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.demo.packing import Packing, executable, this_platform
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.found import Copy
from lingma_cli.install.installer import Wish
from lingma_cli.install.state import Trial
from tests.support.installing import Home
from tests.support.packages import flipped, good


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty one; its shelf has one version."""
    home = Home(tmp_path / "home")
    home.shelf.packages["2.6.10"] = good("2.6.10")
    return home


def program(path: Path, version: str = "2.6.10") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(executable(Packing(version=version)))
    path.chmod(0o755)
    return path


def copy_of(folder: Path, version: str = "2.6.10") -> Copy:
    path = program(folder / version / this_platform() / "Lingma", version)
    return Copy(path=path, version=version, platform=this_platform())


def installed(home: Home, *versions: str) -> None:
    """Install the versions one after the other, as updates."""
    for version in versions:
        home.shelf.packages = {version: good(version)}
        home.installer.install(Wish(from_source=True))


def current(home: Home) -> str:
    return home.layout.load().current


# finding


def test_without_anything_nothing_is_found(home: Home) -> None:
    """And nothing is written."""
    assert home.installer.find() is None
    assert not home.folder.exists()


def test_what_counts_before_what(home: Home, tmp_path: Path) -> None:
    """A copy, before it our own, before it the named one, before it that of the settings."""
    copy = copy_of(tmp_path / "copies")
    home.copies = [Copy(path=tmp_path / "a.zip", version="9.9.9", platform=""), copy]
    assert home.installer.find() == copy.path

    release = home.installer.install(Wish(from_source=True))
    assert home.installer.find() == home.layout.executable(release)

    mine = program(tmp_path / "mine")
    assert home.installer.name(mine) == mine
    assert home.installer.find() == mine

    home.named = program(tmp_path / "settings")
    assert home.installer.find() == home.named


def test_a_changed_executable_is_not_handed_out(home: Home) -> None:
    """One bit is enough."""
    release = home.installer.install(Wish())
    path = home.layout.executable(release)
    path.write_bytes(flipped(path.read_bytes()))

    with pytest.raises(LingmaError, match="another SHA-256") as failure:
        home.installer.find()
    assert "install --force" in failure.value.advice
    home.installer.install(Wish(force=True))
    assert home.installer.find() is not None


@pytest.mark.parametrize(("mode", "problem"), [(0o600, "not executable"), (None, "no file")])
def test_a_named_executable_must_be_there(
    home: Home, tmp_path: Path, mode: int | None, problem: str
) -> None:
    """When it is named, and when it is to run."""
    path = program(tmp_path / "mine")
    home.installer.name(path)
    path.unlink() if mode is None else path.chmod(mode)

    for call in (home.installer.find, lambda: home.installer.name(path)):
        with pytest.raises(LingmaError, match=problem) as failure:
            call()
        assert failure.value.kind is ErrorKind.EXECUTABLE_NOT_FOUND


# installing


def test_a_copy_goes_before_a_download(home: Home, tmp_path: Path) -> None:
    """It is taken into our own folder; one that does not run is passed over."""
    broken = copy_of(tmp_path / "broken", "2.8.0")
    broken.path.write_text("#!/bin/sh\nexit 1\n")
    home.copies = [broken, copy_of(tmp_path / "copies", "2.5.0")]
    release = home.installer.install(Wish())

    assert (release.version, home.shelf.fetched) == ("2.5.0", [])
    assert any("left alone" in line for line in home.said)


def test_without_a_copy_that_runs_it_is_downloaded(home: Home, tmp_path: Path) -> None:
    """From the source."""
    broken = copy_of(tmp_path / "broken")
    broken.path.write_text("#!/bin/sh\nexit 1\n")
    home.copies = [broken]

    assert home.installer.install(Wish()).source == "the shelf"


def test_what_is_installed_is_not_fetched_again(home: Home) -> None:
    """Neither without a wish nor by its version; `force` does."""
    home.installer.install(Wish())
    home.installer.install(Wish())
    home.installer.install(Wish(version="2.6.10"))
    assert home.shelf.fetched == ["2.6.10"]

    home.installer.install(Wish(force=True))
    assert home.shelf.fetched == ["2.6.10"] * 2
    assert len(home.layout.load().releases) == 1


def test_a_version_can_be_wished_for(home: Home) -> None:
    """An older one too; unknown ones are an error that changes nothing."""
    home.shelf.packages["2.5.0"] = good("2.5.0")
    assert home.installer.install(Wish(version="2.5.0")).version == "2.5.0"

    before = home.tree()
    with pytest.raises(LingmaError):
        home.installer.install(Wish(version="1.0.0"))
    assert home.tree() == before


def test_a_file_can_be_installed(home: Home, tmp_path: Path) -> None:
    """Offline; the file stays where it is."""
    path = tmp_path / "a.vsix"
    path.write_bytes(good("2.4.0"))

    assert home.installer.install(Wish(vsix=path)).version == "2.4.0"
    assert home.shelf.fetched == []
    assert path.read_bytes() == good("2.4.0")


def test_a_refused_download_leaves_nothing(home: Home) -> None:
    """Not even itself."""
    installed(home, "2.6.10")
    before = home.tree()
    home.shelf.packages["2.7.0"] = flipped(good("2.7.0"))

    with pytest.raises(LingmaError):
        home.installer.update()
    assert home.tree() == before


# updating


def test_an_update_takes_the_newest(home: Home) -> None:
    """And keeps the one before, to which `rollback` returns, and back."""
    installed(home, "2.6.10")
    home.shelf.packages |= {"2.6.9": good("2.6.9"), "2.11.1": good("2.11.1")}
    release = home.installer.update()

    assert release is not None
    assert (release.version, current(home)) == ("2.11.1", "2.11.1")
    assert home.installer.rollback().version == "2.6.10"
    assert current(home) == "2.6.10"
    assert home.installer.rollback().version == "2.11.1"


def test_without_a_newer_one_nothing_is_fetched(home: Home) -> None:
    """The number decides; an older listing is not followed."""
    installed(home, "2.6.10")
    fetched = len(home.shelf.fetched)
    for packages in ({"2.6.10": good("2.6.10")}, {"2.6.9": good("2.6.9")}):
        home.shelf.packages = packages
        assert home.installer.update() is None
    assert len(home.shelf.fetched) == fetched


def test_a_source_without_numbers_is_asked_for_a_change(home: Home) -> None:
    """It is not downloaded again while it is the same, and never followed back to older ones."""
    home.shelf.is_mute = True
    installed(home, "2.6.10")
    assert home.installer.update() is None
    assert home.shelf.fetched == ["2.6.10"]

    home.shelf.packages = {"2.7.0": good("2.7.0")}
    release = home.installer.update()
    assert release is not None
    assert release.version == "2.7.0"

    home.shelf.packages = {"2.6.10": good("2.6.10")}
    with pytest.raises(LingmaError, match="older"):
        home.installer.update()
    assert current(home) == "2.7.0"


def test_a_named_executable_is_not_updated(home: Home, tmp_path: Path) -> None:
    """`rollback` and `install` return to ours."""
    installed(home, "2.6.10")
    home.installer.name(program(tmp_path / "mine"))
    with pytest.raises(LingmaError, match="you have named"):
        home.installer.update()

    assert home.installer.rollback().version == "2.6.10"
    home.installer.name(program(tmp_path / "mine"))
    assert home.installer.install(Wish()).version == "2.6.10"
    assert home.layout.load().named == ""


def test_there_must_be_something_to_return_to(home: Home) -> None:
    """And it must be intact."""
    installed(home, "2.6.10")
    with pytest.raises(LingmaError, match="no earlier version"):
        home.installer.rollback()

    installed(home, "2.7.0")
    previous = home.layout.load().releases[0]
    home.layout.executable(previous).write_bytes(b"damaged")
    with pytest.raises(LingmaError, match="another size"):
        home.installer.rollback()
    assert current(home) == "2.7.0"


# trying


def test_a_handshake_confirms(home: Home) -> None:
    """Until then it is on trial."""
    installed(home, "2.6.10")
    trial = home.installer.trial()
    assert trial is not None

    home.installer.confirm(trial)
    assert home.installer.trial() is None
    assert home.layout.load().releases[0].trial is Trial.PASSED


def test_a_failed_handshake_returns_to_the_one_before(home: Home) -> None:
    """Once; the failed one is not taken again by itself, but if the user forces it."""
    installed(home, "2.6.10")
    trial = home.installer.trial()
    assert trial is not None
    home.installer.confirm(trial)
    installed(home, "2.7.0")
    failed = home.installer.trial()
    assert failed is not None

    back = home.installer.roll_back(failed)
    assert back is not None
    assert (back.version, current(home)) == ("2.6.10", "2.6.10")
    assert home.installer.update() is None
    assert current(home) == "2.6.10"
    assert home.installer.update(force=True) is not None
    assert current(home) == "2.7.0"


def test_what_has_failed_is_nothing_to_return_to(home: Home) -> None:
    """Neither by itself nor for the user; an older version is."""
    installed(home, "2.6.10", "2.7.0", "2.8.0")
    for _ in range(2):
        trial = home.installer.trial()
        assert trial is not None
        home.installer.roll_back(trial)
    assert current(home) == "2.6.10"

    with pytest.raises(LingmaError, match="no earlier version"):
        home.installer.rollback()
    assert current(home) == "2.6.10"


def test_after_a_failed_one_the_user_returns_to_an_older_one(home: Home) -> None:
    """Which was not the one before."""
    installed(home, "2.6.10", "2.7.0", "2.8.0")
    trial = home.installer.trial()
    assert trial is not None
    home.installer.roll_back(trial)
    assert current(home) == "2.7.0"

    assert home.installer.rollback().version == "2.6.10"
    assert home.installer.rollback().version == "2.7.0"


def test_what_has_failed_is_not_fetched_again_by_its_tag(home: Home) -> None:
    """A source that tells no version is asked by the tag of what it gave last."""
    home.shelf.is_mute = True
    installed(home, "2.6.10", "2.7.0")
    trial = home.installer.trial()
    assert trial is not None
    home.installer.roll_back(trial)
    home.shelf.fetched.clear()

    assert home.installer.update() is None
    assert (home.shelf.fetched, current(home)) == ([], "2.6.10")


def test_what_has_worked_is_not_rolled_back(home: Home) -> None:
    """A later failure has another cause."""
    installed(home, "2.6.10", "2.7.0")
    trial = home.installer.trial()
    assert trial is not None
    home.installer.confirm(trial)

    assert home.installer.roll_back(trial) is None
    assert current(home) == "2.7.0"


def test_without_one_before_it_stays(home: Home) -> None:
    """Something is better than nothing; it is remembered as failed."""
    installed(home, "2.6.10")
    trial = home.installer.trial()
    assert trial is not None

    assert home.installer.roll_back(trial) is None
    assert current(home) == "2.6.10"
    assert home.layout.load().releases[0].trial is Trial.FAILED


def test_a_named_executable_is_on_no_trial(home: Home, tmp_path: Path) -> None:
    """It is taken as it is."""
    installed(home, "2.6.10")
    home.installer.name(program(tmp_path / "mine"))

    assert home.installer.trial() is None


# on first need


def test_consent_is_asked_for_a_download(home: Home) -> None:
    """Once; a no is respected and says what to run."""
    asked: list[str] = []

    def answer(question: str, *, reply: bool) -> bool:
        asked.append(question)
        return reply

    with pytest.raises(LingmaError) as failure:
        home.installer.ensure(lambda question: answer(question, reply=False))
    assert failure.value.kind is ErrorKind.EXECUTABLE_NOT_FOUND
    assert "lingma engine install" in failure.value.advice
    assert (home.shelf.fetched, home.tree()) == ([], {})

    path = home.installer.ensure(lambda question: answer(question, reply=True))
    assert path.exists()
    assert home.installer.ensure(lambda question: answer(question, reply=False)) == path
    assert len(asked) == 2
    assert "the shelf" in asked[0]


def no(_question: str) -> bool:
    raise AssertionError("nobody is to be asked")


def test_what_is_there_needs_no_consent(home: Home, tmp_path: Path) -> None:
    """A copy of another program runs where it is."""
    home.copies = [copy_of(tmp_path / "copies")]

    assert home.installer.ensure(no) == home.copies[0].path
    assert home.tree() == {}


def test_always_looking_for_a_newer_one(home: Home) -> None:
    """Without asking; what is newest is not fetched again."""
    home.installer.ensure(no, always=True)
    home.installer.ensure(no, always=True)
    assert home.shelf.fetched == ["2.6.10"]

    home.shelf.packages["2.7.0"] = good("2.7.0")
    path = home.installer.ensure(no, always=True)
    assert path.parent.parent.name == "2.7.0"


def test_always_refreshing(home: Home) -> None:
    """Downloads even what is there."""
    home.installer.ensure(no, refresh=True)
    home.installer.ensure(no, refresh=True)
    assert home.shelf.fetched == ["2.6.10", "2.6.10"]


def test_a_failing_source_does_not_stop_what_is_there(home: Home) -> None:
    """It is said; without anything it is an error."""
    packages, home.shelf.packages = home.shelf.packages, {}
    with pytest.raises(LingmaError, match="shelf"):
        home.installer.ensure(no, always=True)

    home.shelf.packages = packages
    path = home.installer.ensure(no, always=True)
    home.shelf.packages = {}
    assert home.installer.ensure(no, always=True) == path
    assert any(line.startswith("warning: no newer Lingma") for line in home.said)


def test_a_named_executable_is_never_replaced(home: Home, tmp_path: Path) -> None:
    """Whatever the switches say."""
    home.named = program(tmp_path / "mine")

    assert home.installer.ensure(no, always=True, refresh=True) == home.named
    assert home.shelf.fetched == []


# examining


def test_everything_is_examined(home: Home) -> None:
    """Files first, then whether it runs; all versions."""
    installed(home, "2.6.10", "2.7.0")
    assert [(one.name, one.problem) for one in home.installer.verify()] == [
        ("2.6.10", ""),
        ("2.7.0", ""),
    ]

    (broken, _) = home.layout.load().releases
    home.layout.executable(broken).write_bytes(b"damaged")
    verdicts = home.installer.verify()
    assert "another size" in verdicts[0].problem
    assert verdicts[1].problem == ""


def test_a_named_executable_is_examined_too(home: Home, tmp_path: Path) -> None:
    """Whether it runs."""
    path = tmp_path / "mine"
    program(path)
    home.installer.name(path)
    assert [one.problem for one in home.installer.verify()] == [""]

    path.write_text("#!/bin/sh\nexit 1\n")
    assert "does not run" in home.installer.verify()[0].problem


def test_nothing_is_examined_where_nothing_is(home: Home) -> None:
    """No verdicts."""
    assert list(home.installer.verify()) == []
