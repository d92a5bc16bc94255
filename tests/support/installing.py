"""An installer of a home of its own, with a shelf of packages instead of the internet."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lingma_cli.core.ids import random_hex
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.archive import Caps
from lingma_cli.install.check import run_version
from lingma_cli.install.fetch import Download, OnProgress
from lingma_cli.install.found import Copy
from lingma_cli.install.installer import Installer
from lingma_cli.install.intake import Surroundings
from lingma_cli.install.layout import Layout
from lingma_cli.install.platforms import machine
from lingma_cli.install.sources import Offer, Source
from lingma_cli.install.versions import version_order


@dataclass
class Shelf:
    """A source with packages by version.

    Attributes:
        packages: what it lists.
        is_mute: whether it tells versions only by the package itself, like one address does.
        fetched: the versions that were taken from it.
    """

    packages: dict[str, bytes] = field(default_factory=dict)
    is_mute: bool = False
    fetched: list[str] = field(default_factory=list)
    name: str = "the shelf"

    def offer(self, version: str) -> Offer:
        """See `Source`."""
        listed = sorted(self.packages, key=version_order)
        if not listed or (version and version not in listed):
            raise LingmaError(ErrorKind.INSTALL_FAILED, "the shelf does not have it")
        chosen = version or listed[-1]
        return Offer(version="" if self.is_mute else chosen, urls=(chosen,))

    def fetch(
        self, offer: Offer, folder: Path, *, on_progress: OnProgress, known_tag: str
    ) -> Download | None:
        """See `Source`."""
        (version,) = offer.urls
        tag = hashlib.sha256(self.packages[version]).hexdigest()
        if tag == known_tag:
            return None
        self.fetched.append(version)
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / "package.part"
        path.write_bytes(self.packages[version])
        on_progress(path.stat().st_size, path.stat().st_size)
        return Download(path=path, tag=tag)


@dataclass
class Home:
    """A home with an installer.

    Attributes:
        source: where packages come from, if not from the shelf.
        copies: what other programs have installed.
        named: the executable of the settings.
        said: what a person was told.
    """

    folder: Path
    shelf: Shelf = field(default_factory=Shelf)
    source: Source | None = None
    copies: Sequence[Copy] = ()
    named: Path | None = None
    said: list[str] = field(default_factory=list)
    now: float = 1000.0

    @property
    def layout(self) -> Layout:
        """The folder of versions."""
        return Layout(self.folder / "versions", random_hex)

    @property
    def around(self) -> Surroundings:
        """This very machine, with the copies of the test."""
        return Surroundings(
            machine=machine(platform.system(), platform.machine()),
            copies=lambda: self.copies,
            run_version=partial(run_version, environ={"PATH": os.environ["PATH"]}),
            clock=lambda: self.now,
            caps=Caps(),
        )

    @property
    def installer(self) -> Installer:
        """A new one each time, as each command has its own."""
        return Installer(
            self.layout,
            self.source or self.shelf,
            self.around,
            named=self.named,
            say=self.said.append,
            on_progress=lambda _done, _total: None,
        )

    def tree(self) -> dict[str, str]:
        """Return everything on disk below the home, but for the empty lock."""
        return tree(self.folder)


def tree(folder: Path) -> dict[str, str]:
    """Return path to mode and digest of everything below `folder`, but for what a lock leaves."""
    found = {}
    for path in sorted(folder.rglob("*")):
        below = {one.name for one in path.rglob("*") if one.is_file()} if path.is_dir() else set()
        if path.name == ".lock" or below == {".lock"}:
            continue
        content = path.read_bytes() if path.is_file() else b""
        digest = hashlib.sha256(content).hexdigest()
        found[path.relative_to(folder).as_posix()] = f"{path.lstat().st_mode:o} {digest}"
    return found
