"""Packages of the simulator."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from lingma_cli.demo.packing import Packing, executable, pack, run, this_platform


def names(package: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(package)).namelist()


def test_the_nested_layout() -> None:
    """A zip in the zip, with a folder a version and a platform."""
    package = pack(Packing(version="2.6.10", platforms=("x86_64_linux", "aarch64_linux")))
    nested = zipfile.ZipFile(io.BytesIO(package)).read("extension/dist/bin/lingma-2.6.10.zip")

    assert "extension/package.json" in names(package)
    assert names(nested) == [
        f"2.6.10/{platform}/{name}"
        for platform in ("x86_64_linux", "aarch64_linux")
        for name in ("Lingma", "LingmaLocal")
    ]


def test_the_flat_layout() -> None:
    """The executables lie in the outer archive."""
    package = pack(Packing(layout="flat", platforms=("x86_64_linux",), companion=False))

    assert [name for name in names(package) if "bin" in name] == [
        "extension/resources/bin/x86_64_linux/Lingma"
    ]


def test_the_same_options_give_the_same_bytes() -> None:
    """Others do not; padding cannot be packed smaller."""
    assert pack(Packing()) == pack(Packing())
    assert pack(Packing(version="9.9")) != pack(Packing())
    assert len(pack(Packing(padding=10_000))) - len(pack(Packing())) > 10_000


def test_the_executable_is_the_simulator(tmp_path: Path) -> None:
    """It names its version, sets what is asked for, and runs the demo."""
    path = tmp_path / "Lingma"
    path.write_bytes(
        executable(Packing(version="2.6.10", environment={"LINGMA_DEMO_SIDES": "command=bare"}))
    )
    path.chmod(0o700)

    def output(*arguments: str) -> str:
        return subprocess.run(
            [path, *arguments], capture_output=True, text=True, check=False
        ).stderr

    version = subprocess.run([path, "version"], capture_output=True, text=True, check=True)
    assert version.stdout == "version: 2.6.10\n"
    assert "Lingma [flags]" in output("--help")


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_the_command_writes_a_package(tmp_path: Path, layout: str) -> None:
    """As `python -m lingma_cli.demo pack FILE` runs it."""
    path = tmp_path / "demo.vsix"
    done = subprocess.run(
        [sys.executable, "-m", "lingma_cli.demo", "pack", path, "--layout", layout],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert path.read_bytes() == pack(Packing(layout=layout))


def test_all_options_reach_the_package(tmp_path: Path) -> None:
    """Each changes what is packed."""
    path = tmp_path / "demo.vsix"
    options = ["--version", "1.2.3", "--platform", "a_b", "--padding", "9", "--set", "A=b=c"]

    assert run([str(path), *options]) == 0
    assert path.read_bytes() == pack(
        Packing(version="1.2.3", platforms=("a_b",), padding=9, environment={"A": "b=c"})
    )


def test_this_platform_is_named_like_a_folder() -> None:
    """Processor and system."""
    arch, _, system = this_platform().rpartition("_")
    assert arch in ("x86_64", "aarch64")
    assert system == sys.platform
