"""The vendor's package: where in it the executables lie, and how they get out.

Source: Lingma local protocol, "Layout inside the VSIX". Knows the nested layout (a zip in the zip),
the flat one, the nested zip alone, and the gzip that the Marketplace may wrap around all of it.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.archive import Archive, Caps, Copied, refused, write_new
from lingma_cli.install.platforms import Machine
from lingma_cli.install.versions import is_version, version_order

EXECUTABLE_MODE: Final = 0o700
_SCRATCH_MODE: Final = 0o600
_CHUNK: Final = 256 * 1024
_GZIP: Final = b"\x1f\x8b"
_MANIFEST: Final = "extension/package.json"
_MANIFEST_BYTES: Final = 1024 * 1024
_NESTED: Final = re.compile(r"(?:.*/)?lingma-(?P<version>[^/]+)\.zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A zip file with its SHA-256 (hex)."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What was taken out of a package.

    Attributes:
        version: the executable's, empty when the package does not say.
        package_version: the extension's, empty when the package does not say.
        platform: the build that was chosen.
        files: name to what was written, the executable first.
        warnings: what is odd, for a person.
    """

    version: str
    package_version: str
    platform: str
    files: tuple[tuple[str, Copied], ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    archive: Archive
    member: str
    platform: str
    version: str


def unwrap(path: Path, scratch: Path, caps: Caps) -> Package:
    """Return the zip file that `path` is or wraps; a wrapped one is written below `scratch`.

    Raises:
        LingmaError: it cannot be read, or it is too large.
    """
    try:
        if path.stat().st_size > caps.size:
            raise refused(f"it has more than {caps.size // (1024 * 1024)} MiB")
        with path.open("rb") as file:
            if file.read(2) == _GZIP:
                written = write_new(scratch / "unwrapped", _gunzipped(path, caps), _SCRATCH_MODE)
                return Package(path=scratch / "unwrapped", sha256=written.sha256)
            file.seek(0)
            return Package(path=path, sha256=hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise LingmaError(
            ErrorKind.INSTALL_FAILED, f"cannot read `{path}`: {error.strerror}"
        ) from error


def unpack(
    package: Package, target: Path, *, scratch: Path, machine: Machine, caps: Caps
) -> Unpacked:
    """Write the executables that fit `machine` into the folder `target`.

    Raises:
        LingmaError: the package is odd, damaged, or has nothing for this machine.
    """
    with ExitStack() as held:
        outer = held.enter_context(Archive(package.path, caps))
        archives = [(outer, "")]
        if (nested := _newest_nested(outer)) is not None:
            name, version = nested
            outer.copy(name, scratch / "nested", _SCRATCH_MODE)
            rest = replace(caps, unpacked=caps.unpacked - outer.unpacked_size)
            archives.insert(0, (held.enter_context(Archive(scratch / "nested", rest)), version))
        package_version = _manifest_version(outer)
        build = _best_build(archives, machine)
        files = tuple(_copy(build, target, machine))
    return Unpacked(
        version=build.version or package_version,
        package_version=package_version,
        platform=build.platform,
        files=files,
        warnings=doubts(files, machine),
    )


def doubts(files: Sequence[tuple[str, Copied]], machine: Machine) -> tuple[str, ...]:
    """Return what is odd about the files that were taken, for a person."""
    odd = [line for name, file in files for line in machine.doubts(name, file.size, file.head)]
    if machine.companion not in dict(files):
        odd.append(f"there is no `{machine.companion}` beside `{machine.executable}`")
    return tuple(odd)


def _newest_nested(archive: Archive) -> tuple[str, str] | None:
    found = [
        (name, match["version"]) for name in archive.members if (match := _NESTED.fullmatch(name))
    ]
    return max(found, key=lambda one: version_order(one[1]), default=None)


def _best_build(archives: Sequence[tuple[Archive, str]], machine: Machine) -> _Build:
    for platform in machine.platforms:
        form = re.compile(rf"(?:.*/)?{platform}/{re.escape(machine.executable)}")
        for archive, version in archives:
            found = [
                _Build(
                    archive=archive,
                    member=name,
                    platform=platform,
                    version=_first_version(name.split("/")[-3:-2], version),
                )
                for name in archive.members
                if form.fullmatch(name)
            ]
            if found:
                return max(found, key=lambda build: version_order(build.version))
    raise refused(f"it has no `{machine.executable}` for {' or '.join(machine.platforms)}")


def _first_version(folders: Sequence[str], otherwise: str) -> str:
    texts = [text for text in (*folders, otherwise) if is_version(text)]
    return texts[0] if texts else ""


def _copy(build: _Build, target: Path, machine: Machine) -> Iterator[tuple[str, Copied]]:
    folder = build.member.removesuffix(machine.executable)
    for name in (machine.executable, machine.companion):
        if folder + name in build.archive.members:
            copied = build.archive.copy(folder + name, target / name, EXECUTABLE_MODE)
            yield name, copied


class _Manifest(msgspec.Struct):
    version: str = ""


def _manifest_version(archive: Archive) -> str:
    if _MANIFEST not in archive.members:
        return ""
    try:
        manifest = msgspec.json.decode(archive.read(_MANIFEST, _MANIFEST_BYTES), type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return manifest.version if is_version(manifest.version) else ""


def _gunzipped(path: Path, caps: Caps) -> Iterator[bytes]:
    unpacker, done = zlib.decompressobj(wbits=31), 0
    most = min(caps.size, caps.ratio * path.stat().st_size)
    try:
        with path.open("rb") as file:
            while (piece := file.read(_CHUNK)) and not unpacker.eof:
                while piece:
                    chunk = unpacker.decompress(piece, _CHUNK)
                    piece = unpacker.unconsumed_tail
                    done += len(chunk)
                    if done > most:
                        raise refused("its wrapping grows too much")
                    yield chunk
    except zlib.error as error:
        raise refused("its wrapping is damaged") from error
    # What follows the first member would be silently lost.
    if not unpacker.eof or unpacker.unused_data or piece:
        raise refused("its wrapping is incomplete or something follows it")
