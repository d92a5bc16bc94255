"""Copies of the executable that another program has put on this machine.

Source: Lingma local protocol, "Installed copies to look for".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.install.platforms import Machine
from lingma_cli.install.versions import is_version, version_order

_CONFIG_BYTES: Final = 1024 * 1024
_CONFIG_KEY: Final = "cosy.core.version"
_VSCODE_ROOTS: Final = (".vscode", ".vscode-server")
_NESTED: Final = re.compile(r"lingma-(?P<version>.+)\.zip")
_MACOS_APP: Final = Path("/Applications/Lingma.app/Contents/Resources/app/resources/bin")
_WINDOWS_APP: Final = Path("Programs/Lingma/resources/app/resources/bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One copy.

    Attributes:
        path: the executable, or an archive that holds it.
        version: empty when the place does not tell.
        platform: the build, empty for an archive.
    """

    path: Path
    version: str
    platform: str

    @property
    def is_archive(self) -> bool:
        """Whether it has to be unpacked first."""
        return not self.platform


def find_copies(
    *, home: Path, environ: Mapping[str, str], machine: Machine, extension: str
) -> tuple[Copy, ...]:
    """Return the copies that may run here, the best first.

    Args:
        home: the user's home.
        environ: the process environment; `LINGMA_SERVICE_BINARY` names a copy that goes first.
        machine: what runs here.
        extension: `publisher.name` of the editor's extension.
    """
    named = environ.get("LINGMA_SERVICE_BINARY", "")
    chosen = [
        Copy(path=path, version="", platform="unknown")
        for path in [Path(named).expanduser().absolute()]
        if named and _runs(path)
    ]
    others = [
        *_shared(home / ".lingma" / "bin", machine),
        *_editor(home, machine, extension.lower()),
        *_apps(environ, machine),
    ]
    # Of equal versions the one that need not be unpacked.
    others.sort(key=lambda copy: (version_order(copy.version), not copy.is_archive), reverse=True)
    return (*chosen, *others)


def _shared(folder: Path, machine: Machine) -> Iterator[Copy]:
    """What the JetBrains plugin keeps: of its versions the one it uses, else all."""
    current = _configured(folder / "config.json")
    used = list(_in_versions(folder, [current], machine)) if is_version(current) else []
    yield from used or _in_versions(folder, _names(folder), machine)


def _configured(path: Path) -> str:
    try:
        with path.open("rb") as file:
            config = msgspec.json.decode(file.read(_CONFIG_BYTES), type=dict[str, object])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    version = config.get(_CONFIG_KEY)
    return version if isinstance(version, str) else ""


def _editor(home: Path, machine: Machine, extension: str) -> Iterator[Copy]:
    for root in _VSCODE_ROOTS:
        folder = home / root / "extensions"
        for name in _names(folder):
            if not name.lower().startswith(f"{extension}-"):
                continue
            bin_folder = folder / name / "dist" / "bin"
            names = _names(bin_folder)
            yield from _in_versions(bin_folder, names, machine)
            for archive in names:
                match = _NESTED.fullmatch(archive)
                if match and is_version(match["version"]):
                    path = bin_folder / archive
                    yield Copy(path=path, version=match["version"], platform="")


def _apps(environ: Mapping[str, str], machine: Machine) -> Iterator[Copy]:
    local = environ.get("LOCALAPPDATA", "")
    folders = {"darwin": _MACOS_APP, "windows": Path(local) / _WINDOWS_APP if local else None}
    folder = folders.get(machine.system)
    if folder is not None:
        yield from _in_platforms(folder, "", machine)


def _in_versions(folder: Path, names: Sequence[str], machine: Machine) -> Iterator[Copy]:
    for name in names:
        if is_version(name):
            yield from _in_platforms(folder / name, name, machine)


def _in_platforms(folder: Path, version: str, machine: Machine) -> Iterator[Copy]:
    for platform in machine.platforms:
        path = folder / platform / machine.executable
        if _runs(path):
            yield Copy(path=path, version=version, platform=platform)
            return


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
