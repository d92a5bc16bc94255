"""A zip file that nobody vouches for: looked at as a whole first, then copied out by name.

Members are written under names of our own choice, never under theirs; nothing is extracted in
bulk. An archive that holds anything odd is refused altogether.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lingma_cli.errors import ErrorKind, LingmaError

MIB: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024
# The list of members is read at once; 20,000 of them with ordinary names take less.
_LONGEST_READ: Final = 4 * MIB
_END: Final = b"PK\x05\x06"
_END_SIZE: Final = 22
_ENCRYPTED: Final = 0x1


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What an archive may be at most: bytes, bytes unpacked, members, times it may grow."""

    size: int = 512 * MIB
    unpacked: int = 2048 * MIB
    members: int = 20_000
    ratio: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A file that was written: its size in bytes, its SHA-256 (hex) and its first bytes."""

    size: int
    sha256: str
    head: bytes


class Archive:
    """An open archive whose every member has been looked at.

    Args:
        path: the file.
        caps: what it may be at most.

    Raises:
        LingmaError: it is no zip file, or there is something in it that does not belong there.
    """

    def __init__(self, path: Path, caps: Caps) -> None:
        self._caps = caps
        with _mapped():
            self._file = _BoundedFile(path)
        try:
            with _mapped():
                self._zip = zipfile.ZipFile(self._file)
                self.members: Mapping[str, zipfile.ZipInfo] = self._looked_at()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()
        self._file.close()

    @property
    def unpacked_size(self) -> int:
        """What all members say to be together, in bytes."""
        return sum(member.file_size for member in self.members.values())

    def read(self, name: str, limit: int) -> bytes:
        """Return a member of at most `limit` bytes."""
        if self.members[name].file_size > limit:
            raise refused(f"`{name}` is too large")
        return b"".join(self._chunks(name))

    def copy(self, name: str, target: Path, mode: int) -> Copied:
        """Write a member to `target`, which must not exist.

        Raises:
            LingmaError: the member is damaged or grows too much, or it cannot be written.
        """
        return write_new(target, self._chunks(name), mode)

    def _chunks(self, name: str) -> Iterator[bytes]:
        member = self.members[name]
        if member.file_size > self._caps.ratio * max(1, member.compress_size):
            raise refused(f"`{name}` grows too much")
        with _mapped(), self._zip.open(member) as source:
            done = 0
            # Reading ends at the size that the member claims, and its checksum is compared there.
            while chunk := source.read(_CHUNK):
                done += len(chunk)
                yield chunk
            if done != member.file_size:
                raise refused(f"`{name}` is shorter than it says")

    def _looked_at(self) -> Mapping[str, zipfile.ZipInfo]:
        size = os.fstat(self._file.fileno()).st_size
        if size > self._caps.size:
            raise refused(f"it has more than {self._caps.size // MIB} MiB")
        self._check_end(size)
        listed = self._zip.infolist()
        if len(listed) > self._caps.members:
            raise refused(f"it has more than {self._caps.members} members")
        members: dict[str, zipfile.ZipInfo] = {}
        for member in listed:
            name = _safe_name(member)
            if name in members:
                raise refused(f"it holds `{name}` twice")
            members[name] = member
        unpacked = sum(member.file_size for member in listed)
        if unpacked > min(self._caps.unpacked, self._caps.ratio * size):
            raise refused(f"it would grow from {size} to {unpacked} bytes")
        return members

    def _check_end(self, size: int) -> None:
        """Refuse what has anything behind its end: other readers would see another archive."""
        end = _END_SIZE + len(self._zip.comment)
        self._file.seek(size - end)
        record = self._file.read(_END_SIZE)
        if record[:4] != _END or struct.unpack("<H", record[20:22])[0] != end - _END_SIZE:
            raise refused("something follows its end")


class _BoundedFile(io.FileIO):
    """A file that does not hand out more than a few megabytes at once.

    The standard library reads the list of members in one piece, as long as the file claims.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_READ:
            piece = super().read(_LONGEST_READ + 1) or b""
            if len(piece) > _LONGEST_READ:
                raise refused("its list of members is too long")
            return piece
        return super().read(size) or b""


def write_new(target: Path, chunks: Iterator[bytes], mode: int) -> Copied:
    """Write `chunks` to a file that must not exist, down to the disk.

    Raises:
        LingmaError: it cannot be written.
    """
    digest, size, head = hashlib.sha256(), 0, b""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(target, flags | getattr(os, "O_BINARY", 0), mode), "wb") as file:
            for chunk in chunks:
                head = head or chunk[:16]
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise LingmaError(
            ErrorKind.INSTALL_FAILED,
            f"cannot write `{target}`: {error.strerror}",
            hint="check the disk's free space and the folder's permissions",
        ) from error
    return Copied(size=size, sha256=digest.hexdigest(), head=head)


def refused(reason: str) -> LingmaError:
    """Return the error of a package that is not let in."""
    return LingmaError(
        ErrorKind.INSTALL_FAILED,
        f"the package is refused: {reason}",
        hint="nothing was changed; try again later or another source (`lingma engine install "
        "--help`)",
    )


def _safe_name(member: zipfile.ZipInfo) -> str:
    """Return a member's name with plain slashes, if neither name nor kind is odd."""
    raw = member.orig_filename
    # quirk: some packers on Windows write backslashes.
    name = raw.replace("\\", "/")
    parts = name.removesuffix("/").split("/")
    is_odd = any(ord(char) < 0x20 or char == ":" for char in name)
    if is_odd or not all(parts) or {".", ".."} & set(parts):
        raise refused(f"it holds the name {raw[:80]!a}")
    # The upper half is the Unix mode; without one it is a plain file or folder.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refused(f"`{name}` is no plain file")
    if member.flag_bits & _ENCRYPTED:
        raise refused(f"`{name}` is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refused(f"`{name}` is packed in an unusual way")
    return name


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LingmaError(
            ErrorKind.INSTALL_FAILED, f"the package cannot be read: {error.strerror or error}"
        ) from error
    # What the standard library raises for damaged files, by the fields that it trusts.
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        ValueError,
        OverflowError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise refused("it is damaged or no zip file") from error
