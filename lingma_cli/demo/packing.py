"""A package of the simulator, laid out like the vendor's: `python -m lingma_cli.demo pack FILE`.

Source: Lingma local protocol, "Layout inside the VSIX". The executables inside are small shell
scripts that run the simulator of this very Python. The same options give the same bytes.
"""

import argparse
import io
import json
import platform
import random
import shlex
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAYOUTS = ("nested", "flat")
_DATE = (2026, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What a package holds.

    Attributes:
        version: of extension and executable.
        platforms: folder names of the builds.
        layout: `nested`: a zip in the zip; `flat`: the executables in the outer one.
        companion: whether `LingmaLocal` lies beside `Lingma`.
        padding: bytes that cannot be packed smaller, to make it as large as wanted.
        environment: what the executable sets before it runs, for example `LINGMA_DEMO_START`.
    """

    version: str = "2.11.1"
    platforms: Sequence[str] = field(default_factory=lambda: (this_platform(),))
    layout: str = "nested"
    companion: bool = True
    padding: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)


def this_platform() -> str:
    """Return the folder name of the build for this machine."""
    arch = platform.machine().lower()
    arch = {"amd64": "x86_64", "arm64": "aarch64"}.get(arch, arch)
    return f"{arch}_{platform.system().lower()}"


def pack(packing: Packing) -> bytes:
    """Return the package."""
    manifest = {"name": "lingma-demo", "publisher": "demo", "version": packing.version}
    members = {
        "extension.vsixmanifest": b"<PackageManifest/>",
        "extension/package.json": json.dumps(manifest).encode(),
        "extension/dist/extension.js": b"// The lingma demo, a simulator.\n",
    }
    if packing.layout == "flat":
        members |= _builds(packing, "extension/resources/bin")
    else:
        nested = _zip(_builds(packing, packing.version))
        members[f"extension/dist/bin/lingma-{packing.version}.zip"] = nested
    if packing.padding:
        members["extension/media/padding"] = random.Random(0).randbytes(packing.padding)
    return _zip(members)


def executable(packing: Packing, name: str = "Lingma") -> bytes:
    """Return the script that stands for the executable `name`."""
    lines = [
        "#!/bin/sh",
        f"# {name}, played by the lingma demo, a simulator.",
        *(f"export {key}={shlex.quote(value)}" for key, value in packing.environment.items()),
        f'[ "$1" = version ] && echo "version: {packing.version}" && exit',
        f'exec {shlex.quote(sys.executable)} -P -m lingma_cli.demo "$@"',
    ]
    return "\n".join(lines).encode() + b"\n"


def _builds(packing: Packing, folder: str) -> dict[str, bytes]:
    names = ("Lingma", "LingmaLocal") if packing.companion else ("Lingma",)
    return {
        f"{folder}/{build}/{name}": executable(packing, name)
        for build in packing.platforms
        for name in names
    }


def _zip(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, _DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = _FILE_MODE << 16
            archive.writestr(member, content)
    return buffer.getvalue()


def run(arguments: Sequence[str]) -> int:
    """Run `pack FILE …`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lingma_cli.demo pack", description="Pack a VSIX of the simulator."
    )
    parser.add_argument("file", type=Path, help="where to write it")
    parser.add_argument("--version", default="2.11.1", help="its version")
    parser.add_argument("--layout", choices=LAYOUTS, default="nested", help="where builds lie")
    parser.add_argument(
        "--platform", action="append", help="a build, for example x86_64_linux; default: this one"
    )
    parser.add_argument("--padding", type=int, default=0, metavar="BYTES", help="make it larger")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what the executable sets, for example LINGMA_DEMO_START=exit=1",
    )
    given = parser.parse_args(arguments)
    packing = Packing(
        version=given.version,
        platforms=tuple(given.platform or [this_platform()]),
        layout=given.layout,
        padding=given.padding,
        environment=dict(item.split("=", 1) for item in given.set if "=" in item),
    )
    given.file.write_bytes(pack(packing))
    return 0
