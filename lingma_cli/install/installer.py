"""Which executable runs, and how another one takes its place.

Owns the order of steps: find, fetch, unpack, compare with what was pinned, run `version`, switch,
remember the one before, go back. Whatever is refused leaves the disk as it was. Must not know where
settings come from, nor what is done with the executable.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.fetch import OnProgress
from lingma_cli.install.found import Copy
from lingma_cli.install.intake import Intake, Origin, Surroundings
from lingma_cli.install.layout import Layout
from lingma_cli.install.sources import Offer, Source
from lingma_cli.install.state import Release, State, Trial
from lingma_cli.install.versions import is_newer

_LOCAL: Final = "a file on this disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be installed; all empty is whatever is easiest to have.

    Attributes:
        vsix: a package on this disk.
        version: one version of the source.
        from_source: download, even if a copy is on this machine.
        force: download, even if the version is installed.
        accept_changed: take it even if its SHA-256 is not the one that was pinned.
    """

    vsix: Path | None = None
    version: str = ""
    from_source: bool = False
    force: bool = False
    accept_changed: bool = False

    @property
    def is_open(self) -> bool:
        """Whether anything that runs will do."""
        return not (self.vsix or self.version or self.from_source or self.force)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an examination found; an empty `problem` is a good verdict."""

    name: str
    path: Path
    problem: str


class Installer:
    """The executable of one home.

    Args:
        layout: the folder of versions.
        source: where packages are downloaded from.
        around: what it may use of the machine.
        named: an executable that the settings name; it counts before all else.
        say: told what happens and what is odd, a line each.
        on_progress: told the bytes of a download so far and, if known, of how many.

    Every method raises `LingmaError` when it cannot do what it says.
    """

    def __init__(
        self,
        layout: Layout,
        source: Source,
        around: Surroundings,
        *,
        named: Path | None,
        say: Callable[[str], None],
        on_progress: OnProgress,
    ) -> None:
        self._layout = layout
        self._source = source
        self._around = around
        self._intake = Intake(layout, around, say)
        self._named = named
        self._say = say
        self._on_progress = on_progress

    # looking

    def find(self) -> Path | None:
        """Return the executable to run, or `None` if there is none on this machine.

        An installed one is compared with what was installed: a changed one is an error.
        """
        if self._named is not None:
            return _executable(self._named)
        state = self._layout.load()
        if state.named:
            return _executable(Path(state.named))
        release = state.release(state.current)
        if release is not None:
            self._check_intact(release)
            return self._layout.executable(release)
        return next((copy.path for copy in self._around.copies() if not copy.is_archive), None)

    def versions(self) -> State:
        """Return what is installed, pinned and named."""
        return self._layout.load()

    def executable(self, release: Release) -> Path:
        """Return the executable of an installed version."""
        return self._layout.executable(release)

    def copies(self) -> Sequence[Copy]:
        """Return what other programs have installed, best first."""
        return self._around.copies()

    def verify(self) -> Sequence[Verdict]:
        """Examine every installed version: its files, then whether it runs."""
        releases = self._layout.load().releases
        verdicts = [self._examined(release) for release in releases]
        executable = None if self._is_installed() else self.find()
        if executable is not None:
            verdicts.append(
                Verdict(name="named", path=executable, problem=self._trouble(executable))
            )
        return verdicts

    def _is_installed(self) -> bool:
        state = self._layout.load()
        return self._named is None and not state.named and bool(state.current)

    def _examined(self, release: Release) -> Verdict:
        path = self._layout.executable(release)
        problem = self._layout.damage(release) or self._trouble(path)
        return Verdict(name=release.folder, path=path, problem=problem)

    def _trouble(self, executable: Path) -> str:
        try:
            self._around.run_version(executable)
        except LingmaError as error:
            return error.message
        return ""

    def _check_intact(self, release: Release) -> None:
        damage = self._layout.damage(release)
        if damage:
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                damage,
                hint="run `lingma engine install --force`, or `lingma engine rollback`",
            )

    # getting

    def install(self, wish: Wish) -> Release:
        """Install what is wished for and switch to it; what is there already is not fetched again.

        A copy that another program has put on this machine goes before a download.
        """
        self._around.machine.check()
        with self._layout.locked():
            state = self._layout.load()
            if wish.vsix is not None:
                origin = Origin(source=_LOCAL, accept_changed=wish.accept_changed)
                return self._intake.package(wish.vsix, origin)
            if wish.is_open and (there := self._nearest(state, wish)) is not None:
                return there
            offer = self._source.offer(wish.version)
            known = None if wish.force else self._installed(state, offer.version)
            if known is not None:
                return self._switched(state, known)
            release = self._download(offer, wish, known_tag="", at_least="")
            if release is None:
                raise AssertionError("without a known tag a download is complete")
            return release

    def _nearest(self, state: State, wish: Wish) -> Release | None:
        """Return what can be had without a download, taken in if it is not ours yet."""
        current = state.release(state.current)
        if current is not None and not self._layout.damage(current):
            return self._switched(state, current)
        for copy in self._around.copies():
            self._say(f"found `{copy.path}`")
            try:
                return self._intake.copy(copy, accept_changed=wish.accept_changed)
            except LingmaError as error:
                self._say(f"warning: it is left alone: {error.message}")
        return None

    def name(self, executable: Path) -> Path:
        """Let an executable of the user's own count from now on, taken as it is."""
        path = _executable(executable.expanduser().absolute())
        with self._layout.locked():
            state = self._layout.load()
            self._layout.save(msgspec.structs.replace(state, named=str(path)))
        return path

    def update(self, *, force: bool = False, accept_changed: bool = False) -> Release | None:
        """Install the source's newest version if it is newer; return `None` if it is not.

        A version whose handshake has failed is not tried again, unless `force`.
        """
        self._around.machine.check()
        with self._layout.locked():
            state = self._layout.load()
            current = state.release(state.current)
            if state.named or self._named:
                raise LingmaError(
                    ErrorKind.USAGE,
                    "the executable is one that you have named; there is no newer one to get",
                    hint="run `lingma engine install` for one that is kept up to date",
                )
            offer = self._source.offer("")
            if not force and self._is_old(state, current, offer):
                return None
            release = self._download(
                offer,
                Wish(accept_changed=accept_changed),
                known_tag="" if force else self._known_tag(state, current, offer),
                at_least=current.known_as if current else "",
            )
            is_same = release is None or (current and release.folder == current.folder)
            return None if is_same else release

    def _known_tag(self, state: State, current: Release | None, offer: Offer) -> str:
        """Return the tag of what was had last, if the source can only be asked by it."""
        if current is None or offer.version or self._layout.damage(current):
            return ""
        return state.tag_of(self._source.name)

    def _is_old(self, state: State, current: Release | None, offer: Offer) -> bool:
        failed = {one.known_as for one in state.releases if one.trial is Trial.FAILED}
        if offer.version in failed:
            self._say(f"note: {offer.version} is left out, since it did not work here before")
            return True
        if not offer.version or current is None or self._layout.damage(current):
            return False
        return not is_newer(offer.version, current.known_as)

    def ensure(
        self, consent: Callable[[str], bool], *, always: bool = False, refresh: bool = False
    ) -> Path:
        """Return the executable to run, and get one if there is none.

        Args:
            consent: asked once before anything is downloaded for lack of one.
            always: look for a newer version first, without asking.
            refresh: download first, even if the version is there, without asking.
        """
        state = self._layout.load()
        if self._named is not None or state.named:
            return self._found()
        if always or refresh:
            try:
                if refresh or state.current:
                    self.update(force=refresh)
                else:
                    self.install(Wish())
            except LingmaError as error:
                if self._layout.load().current == "" and not self._around.copies():
                    raise
                # What is there still works.
                self._say(f"warning: no newer Lingma was got: {error.message}")
            return self._found()
        if self.find() is None:
            archives = any(copy.is_archive for copy in self._around.copies())
            question = (
                "Lingma is not installed. Unpack the copy that your editor has?"
                if archives
                else f"Lingma is not installed. Download it ({self._source.name})?"
            )
            if not consent(question):
                raise not_installed()
            self.install(Wish())
        return self._found()

    def _found(self) -> Path:
        executable = self.find()
        if executable is None:
            raise not_installed()
        return executable

    # trying

    def trial(self) -> Release | None:
        """Return the version that counts if no handshake with it has succeeded yet."""
        state = self._layout.load()
        release = None if self._named or state.named else state.release(state.current)
        return release if release is not None and release.trial is not Trial.PASSED else None

    def confirm(self, release: Release) -> None:
        """Remember that a handshake with `release` has succeeded."""
        with self._layout.locked():
            state = self._layout.load()
            known = state.release(release.folder)
            if known is not None:
                passed = msgspec.structs.replace(known, trial=Trial.PASSED)
                self._layout.save(state.with_release(passed))

    def roll_back(self, release: Release) -> Release | None:
        """Remember that the handshake with `release` failed; return to another, if any is left.

        Returns:
            What counts now instead, or `None` when `release` still does.
        """
        with self._layout.locked():
            state = self._layout.load()
            known = state.release(release.folder)
            if known is None or known.trial is Trial.PASSED:
                return None
            state = state.with_release(msgspec.structs.replace(known, trial=Trial.FAILED))
            others = state.fallbacks() if state.current == release.folder else ()
            better = next((one for one in others if not self._layout.damage(one)), None)
            if better is None:
                self._layout.save(state)
                return None
            return self._switched(state, better)

    def rollback(self) -> Release:
        """Return to what counted before, as the user asks."""
        with self._layout.locked():
            state = self._layout.load()
            current = state.release(state.current) if state.named else None
            release = current or next(iter(state.fallbacks()), None)
            if release is None:
                raise LingmaError(
                    ErrorKind.EXECUTABLE_NOT_FOUND,
                    "there is no earlier version to return to",
                    hint="look at `lingma engine versions`",
                )
            self._check_intact(release)
            return self._switched(state, release)

    # steps

    def _switched(self, state: State, release: Release) -> Release:
        self._layout.save(state.switched_to(release.folder))
        return release

    def _installed(self, state: State, version: str) -> Release | None:
        same = (one for one in state.releases if version and one.known_as == version)
        return next((one for one in same if not self._layout.damage(one)), None)

    def _download(
        self, offer: Offer, wish: Wish, *, known_tag: str, at_least: str
    ) -> Release | None:
        download = self._source.fetch(
            offer, self._layout.downloads, on_progress=self._on_progress, known_tag=known_tag
        )
        if download is None:
            return None
        origin = Origin(
            source=self._source.name,
            is_pinned=True,
            package_version=offer.version,
            tag=download.tag,
            at_least=at_least,
            accept_changed=wish.accept_changed,
        )
        try:
            return self._intake.package(download.path, origin)
        finally:
            # Taken or refused, it is not needed any more.
            self._layout.forget_downloads()


def not_installed() -> LingmaError:
    """Return the error of having no executable."""
    return LingmaError(
        ErrorKind.EXECUTABLE_NOT_FOUND,
        "Lingma is not installed",
        hint="run `lingma engine install`",
    )


def _executable(path: Path) -> Path:
    if not path.is_file():
        raise LingmaError(
            ErrorKind.EXECUTABLE_NOT_FOUND,
            f"there is no file `{path}`",
            hint="name another with `lingma engine install --bin PATH`",
        )
    if not os.access(path, os.X_OK):
        raise LingmaError(
            ErrorKind.EXECUTABLE_NOT_FOUND,
            f"`{path}` is not executable",
            hint=f"run `chmod +x {path}`",
        )
    return path
