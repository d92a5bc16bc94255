"""Which builds fit a machine."""

from __future__ import annotations

import pytest

from lingma_cli.errors import LingmaError
from lingma_cli.install.platforms import machine


@pytest.mark.parametrize(
    ("system", "arch", "platforms", "targets"),
    [
        ("Linux", "x86_64", ("x86_64_linux",), ("linux-x64",)),
        ("Linux", "aarch64", ("aarch64_linux", "x86_64_linux"), ("linux-arm64", "linux-x64")),
        ("Darwin", "arm64", ("aarch64_darwin", "x86_64_darwin"), ("darwin-arm64", "darwin-x64")),
        ("Windows", "AMD64", ("x86_64_windows",), ("win32-x64",)),
        ("Windows", "ARM64", ("aarch64_windows", "x86_64_windows"), ("win32-arm64", "win32-x64")),
    ],
)
def test_builds_are_named_best_first(
    system: str, arch: str, platforms: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    """A missing arm build is replaced by the other one."""
    here = machine(system, arch)

    assert (here.platforms, here.targets) == (platforms, targets)
    here.check()


@pytest.mark.parametrize(("system", "arch"), [("FreeBSD", "amd64"), ("Linux", "riscv64")])
def test_a_machine_without_a_build_is_told(system: str, arch: str) -> None:
    """Only when one is wanted; an executable of the user's own may still be named."""
    here = machine(system, arch)

    with pytest.raises(LingmaError, match=f"no build for {system} on {arch}"):
        here.check()


def test_windows_has_its_own_names() -> None:
    """With the ending that it needs."""
    windows, linux = machine("Windows", "AMD64"), machine("Linux", "x86_64")

    assert (windows.executable, windows.companion) == ("Lingma.exe", "LingmaLocal.exe")
    assert (linux.executable, linux.companion) == ("Lingma", "LingmaLocal")


def test_oddities_are_told() -> None:
    """A wrong beginning, a small size; of the companion less is expected."""
    here, mib = machine("Linux", "x86_64"), 1024 * 1024

    assert here.doubts("Lingma", 60 * mib, b"\x7fELF\x02") == ()
    assert here.doubts("LingmaLocal", 6 * mib, b"\x7fELF\x02") == ()
    assert len(here.doubts("Lingma", 6 * mib, b"\x7fELF\x02")) == 1
    assert len(here.doubts("Lingma", 60 * mib, b"MZ")) == 1
    assert len(here.doubts("Lingma", 60, b"#!")) == 2
