"""The way of an executable from a package, or from another program's folder, into the layout.

Unpack beside, compare with what was pinned, run `version`, move into place, switch: in this order,
so that nothing unknown is run and nothing that does not run counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.archive import Caps, refused, write_new
from lingma_cli.install.found import Copy
from lingma_cli.install.layout import Layout
from lingma_cli.install.platforms import Machine
from lingma_cli.install.state import File, Release, State, Trial
from lingma_cli.install.versions import is_newer, is_version
from lingma_cli.install.vsix import EXECUTABLE_MODE, Unpacked, doubts, unpack, unwrap
from lingma_cli.paths import private_folder

_CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an installation may use of the machine.

    Attributes:
        machine: what runs here.
        copies: finds what other programs have installed, best first.
        run_version: runs an executable's `version` and returns what it names, or raises.
        clock: seconds since 1970.
        caps: what a package may be at most.
    """

    machine: Machine
    copies: Callable[[], Sequence[Copy]]
    run_version: Callable[[Path], str]
    clock: Callable[[], float]
    caps: Caps


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where something comes from.

    Attributes:
        source: for a person, and for pins.
        is_pinned: whether what it gives for a version must stay the same.
        package_version: as the source lists it, empty when it does not.
        tag: the server's name for the state of it, empty for none.
        at_least: the version that it must not go below, empty for none.
        accept_changed: take it even if it is not what was pinned.
    """

    source: str
    is_pinned: bool = False
    package_version: str = ""
    tag: str = ""
    at_least: str = ""
    accept_changed: bool = False


class Intake:
    """Takes executables in; the layout must be locked by the caller."""

    def __init__(self, layout: Layout, around: Surroundings, say: Callable[[str], None]) -> None:
        self._layout = layout
        self._around = around
        self._say = say

    def package(self, path: Path, origin: Origin) -> Release:
        """Install the package at `path` and switch to it.

        Raises:
            LingmaError: it is refused; nothing has changed.
        """
        around = self._around
        with self._layout.staging() as staging:
            scratch, target = _folders(staging)
            package = unwrap(path, scratch, around.caps)
            unpacked = unpack(
                package, target, scratch=scratch, machine=around.machine, caps=around.caps
            )
            claimed = unpacked.package_version
            if origin.package_version and claimed not in ("", origin.package_version):
                raise refused(f"it says to be {claimed} instead of {origin.package_version}")
            return self._take(target, unpacked, origin, package.sha256)

    def copy(self, copy: Copy, *, accept_changed: bool) -> Release:
        """Install what another program has installed, and switch to it.

        Raises:
            LingmaError: it is refused; nothing has changed.
        """
        origin = Origin(source=str(copy.path), accept_changed=accept_changed)
        if copy.is_archive:
            return self.package(copy.path, origin)
        machine = self._around.machine
        with self._layout.staging() as staging:
            _, target = _folders(staging)
            names = [machine.executable]
            if (copy.path.parent / machine.companion).is_file():
                names.append(machine.companion)
            # The first one may bear another name, if the user has named it.
            sources = [copy.path, *(copy.path.parent / name for name in names[1:])]
            files = tuple(
                (name, write_new(target / name, _chunks(source), EXECUTABLE_MODE))
                for name, source in zip(names, sources, strict=True)
            )
            unpacked = Unpacked(
                version=copy.version,
                package_version="",
                platform=copy.platform,
                files=files,
                warnings=doubts(files, machine),
            )
            return self._take(target, unpacked, origin, "")

    def _take(self, target: Path, unpacked: Unpacked, origin: Origin, sha256: str) -> Release:
        state = self._layout.load()
        if unpacked.version:
            # Before it is run.
            self._admitted(state, unpacked, unpacked.version, origin, sha256)
        for warning in unpacked.warnings:
            self._say(f"warning: {warning}")
        printed = self._around.run_version(target / self._around.machine.executable)
        version = unpacked.version or printed
        if not is_version(version):
            raise refused("it does not say which version it is")
        if printed != version:
            self._say(f"warning: version {version} calls itself {printed}")
        release = self._admitted(state, unpacked, version, origin, sha256)
        return self._commit(state, target, release, _seen(release, origin))

    def _admitted(
        self, state: State, unpacked: Unpacked, version: str, origin: Origin, sha256: str
    ) -> Release:
        """Return the release that this would become, if neither pins nor age speak against it."""
        release = Release(
            folder=self._layout.free_folder(version),
            version=version,
            platform=unpacked.platform,
            files=tuple(
                File(name=name, size=file.size, sha256=file.sha256) for name, file in unpacked.files
            ),
            source=origin.source,
            package_version=origin.package_version or unpacked.package_version,
            package_sha256=sha256,
            tag=origin.tag,
            installed=self._around.clock(),
        )
        if origin.at_least and is_newer(origin.at_least, release.known_as):
            raise refused(f"{release.known_as} is older than {origin.at_least}, which is installed")
        if not origin.accept_changed:
            state.check_pins(_seen(release, origin))
        return release

    def _commit(
        self, state: State, target: Path, release: Release, seen: dict[str, str]
    ) -> Release:
        """Move the files into place and let them count."""
        twins = [
            one
            for one in state.releases
            if (one.version, one.platform) == (release.version, release.platform)
        ]
        broken = [one for one in twins if self._layout.damage(one)]
        same = next(
            (one for one in twins if one not in broken and one.files == release.files), None
        )
        if same is not None:
            trial = Trial.UNTRIED if same.trial is Trial.FAILED else same.trial
            release = msgspec.structs.replace(release, folder=same.folder, trial=trial)
        else:
            self._layout.keep(target, release)
        for one in broken:
            state = state.without(one.folder)
        state = state.with_release(release).switched_to(release.folder).pinned(seen)
        superfluous = state.superfluous()
        for one in superfluous:
            state = state.without(one.folder)
        try:
            self._layout.save(state)
        except LingmaError:
            if same is None:
                self._layout.remove(release)
            raise
        for one in (*broken, *superfluous):
            self._layout.remove(one)
        return release


def _seen(release: Release, origin: Origin) -> dict[str, str]:
    """Return the SHA-256s that must stay the same for this version, by what they are of."""
    seen = {
        f"{file.name} {release.version} ({release.platform})": file.sha256 for file in release.files
    }
    if origin.is_pinned:
        seen[f"package {release.known_as} ({release.source})"] = release.package_sha256
    return seen


def _folders(staging: Path) -> tuple[Path, Path]:
    return private_folder(staging / "scratch"), private_folder(staging / "files")


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise LingmaError(
            ErrorKind.INSTALL_FAILED, f"cannot read `{path}`: {error.strerror}"
        ) from error
