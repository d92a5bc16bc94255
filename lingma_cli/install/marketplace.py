"""The Visual Studio Marketplace: its addresses, the version query and its answer. Pure.

Source: Lingma local protocol, "Distribution".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.hosts import Host
from lingma_cli.install.versions import is_version, version_order

GALLERY: Final = "marketplace.visualstudio.com"
_PATH: Final = "_apis/public/gallery"
QUERY_URL: Final = f"https://{GALLERY}/{_PATH}/extensionquery"
QUERY_ACCEPT: Final = "application/json;api-version=3.0-preview.1"
VENDOR_VSIX: Final = (
    "https://tongyi-code.oss-cn-hangzhou.aliyuncs.com/vscode/tongyi-lingma-latest.vsix"
)

# Becomes part of a host name, so it is as narrow as the Marketplace's own rule.
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
_ASSET: Final = "Microsoft.VisualStudio.Services.VSIXPackage"
_FULL_NAME_FILTER: Final = 7
# Versions, their properties, validated ones only.
_QUERY_FLAGS: Final = 0x1 | 0x10 | 0x20
_PRERELEASE: Final = "Microsoft.VisualStudio.Code.PreRelease"
# quirk: a build for all platforms carries no target, or one of these.
_UNIVERSAL: Final = ("", "universal", "undefined", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One version that fits; `target` is empty for a build for all platforms."""

    version: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An extension by its publisher and name, for example `Alibaba-Cloud` and `tongyi-lingma`."""

    publisher: str
    name: str

    def __post_init__(self) -> None:
        for part in (self.publisher, self.name):
            if not _NAME.fullmatch(part):
                raise LingmaError(
                    ErrorKind.USAGE, f"not a name of a publisher or extension: `{part}`"
                )

    @property
    def full_name(self) -> str:
        """The name by which the Marketplace knows it."""
        return f"{self.publisher}.{self.name}"

    @property
    def hosts(self) -> frozenset[Host]:
        """The hosts from which its packages come."""
        publisher = self.publisher.lower()
        return frozenset(
            Host(name)
            for name in (
                GALLERY,
                f"{publisher}.gallery.vsassets.io",
                f"{publisher}.gallerycdn.vsassets.io",
            )
        )

    def query(self) -> bytes:
        """Return the body that asks for its versions."""
        criterion = {"filterType": _FULL_NAME_FILTER, "value": self.full_name}
        page = {"criteria": [criterion], "pageNumber": 1, "pageSize": 1}
        return msgspec.json.encode({"filters": [page], "assetTypes": [], "flags": _QUERY_FLAGS})

    def package_urls(self, listed: Listed) -> tuple[str, ...]:
        """Return the addresses of a version's package, to be tried in turn."""
        target = f"?targetPlatform={quote(listed.target, safe='')}" if listed.target else ""
        publisher, name, version = self.publisher, self.name, quote(listed.version, safe="")
        package = f"publishers/{publisher}/vsextensions/{name}/{version}/vspackage"
        asset = f"publisher/{publisher}/extension/{name}/{version}/assetbyname/{_ASSET}"
        return (
            f"https://{GALLERY}/{_PATH}/{package}{target}",
            f"https://{publisher.lower()}.gallery.vsassets.io/{_PATH}/{asset}{target}",
        )


class _Property(msgspec.Struct):
    key: str = ""
    value: str = ""


class _Version(msgspec.Struct, rename="camel"):
    version: str = ""
    target_platform: str = ""
    properties: tuple[_Property, ...] = ()

    @property
    def is_prerelease(self) -> bool:
        return any(one.key == _PRERELEASE and one.value == "true" for one in self.properties)


class _Extension(msgspec.Struct):
    versions: tuple[_Version, ...] = ()


class _Result(msgspec.Struct):
    extensions: tuple[_Extension, ...] = ()


class _Answer(msgspec.Struct):
    results: tuple[_Result, ...] = ()


def read_versions(answer: bytes, targets: Sequence[str]) -> tuple[Listed, ...]:
    """Return the released versions that fit, newest first.

    Args:
        answer: the body that the query got.
        targets: the Marketplace's names of this machine, best first.

    Raises:
        LingmaError: it is no answer to the query.
    """
    try:
        read = msgspec.json.decode(answer, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LingmaError(
            ErrorKind.INSTALL_FAILED, "the Marketplace's answer cannot be read"
        ) from error
    found: dict[str, tuple[int, Listed]] = {}
    for one in (v for r in read.results for e in r.extensions for v in e.versions):
        rank = _rank(one, targets)
        if rank is None or not is_version(one.version) or one.is_prerelease:
            continue
        if one.version not in found or rank < found[one.version][0]:
            target = "" if one.target_platform in _UNIVERSAL else one.target_platform
            found[one.version] = (rank, Listed(version=one.version, target=target))
    newest = sorted(found, key=version_order, reverse=True)
    return tuple(found[version][1] for version in newest)


def _rank(version: _Version, targets: Sequence[str]) -> int | None:
    """Return the place of a build among those that fit, lowest best; `None` if it does not fit."""
    if version.target_platform in targets:
        return targets.index(version.target_platform)
    return len(targets) if version.target_platform in _UNIVERSAL else None
