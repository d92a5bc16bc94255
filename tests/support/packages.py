"""Packages for tests: good ones of the simulator, and every evil one that must be refused."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

from lingma_cli.demo.packing import Packing, pack, this_platform

BUILD = f"extension/resources/bin/{this_platform()}"
SYMLINK, DEVICE = 0o120777, 0o020666


def good(version: str = "2.6.10", **more: object) -> bytes:
    """Return a package of the simulator."""
    return pack(Packing(version=version, **more))  # type: ignore[arg-type]


def zipped(
    members: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, mode: int = 0o100644
) -> bytes:
    """Return a zip file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo("x")
            # Set afterwards: the constructor mends what is meant to be odd.
            member.filename = name
            member.compress_type = method
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return buffer.getvalue()


def executables(**more: bytes) -> dict[str, bytes]:
    """Return the members that a package needs, and `more`."""
    script = b"#!/bin/sh\necho version: 2.6.10\n"
    return {f"{BUILD}/Lingma": script, f"{BUILD}/LingmaLocal": script, **more}


def with_member(name: str, *, mode: int = 0o100644) -> bytes:
    """Return a package in which one member is odd."""
    package = io.BytesIO(zipped(executables()))
    with zipfile.ZipFile(package, "a") as archive:
        member = zipfile.ZipInfo("x")
        member.filename = name
        member.external_attr = mode << 16
        archive.writestr(member, b"/etc/passwd")
    return package.getvalue()


def flipped(package: bytes, place: float = 0.5) -> bytes:
    """Return `package` with one bit turned, within its largest member."""
    at = int(len(package) * place)
    return package[:at] + bytes([package[at] ^ 1]) + package[at + 1 :]


def _twice() -> bytes:
    buffer = io.BytesIO()
    members = {**executables(), "extension/aaaa": b"1", "extension/bbbb": b"2"}
    buffer.write(zipped(members))
    return buffer.getvalue().replace(b"extension/bbbb", b"extension/aaaa")


def _marked(offset: int, value: int, package: bytes | None = None) -> bytes:
    """Change a 16-bit field of every entry of the list of members."""
    data = bytearray(package or zipped(executables()))
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<H", data, at + offset, value)
        at = data.find(b"PK\x01\x02", at + 4)
    return bytes(data)


def _sized(size: int) -> bytes:
    """Change the unpacked size that every member claims."""
    data = bytearray(zipped(executables()))
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<I", data, at + 24, size)
        at = data.find(b"PK\x01\x02", at + 4)
    return bytes(data)


def _many(count: int) -> bytes:
    return zipped({**executables(), **{f"extension/{number}": b"" for number in range(count)}})


def _endless_list() -> bytes:
    """An end record that claims a list of members of hundreds of megabytes, and a file to match."""
    entry = b"PK\x01\x02" + struct.pack("<HHHHHHIIIHHHHHII", *([20] * 2), *([0] * 14)) + b""
    listed = entry * 120_000
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(listed), 0, 0)
    return listed + end


def _deep_bomb() -> bytes:
    nested = zipped({f"2.6.10/{this_platform()}/Lingma": bytes(40 * 1024 * 1024)})
    return zipped({"extension/dist/bin/lingma-2.6.10.zip": nested}, method=zipfile.ZIP_STORED)


def _gzip_bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return packer.compress(bytes(64 * 1024 * 1024)) + packer.flush()


def _half_gzip() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return (packer.compress(good()) + packer.flush())[:-20]


EVIL: Mapping[str, Callable[[], bytes]] = {
    "traversal": lambda: with_member("extension/../../../outside"),
    "traversal with backslashes": lambda: with_member("extension\\..\\..\\outside"),
    "absolute": lambda: with_member("/tmp/outside"),
    "drive": lambda: with_member("C:/outside"),
    "stream": lambda: with_member("extension/file:stream"),
    "nul": lambda: with_member("extension/a\0b"),
    "control": lambda: with_member("extension/a\x1bb"),
    "dot": lambda: with_member("extension/./a"),
    "empty part": lambda: with_member("extension//a"),
    "symbolic link": lambda: with_member("extension/link", mode=SYMLINK),
    "device": lambda: with_member("extension/device", mode=DEVICE),
    "executable is a link": lambda: zipped(executables(), mode=SYMLINK),
    "twice": _twice,
    "encrypted": lambda: _marked(8, 1),
    "unusual packing": lambda: zipped(executables(), method=zipfile.ZIP_LZMA),
    "unknown packing": lambda: _marked(10, 99),
    "bomb": lambda: zipped({f"{BUILD}/Lingma": bytes(40 * 1024 * 1024)}),
    "bomb beside": lambda: zipped(executables(bomb=bytes(60 * 1024 * 1024))),
    "bomb within": _deep_bomb,
    "claimed bomb": lambda: _sized(0xF0000000),
    "claims too little": lambda: _sized(3),
    "claims too much": lambda: _sized(100),
    "wrapped bomb": _gzip_bomb,
    "half a wrapping": _half_gzip,
    "wrapping and more": lambda: zlib.compress(good(), wbits=31) + b"more",
    "too many": lambda: _many(20_001),
    "endless list": _endless_list,
    "flipped byte": lambda: flipped(good(layout="flat", padding=0), 0.6),
    "short": lambda: good()[:-30],
    "long": lambda: good() + b"something behind its end",
    "nothing": lambda: b"",
    "a web page": lambda: b"<!doctype html><title>Sign in</title>",
    "without an executable": lambda: zipped({"extension/package.json": b"{}"}),
    "for another system": lambda: good(platforms=("x86_64_plan9",)),
    "does not run": lambda: zipped({f"{BUILD}/Lingma": b"#!/bin/sh\nexit 3\n"}),
    "names no version": lambda: zipped({f"{BUILD}/Lingma": b"#!/bin/sh\necho hello\n"}),
    "is no program": lambda: zipped({f"{BUILD}/Lingma": b"\x7fELF and no more"}),
}
