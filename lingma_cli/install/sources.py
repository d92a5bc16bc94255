"""Where a package is downloaded from: the Marketplace, or one address.

Owns: what a source offers and how its package is got. Must not know: what becomes of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.fetch import Download, Fetcher, OnProgress
from lingma_cli.install.hosts import shown
from lingma_cli.install.marketplace import QUERY_ACCEPT, QUERY_URL, Extension, read_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A package that can be had; `version` is empty when only the package itself can tell."""

    version: str
    urls: tuple[str, ...]


class Source(Protocol):
    """Something that offers packages."""

    @property
    def name(self) -> str:
        """What it is called, for a person and for pins."""

    def offer(self, version: str) -> Offer:
        """Return the newest package, or that of `version` if it is not empty.

        Raises:
            LingmaError: there is none.
        """

    def fetch(
        self, offer: Offer, folder: Path, *, on_progress: OnProgress, known_tag: str
    ) -> Download | None:
        """Download a package, or return `None` if it is the one that `known_tag` names.

        Raises:
            LingmaError: it cannot be had.
        """


class MarketplaceSource:
    """The Marketplace's packages of `extension`.

    Args:
        extension: whose packages.
        targets: the Marketplace's names of this machine, best first.
        fetcher: allowed to ask the extension's hosts.
    """

    def __init__(self, extension: Extension, targets: Sequence[str], fetcher: Fetcher) -> None:
        self.name = f"{extension.full_name} from the Marketplace"
        self._extension = extension
        self._targets = targets
        self._fetcher = fetcher

    def offer(self, version: str) -> Offer:
        """See `Source`."""
        answer = self._fetcher.post(QUERY_URL, self._extension.query(), accept=QUERY_ACCEPT)
        listed = read_versions(answer, self._targets)
        fitting = [one for one in listed if version in ("", one.version)]
        if not fitting:
            what = f"version {version}" if version else "a version for this machine"
            raise LingmaError(
                ErrorKind.INSTALL_FAILED,
                f"the Marketplace does not list {what} of {self._extension.full_name}",
                hint="look at `lingma config show --origin`, or use `--vsix FILE`",
            )
        newest = fitting[0]
        return Offer(version=newest.version, urls=self._extension.package_urls(newest))

    def fetch(
        self, offer: Offer, folder: Path, *, on_progress: OnProgress, known_tag: str
    ) -> Download | None:
        """See `Source`; the second form of the address is tried when the first fails."""
        first, second = offer.urls
        try:
            return self._fetcher.download(
                first, folder, on_progress=on_progress, known_tag=known_tag
            )
        except LingmaError as error:
            try:
                return self._fetcher.download(second, folder, on_progress=on_progress)
            except LingmaError:
                raise error from None


class AddressSource:
    """The package at one https address, whatever its version.

    Args:
        url: the address.
        fetcher: allowed to ask its host.
    """

    def __init__(self, url: str, fetcher: Fetcher) -> None:
        self.name = shown(url)
        self._url = url
        self._fetcher = fetcher

    def offer(self, version: str) -> Offer:
        """See `Source`."""
        if version:
            raise LingmaError(
                ErrorKind.USAGE,
                f"`{self.name}` has one version only",
                hint='leave `--version` out, or set `source_type = "marketplace"`',
            )
        return Offer(version="", urls=(self._url,))

    def fetch(
        self, offer: Offer, folder: Path, *, on_progress: OnProgress, known_tag: str
    ) -> Download | None:
        """See `Source`."""
        (url,) = offer.urls
        return self._fetcher.download(url, folder, on_progress=on_progress, known_tag=known_tag)
