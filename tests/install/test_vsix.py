"""Packages: their layouts, their wrapping, and what comes out."""

from __future__ import annotations

import gzip
import hashlib
import platform
from pathlib import Path

import pytest

from lingma_cli.demo.packing import Packing, executable, this_platform
from lingma_cli.errors import LingmaError
from lingma_cli.install.archive import Caps
from lingma_cli.install.platforms import Machine, machine
from lingma_cli.install.vsix import Unpacked, unpack, unwrap
from tests.support.packages import EVIL, good, zipped

HERE = machine(platform.system(), platform.machine())
ARM = machine("Linux", "aarch64")


def unpacked(folder: Path, content: bytes, here: Machine = HERE) -> Unpacked:
    """Unpack `content` into `folder / "out"`."""
    path, scratch, target = folder / "package", folder / "scratch", folder / "out"
    path.write_bytes(content)
    scratch.mkdir()
    target.mkdir()
    package = unwrap(path, scratch, Caps())
    return unpack(package, target, scratch=scratch, machine=here, caps=Caps())


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_executables_come_out_of_both_layouts(tmp_path: Path, layout: str, wrapped: bool) -> None:
    """The executable and its companion, both executable by their owner, and nothing else."""
    content = good(layout=layout)
    found = unpacked(tmp_path, gzip.compress(content) if wrapped else content)

    assert (found.version, found.package_version, found.platform) == (
        *("2.6.10", "2.6.10"),
        this_platform(),
    )
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(files) == {"Lingma", "LingmaLocal"} == set(dict(found.files))
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o700}
    assert files["Lingma"].read_bytes() == executable(Packing(version="2.6.10"))


def test_a_nested_archive_alone_is_a_package(tmp_path: Path) -> None:
    """As an editor's extension keeps it; the version is that of the folder within."""
    script = executable(Packing())
    found = unpacked(tmp_path, zipped({f"2.11.1/{this_platform()}/Lingma": script}))

    assert (found.version, found.package_version) == ("2.11.1", "")


def test_the_newest_of_several_is_taken(tmp_path: Path) -> None:
    """By number; among nested archives, and among folders in one."""
    script = executable(Packing())
    folders = {f"{version}/{this_platform()}/Lingma": script for version in ("2.6.9", "2.6.10")}
    old = zipped({f"2.5.0/{this_platform()}/Lingma": script})
    content = {"e/lingma-2.5.0.zip": old, "e/lingma-2.6.10.zip": zipped(folders)}

    assert unpacked(tmp_path, zipped(content)).version == "2.6.10"


def test_a_missing_arm_build_is_replaced(tmp_path: Path) -> None:
    """Only if it is missing."""
    both, one = ("x86_64_linux", "aarch64_linux"), ("x86_64_linux",)
    for folder in ("both", "one"):
        (tmp_path / folder).mkdir()

    assert unpacked(tmp_path / "both", good(platforms=both), ARM).platform == "aarch64_linux"
    assert unpacked(tmp_path / "one", good(platforms=one), ARM).platform == "x86_64_linux"


def test_oddities_are_warnings(tmp_path: Path) -> None:
    """A missing companion, a size and a beginning that are not usual."""
    warnings = unpacked(tmp_path, good(companion=False)).warnings

    assert any("no `LingmaLocal` beside" in warning for warning in warnings)
    assert any("does not begin like" in warning for warning in warnings)
    assert any("is small" in warning for warning in warnings)


def test_the_digest_is_that_of_the_zip_file(tmp_path: Path) -> None:
    """However it is wrapped."""
    content, digests = good(), set()
    for name, body in (("plain", content), ("wrapped", gzip.compress(content))):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "package"
        path.write_bytes(body)
        digests.add(unwrap(path, tmp_path / name, Caps()).sha256)

    assert digests == {hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    "name",
    [
        *("bomb within", "wrapped bomb", "half a wrapping", "wrapping and more", "flipped byte"),
        *("without an executable", "for another system", "claims too much", "claims too little"),
    ],
)
def test_evil_packages_are_refused(tmp_path: Path, name: str) -> None:
    """Nothing is written but in the folders meant for it."""
    with pytest.raises(LingmaError, match="the package is refused"):
        unpacked(tmp_path, EVIL[name]())

    assert {path.name for path in tmp_path.iterdir()} == {"package", "scratch", "out"}
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 2**24


def test_a_wrapping_of_many_chunks_is_undone(tmp_path: Path) -> None:
    """Larger than what is read at once."""
    content = good(padding=3_000_000)

    assert unpacked(tmp_path, gzip.compress(content, 1)).version == "2.6.10"
