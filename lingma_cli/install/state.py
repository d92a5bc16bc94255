"""What is remembered of installed versions: which one counts, which did before, what was pinned.

Pure: values in, values out. A release is named by its folder, since one version may have been
installed twice.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError

# With the current one and the one before it.
KEPT_RELEASES: Final = 3

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z._~-]{0,63}$")]


class Trial(Enum):
    """Whether a version has shaken hands yet."""

    UNTRIED = "untried"
    PASSED = "passed"
    FAILED = "failed"


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One executable of a release."""

    name: Name
    size: int
    sha256: Sha256


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One installed version.

    Attributes:
        folder: its own, below that of all versions.
        version: the executable's.
        platform: the build.
        files: the executable first.
        source: where it came from, for a person.
        package_version: the extension's, as its source lists it; empty when unknown.
        package_sha256: of the zip file it came in, empty for copied executables.
        tag: the server's name for the package's state, empty for none.
        installed: seconds since 1970.
        trial: whether it has shaken hands.
    """

    folder: Name
    version: Name
    platform: Name
    files: tuple[File, ...]
    source: str
    package_version: str
    package_sha256: str
    tag: str
    installed: float
    trial: Trial = Trial.UNTRIED

    @property
    def known_as(self) -> str:
        """The version under which its source lists it."""
        return self.package_version or self.version


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        current: folder of the release that counts, empty for none.
        previous: folder of the one that counted before.
        named: an executable of the user's own that counts instead, empty for none.
        releases: what is installed, in order of installation.
        pins: what a SHA-256 was when it was first seen; they outlive the releases.
    """

    current: str = ""
    previous: str = ""
    named: str = ""
    releases: tuple[Release, ...] = ()
    pins: dict[str, Sha256] = {}

    def release(self, folder: str) -> Release | None:
        """Return the release in `folder`."""
        return next((one for one in self.releases if one.folder == folder), None)

    def with_release(self, release: Release) -> State:
        """Return the state with `release` added, or in the place of the one in its folder."""
        others = (one for one in self.releases if one.folder != release.folder)
        releases = sorted((*others, release), key=lambda one: one.installed)
        return msgspec.structs.replace(self, releases=tuple(releases))

    def without(self, folder: str) -> State:
        """Return the state without the release in `folder`."""
        return msgspec.structs.replace(
            self,
            current="" if self.current == folder else self.current,
            previous="" if self.previous == folder else self.previous,
            releases=tuple(one for one in self.releases if one.folder != folder),
        )

    def switched_to(self, folder: str) -> State:
        """Return the state in which the release in `folder` counts."""
        left = self.release(self.current)
        # Nobody wants to return to what has failed.
        is_left = left is not None and left.folder != folder and left.trial is not Trial.FAILED
        previous = self.current if is_left else self.previous
        if previous == folder:
            previous = ""
        return msgspec.structs.replace(self, current=folder, previous=previous, named="")

    def fallbacks(self) -> tuple[Release, ...]:
        """Return what may count instead of the current one: the one before, then the newest."""
        others = [
            one
            for one in reversed(self.releases)
            if one.folder != self.current and one.trial is not Trial.FAILED
        ]
        return tuple(sorted(others, key=lambda one: one.folder != self.previous))

    def tag_of(self, source: str) -> str:
        """Return the tag of what `source` gave last, as far as it counts or has failed."""
        tags = [
            one.tag
            for one in self.releases
            if one.source == source and (one.folder == self.current or one.trial is Trial.FAILED)
        ]
        return tags[-1] if tags else ""

    def superfluous(self) -> tuple[Release, ...]:
        """Return the oldest releases, beyond those that are kept."""
        kept = {self.current, self.previous}
        others = [one for one in self.releases if one.folder not in kept]
        spare = KEPT_RELEASES - (len(self.releases) - len(others))
        return tuple(others[: max(0, len(others) - spare)])

    def pinned(self, seen: dict[str, str]) -> State:
        """Return the state that remembers the SHA-256s of `seen`, by key."""
        return msgspec.structs.replace(self, pins={**self.pins, **seen})

    def check_pins(self, seen: dict[str, str]) -> None:
        """Compare what is seen with what was seen first.

        Raises:
            LingmaError: something known by the same key has changed.
        """
        for key, sha256 in seen.items():
            pinned = self.pins.get(key, sha256)
            if pinned != sha256:
                raise LingmaError(
                    ErrorKind.INSTALL_FAILED,
                    f"the SHA-256 of {key} has changed: it was {pinned}, now it is {sha256}",
                    hint="nothing was changed; if you know why, add `--accept-changed`",
                )
