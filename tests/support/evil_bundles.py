"""Session bundles that nobody honest makes, each wrong in one way, and the pieces to build them."""

from __future__ import annotations

import base64
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from types import MappingProxyType

MIB = 1024 * 1024
USTAR = b"ustar\x0000"
GNU = b"ustar  \x00"


def entry(
    name: bytes,
    content: bytes = b"",
    *,
    kind: bytes = b"0",
    link: bytes = b"",
    prefix: bytes = b"",
    size: bytes | None = None,
    checksum: bytes | None = None,
    magic: bytes = USTAR,
) -> bytes:
    """Return one tar member, header and padded content; `size` and `checksum` are raw fields."""
    head = bytearray(512)
    head[: len(name)] = name
    head[100:124] = b"0000600\x000000000\x000000000\x00"
    head[124:136] = size if size is not None else b"%011o\x00" % len(content)
    head[136:148] = b"%011o\x00" % 0
    head[148:156] = b" " * 8
    head[156:157] = kind
    head[157 : 157 + len(link)] = link
    head[257 : 257 + len(magic)] = magic
    head[345 : 345 + len(prefix)] = prefix
    head[148:156] = checksum if checksum is not None else b"%06o\x00 " % sum(head)
    return bytes(head) + content + bytes(-len(content) % 512)


END = bytes(1024)
ID = entry(b"cache/id", b"0f8fad5b-d9cb-469f-a165-70867728950e")
USER = entry(b"cache/user", base64.b64encode(bytes(range(256))))
GOOD = ID + USER


def packed(*members: bytes, end: bytes = END) -> bytes:
    """Return the members as tar.gz."""
    return gzip.compress(b"".join(members) + end, mtime=0)


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    """Return a pax header with `KEY=VALUE` records of right length."""
    return entry(b"PaxHeader", b"".join(map(pax_record, records)), kind=kind)


def pax_record(record: bytes) -> bytes:
    """Return `LENGTH RECORD` with a line feed; the length counts itself."""
    size = len(record) + 3
    while len(line := b"%d %s\n" % (size, record)) != size:
        size = len(line)
    return line


def _named(name: bytes) -> bytes:
    return packed(GOOD, entry(name, b"evil"))


def _kind(kind: bytes, link: bytes = b"") -> bytes:
    return packed(GOOD, entry(b"cache/quota", kind=kind, link=link))


def _paxed(*records: bytes) -> bytes:
    return packed(GOOD, pax(*records), entry(b"cache/quota", b"evil"))


def _raw_pax(content: bytes) -> bytes:
    return packed(GOOD, entry(b"PaxHeader", content, kind=b"x"), entry(b"cache/quota", b"evil"))


def _sized(size: bytes) -> bytes:
    return packed(GOOD, entry(b"cache/quota", b"evil", size=size))


NAMES: Mapping[str, bytes] = MappingProxyType(
    {
        "parent": b"../id",
        "far parent": b"../../../../../../tmp/evil",
        "parent inside": b"cache/../../user",
        "parent, back again": b"cache/../cache/quota",
        "absolute": b"/cache/quota",
        "absolute elsewhere": b"/etc/cron.d/evil",
        "home": b"~/.ssh/authorized_keys",
        "drive": b"C:\\cache\\quota",
        "drive without a root": b"C:cache/quota",
        "network share": b"\\\\host\\share\\quota",
        "backslash": b"cache\\quota",
        "backslash parent": b"..\\..\\quota",
        "NUL inside": b"cache/quota\x00.txt",
        "NUL before parent": b"cache/quota\x00/../../evil",
        "other case": b"cache/ID",
        "other case of the folder": b"CACHE/quota",
        "trailing dot": b"cache/quota.",
        "trailing space": b"cache/quota ",
        "trailing slash": b"cache/quota/",
        "leading dot": b"./cache/quota",
        "double slash": b"cache//quota",
        "dot inside": b"cache/./quota",
        "no folder": b"quota",
        "deeper": b"cache/cache/quota",
        "file stream": b"cache/quota::$DATA",
        "device name": b"cache/NUL",
        "wide letters": "cache/\uff51uota".encode(),
        "no UTF-8": b"cache/\xff\xfe",
        "overlong slash": b"cache\xc0\xafquota",
        "a name too many": b"cache/machine_token.json",
        "no name": b"",
        "hundred letters": b"cache/" + b"q" * 94,
    }
)

KINDS: Mapping[str, bytes] = MappingProxyType(
    {
        "character device": b"3",
        "block device": b"4",
        "folder": b"5",
        "fifo": b"6",
        "contiguous file": b"7",
        "sparse file": b"S",
        "long name": b"L",
        "long link": b"K",
        "other volume": b"M",
        "volume name": b"V",
        "Solaris header": b"X",
        "folder with names": b"D",
        "unknown kind": b"Z",
    }
)

PAX: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {
        "pax path": (b"path=../evil",),
        "pax path behind times": (b"mtime=1.5", b"path=../evil"),
        "pax path of a good name": (b"path=cache/id",),
        "pax size": (b"size=99999999999",),
        "pax link": (b"linkpath=/etc/passwd",),
        "pax sparse map": (b"GNU.sparse.major=1", b"GNU.sparse.minor=0"),
        "pax sparse name": (b"GNU.sparse.name=../evil",),
        "pax real size": (b"SCHILY.realsize=99999999999",),
        "pax charset": (b"hdrcharset=BINARY",),
        "pax header of 5 KiB": (b"mtime=" + b"1" * 5000,),
    }
)


def _noise(size: int) -> bytes:
    return Random(1).randbytes(size)


def _bomb(size: int) -> bytes:
    """Return a member of `size` zeros; written in pieces, since a bomb is large only unpacked."""
    writer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = entry(b"cache/quota", size=b"%011o\x00" % size)
    parts = [writer.compress(GOOD + head)]
    parts += [writer.compress(bytes(MIB)) for _ in range(size // MIB)]
    return b"".join([*parts, writer.compress(END), writer.flush()])


def _many_small() -> bytes:
    return packed(GOOD, *[pax(b"mtime=1") for _ in range(20)])


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("cache/id", "i")
        archive.writestr("cache/user", "u")
    return out.getvalue()


def _flipped(at: int) -> bytes:
    data = bytearray(packed(GOOD))
    data[at] ^= 0x40
    return bytes(data)


def sealed_header(*, key: Mapping[str, object] | None = None, **changes: object) -> bytes:
    """Return a sealed bundle whose header, and `key` in it, has changes; its body is noise."""
    derivation: dict[str, object] = {
        "n": 2**17,
        "r": 8,
        "p": 1,
        "salt": base64.b64encode(bytes(16)).decode(),
        "nonce": base64.b64encode(bytes(12)).decode(),
    }
    header: dict[str, object] = {
        "format": "lingma-session",
        "version": 1,
        "account": "work",
        "created": 1.0,
        "expires": 9e9,
        "key": {**derivation, **(key or {})},
    }
    return json.dumps({**header, **changes}, separators=(",", ":")).encode() + b"\n" + _noise(64)


_ARCHIVES: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "symbolic link": lambda: _kind(b"2", b"/etc/passwd"),
        "symbolic link inside": lambda: _kind(b"2", b"id"),
        "hard link": lambda: _kind(b"1", b"/etc/passwd"),
        "file with a link name": lambda: _kind(b"0", b"/etc/passwd"),
        "link, then a file through it": lambda: packed(
            entry(b"cache", kind=b"2", link=b"/tmp"), GOOD
        ),
        "prefix": lambda: packed(GOOD, entry(b"cache/quota", b"evil", prefix=b"../..")),
        "prefix makes the name": lambda: packed(GOOD, entry(b"quota", b"evil", prefix=b"cache")),
        "GNU long name": lambda: packed(
            GOOD, entry(b"././@LongLink", b"../evil\x00", kind=b"L", magic=GNU), ID
        ),
        "global pax": lambda: packed(pax(b"mtime=1", kind=b"g"), GOOD),
        "same file twice": lambda: packed(GOOD, ID),
        "seventeen members": _many_small,
        "no user": lambda: packed(ID),
        "no id": lambda: packed(USER),
        "empty user": lambda: packed(ID, entry(b"cache/user")),
        "blank user": lambda: packed(ID, entry(b"cache/user", b" \n")),
        "nothing in it": packed,
        "pax length 0": lambda: _raw_pax(b"0 mtime=1\n"),
        "pax length too small": lambda: _raw_pax(b"5 mtime=1\n"),
        "pax length too large": lambda: _raw_pax(b"99 mtime=1\n"),
        "pax without a line feed": lambda: _raw_pax(b"10 mtime=1"),
        "pax that stands still": lambda: _raw_pax(pax_record(b"mtime=1") + b"0 mtime=1\n"),
        "pax noise": lambda: _raw_pax(_noise(100)),
        "size below zero": lambda: _sized(b"\xff" * 12),
        "size in base 256": lambda: _sized(b"\x80" + bytes(10) + b"\x04"),
        "size with a sign": lambda: _sized(b"-0000000004\x00"),
        "size of 8 GiB": lambda: _sized(b"77777777777\x00"),
        "size of nothing": lambda: _sized(bytes(12)),
        "size in decimals": lambda: _sized(b"00000000009\x00"),
        "size past the end": lambda: _sized(b"%011o\x00" % 4096),
        "wrong checksum": lambda: packed(GOOD, entry(b"cache/quota", checksum=b"000001\x00 ")),
        "no checksum": lambda: packed(GOOD, entry(b"cache/quota", checksum=b" " * 8)),
        "no end": lambda: packed(GOOD, end=b""),
        "half a header": lambda: packed(GOOD, end=ID[:300]),
        "something behind the end": lambda: packed(GOOD, END, b"evil".ljust(512, b"\0")),
        "a second archive behind the end": lambda: packed(GOOD, END, GOOD),
        "bomb": lambda: _bomb(200 * MIB),
        "small bomb": lambda: _bomb(3 * MIB),
        "more than 4 MiB packed": lambda: packed(GOOD, entry(b"cache/quota", _noise(5 * MIB))),
        "more than 4 MiB unpacked": lambda: packed(
            GOOD, entry(b"cache/quota", _noise(3 * MIB) + b"0123456789" * 200_000)
        ),
        "cut off": lambda: packed(GOOD)[:-20],
        "cut before its checksum": lambda: packed(GOOD)[:-8],
        "only the magic": lambda: b"\x1f\x8b",
        "only a gzip header": lambda: packed(GOOD)[:10],
        "flipped checksum": lambda: _flipped(-5),
        "flipped length": lambda: _flipped(-1),
        "flipped content": lambda: _flipped(40),
        "gzip name of 5 MiB": lambda: (
            b"\x1f\x8b\x08\x08" + packed(GOOD)[4:10] + b"n" * (5 * MIB) + b"\0" + packed(GOOD)[10:]
        ),
        "reserved gzip flags": lambda: packed(GOOD)[:3] + b"\xe0" + packed(GOOD)[4:],
        "trailing noise": lambda: packed(GOOD) + _noise(64),
        "trailing zeros": lambda: packed(GOOD) + bytes(64),
        "two gzip members": lambda: gzip.compress(GOOD) + gzip.compress(END),
        "a bundle behind a bundle": lambda: packed(GOOD) * 2,
        "much trailing noise": lambda: packed(GOOD) + _noise(MIB),
        "gzip in gzip": lambda: gzip.compress(packed(GOOD)),
        "gzip of noise": lambda: gzip.compress(_noise(4096)),
        "nothing": lambda: b"",
        "bare tar": lambda: GOOD + END,
        "xz": lambda: lzma.compress(GOOD + END),
        "zlib": lambda: zlib.compress(GOOD + END),
        "zip": _zip,
        "junk": lambda: b"\xf0\x9f\x98\x80 no bundle at all!",
    }
)

_TEXTS: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "text: junk inside": lambda: base64.b64encode(packed(GOOD))[:-8] + b"!!!!!!!!",
        "text: no padding": lambda: base64.b64encode(packed(GOOD) + b"x" * 3)[:-3] + b"A",
        "text: padding inside": lambda: b"AAA=" + base64.b64encode(packed(GOOD)),
        "text: letters of URLs": lambda: base64.urlsafe_b64encode(b"\xfb\xff" * 32),
        "text: coded twice": lambda: base64.b64encode(base64.b64encode(packed(GOOD))),
        "text: white space": lambda: b" \n" * 1000,
        "text: behind 7 MiB of white space": lambda: (
            b" " * (7 * MIB) + base64.b64encode(packed(GOOD))
        ),
        "text: 7 MiB": lambda: base64.b64encode(_noise(7 * MIB)),
        "text: 6 MiB of single letters": lambda: b"H " * (3 * MIB),
    }
)

_SEALED: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "sealed: header only": lambda: sealed_header().partition(b"\n")[0],
        "sealed: no body": lambda: sealed_header().partition(b"\n")[0] + b"\n",
        "sealed: long header": lambda: sealed_header(account="a" * 5000),
        "sealed: too large": lambda: sealed_header() + bytes(5 * MIB),
        "sealed: derivation of 16 GiB": lambda: sealed_header(key={"n": 2**24}),
        "sealed: derivation without end": lambda: sealed_header(key={"p": 2**20}),
        "sealed: wide derivation": lambda: sealed_header(key={"r": 2**20}),
        "sealed: derivation of no power of two": lambda: sealed_header(key={"n": 2**17 - 1}),
        "sealed: derivation below zero": lambda: sealed_header(key={"n": -2}),
        "sealed: short salt": lambda: sealed_header(key={"salt": "AAAA"}),
        "sealed: salt of no base64": lambda: sealed_header(key={"salt": "?" * 24}),
        "sealed: long nonce": lambda: sealed_header(key={"nonce": "A" * 32}),
        "sealed: other version": lambda: sealed_header(version=2),
        "sealed: more fields": lambda: sealed_header(x=1),
        "sealed: account for the terminal": lambda: sealed_header(account="\x1b]0;evil\x07"),
        "sealed: account for the path": lambda: sealed_header(account="../evil"),
        "sealed: no date": lambda: sealed_header(expires="never"),
        "sealed: expired": lambda: sealed_header(expires=2.0),
        "sealed: no JSON": lambda: b'{"format":"lingma-session"' + b"\n" + bytes(64),
    }
)


def evil_archives() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield a name and a maker for each evil that is no text and not sealed."""
    yield from ((f"name: {case}", partial(_named, name)) for case, name in NAMES.items())
    yield from ((f"kind: {case}", partial(_kind, kind)) for case, kind in KINDS.items())
    yield from ((case, partial(_paxed, *records)) for case, records in PAX.items())
    yield from _ARCHIVES.items()


def evil_bundles() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield a name and a maker for each evil."""
    yield from evil_archives()
    yield from _TEXTS.items()
    yield from _SEALED.items()
