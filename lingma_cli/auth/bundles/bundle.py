"""A login as a value, and its packed form: a gzipped tar of four files, as text in base64.

Source: Lingma local protocol, "Session bundle". Owns: what a bundle is and how one is read from a
stranger's bytes. Must not know: where bundles are kept, or whose they are.

Theory of the reader: nothing is extracted. The gzip stream is inflated piece by piece under caps,
the tar headers are read here, and only plain files of four exact names survive, in memory. A
header may be preceded by a pax record, since common tar writers put times there; any record or
type that could rename, resize, link or hollow out a member is refused.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.secret import DOTS

NAMES: Final = ("id", "user", "quota", "config.json")
MAX_PACKED: Final = 4 * 1024 * 1024
MAX_TEXT: Final = 6 * 1024 * 1024

_MAX_TAR: Final = 4 * 1024 * 1024
# Leaves room for the tar around the files and for gzip around what does not compress.
_MAX_FILES: Final = _MAX_TAR - 16 * 1024
_MAX_RATIO: Final = 100
_MAX_MEMBERS: Final = 16
_MAX_PAX: Final = 4096
_PIECE: Final = 16 * 1024
_BLOCK: Final = 512
_END: Final = bytes(_BLOCK)
_GZIP: Final = 31
_GZIP_MAGIC: Final = b"\x1f\x8b"
_SPACE: Final = b" \t\r\n"

_FILES: Final = MappingProxyType({f"cache/{name}".encode(): name for name in NAMES})
_HARMLESS_PAX: Final = frozenset({"atime", "ctime", "gid", "gname", "mtime", "uid", "uname"})
_PAX_LINE: Final = re.compile(rb"(\d{1,5}) ([^=\n]{1,100})=")
_OCTAL: Final = re.compile(rb" *([0-7]{1,11})[ \0]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The files of one login.

    Attributes:
        files: content by name, names out of `NAMES`; `id` and `user` are there and not blank.

    Raises:
        LingmaError: another name, a missing file, or more than some 4 MiB.
    """

    files: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if not set(self.files) <= set(NAMES):
            raise damaged("a file of another name is in it")
        for name in ("id", "user"):
            if not self.files.get(name, b"").strip():
                raise damaged(f"`{name}` is missing or empty")
        if sum(map(len, self.files.values())) > _MAX_FILES:
            raise damaged("it holds more than 4 MiB")
        ordered = {name: self.files[name] for name in NAMES if name in self.files}
        object.__setattr__(self, "files", MappingProxyType(ordered))

    def __repr__(self) -> str:
        return f"Bundle({DOTS})"


def damaged(reason: str) -> LingmaError:
    """Return the error for a bundle that cannot be used; `reason` must not quote it."""
    return LingmaError(
        ErrorKind.USAGE,
        f"this is no usable session bundle: {reason}",
        hint="make a new one with `lingma session export`",
    )


def pack(bundle: Bundle) -> bytes:
    """Return the bundle as tar.gz; equal bundles give equal bytes."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in bundle.files.items():
            member = tarfile.TarInfo(f"cache/{name}")
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, io.BytesIO(content))
    packed = _compressed(tar.getvalue(), zlib.Z_BEST_COMPRESSION)
    if tar.tell() > _MAX_RATIO * len(packed):
        # Readers refuse what shrinks as much as a bomb.
        return _compressed(tar.getvalue(), zlib.Z_NO_COMPRESSION)
    return packed


def _compressed(content: bytes, level: int) -> bytes:
    writer = zlib.compressobj(level, zlib.DEFLATED, _GZIP)
    return writer.compress(content) + writer.flush()


def is_packed(data: bytes) -> bool:
    """Tell whether `data` begins like a packed bundle."""
    return data.startswith(_GZIP_MAGIC)


def unpack(data: bytes) -> Bundle:
    """Return the bundle in `data`, a tar.gz that anybody may have made.

    Raises:
        LingmaError: it is no bundle, it is damaged, or it is hostile.
    """
    if len(data) > MAX_PACKED:
        raise damaged("it is larger than 4 MiB")
    tar = memoryview(_inflated(data))
    files: dict[str, bytes] = {}
    members = at = 0
    while (header := bytes(tar[at : at + _BLOCK])) != _END:
        members += 1
        if members > _MAX_MEMBERS:
            raise damaged("it has more than 16 members")
        kind, size = _kind(header), _size(header)
        content = bytes(tar[at + _BLOCK : at + _BLOCK + size])
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
        if kind == tarfile.XHDTYPE:
            _check_pax(content)
        else:
            _add(files, _name(header), content)
    if bytes(tar[at:]).strip(b"\0"):
        raise damaged("something follows its end")
    return Bundle(files=files)


def _inflated(data: bytes) -> bytearray:
    reader, out = zlib.decompressobj(_GZIP), bytearray()
    source = memoryview(data)
    for start in range(0, len(source), _PIECE):
        if reader.eof:
            raise damaged("something follows its end")
        piece = source[start : start + _PIECE]
        try:
            out += reader.decompress(piece, _MAX_TAR + 1 - len(out))
        except zlib.error:
            raise damaged("it is no gzip, or was changed") from None
        if len(out) > _MAX_TAR:
            raise damaged("it inflates to more than 4 MiB")
        if len(out) > _MAX_RATIO * (start + len(piece)):
            raise damaged("it inflates more than a hundredfold")
    if not reader.eof:
        raise damaged("it is cut off")
    if reader.unused_data:
        raise damaged("something follows its end")
    return out


def _add(files: dict[str, bytes], name: str, content: bytes) -> None:
    if name in files:
        raise damaged("it has the same file twice")
    files[name] = content


def _kind(header: bytes) -> bytes:
    if len(header) < _BLOCK:
        raise damaged("it is cut off")
    checksum = sum(header[:148]) + 8 * ord(" ") + sum(header[156:])
    if _number(header[148:156]) != checksum:
        raise damaged("a header of it was changed")
    kind = header[156:157]
    if kind not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.XHDTYPE):
        raise damaged("something else than a plain file is in it")
    return kind


def _name(header: bytes) -> str:
    is_ustar = header[257:263] == b"ustar\0"
    prefix = header[345:500].strip(b"\0") if is_ustar else b""
    link = header[157:257].strip(b"\0")
    name = _FILES.get(header[:100].rstrip(b"\0"))
    if name is None or prefix or link:
        raise damaged("a file of another name is in it")
    return name


def _size(header: bytes) -> int:
    return _number(header[124:136])


def _number(octal: bytes) -> int:
    # Base 256 and signs exist in tar as well; four small files need neither.
    found = _OCTAL.fullmatch(octal)
    if found is None:
        raise damaged("a header of it is malformed")
    return int(found[1], 8)


def _check_pax(content: bytes) -> None:
    """Refuse a pax record, lines of `LENGTH KEY=VALUE`, that could change what a file is."""
    if len(content) > _MAX_PAX:
        raise damaged("a header of it is too long")
    at = 0
    while at < len(content):
        found = _PAX_LINE.match(content, at)
        if found is None or found[2].decode("latin-1") not in _HARMLESS_PAX:
            raise damaged("a header of it says more than times and owners")
        end = at + int(found[1])
        if not found.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise damaged("a header of it is malformed")
        at = end


def to_text(data: bytes, *, width: int = 0) -> str:
    """Return `data` in base64, in lines of `width` characters, or in one line without a width."""
    text = base64.b64encode(data).decode()
    lines = [text[at : at + width] for at in range(0, len(text), width)] if width else [text]
    return "\n".join(lines) + "\n"


def from_text(text: str | bytes) -> bytes:
    """Return the bytes in base64 `text`; white space may stand anywhere.

    Raises:
        LingmaError: other characters, wrong padding, or more than 6 MiB.
    """
    if len(text) > MAX_TEXT:
        raise damaged("it is larger than 6 MiB")
    try:
        coded = text.encode("ascii") if isinstance(text, str) else text
        return binascii.a2b_base64(coded.translate(None, _SPACE), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raise damaged("it is no base64 text") from None
