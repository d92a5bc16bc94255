"""Copies that other programs have put on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.install.found import find_copies
from lingma_cli.install.platforms import machine

LINUX = machine("Linux", "x86_64")
EXTENSION = "Alibaba-Cloud.tongyi-lingma"


def put(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    path.chmod(mode)
    return path


def found(home: Path, **environ: str) -> list[str]:
    copies = find_copies(home=home, environ=environ, machine=LINUX, extension=EXTENSION)
    return [copy.path.relative_to(home).as_posix() for copy in copies]


def shared(version: str) -> str:
    return f".lingma/bin/{version}/x86_64_linux/Lingma"


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    """Missing folders are no error."""
    assert found(tmp_path) == []


def test_the_newest_of_the_shared_home(tmp_path: Path) -> None:
    """By number."""
    for version in ("2.6.10", "2.11.1", "2.6.9"):
        put(tmp_path / shared(version))

    assert found(tmp_path) == [shared("2.11.1"), shared("2.6.10"), shared("2.6.9")]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ('{"cosy.core.version": "2.6.10"}', ["2.6.10"]),
        ('{"cosy.core.version": "9.9.9"}', ["2.11.1", "2.6.10"]),
        ('{"cosy.core.version": "../../x"}', ["2.11.1", "2.6.10"]),
        ('{"cosy.core.version": 3}', ["2.11.1", "2.6.10"]),
        ("not json", ["2.11.1", "2.6.10"]),
    ],
)
def test_the_one_in_use_counts(tmp_path: Path, config: str, expected: list[str]) -> None:
    """If the plugin's own file names one that is there."""
    for version in ("2.6.10", "2.11.1"):
        put(tmp_path / shared(version))
    put(tmp_path / ".lingma/bin/config.json").write_text(config)

    assert found(tmp_path) == [shared(version) for version in expected]


def test_an_editors_extension(tmp_path: Path) -> None:
    """Its executable, or the archive that it has not unpacked; of equal ones the former."""
    extension = ".vscode/extensions/alibaba-cloud.tongyi-lingma-2.6.10/dist/bin"
    put(tmp_path / extension / "lingma-2.6.10.zip", 0o644)
    put(tmp_path / extension / "lingma-readme.zip", 0o644)
    put(tmp_path / extension / "2.6.10/x86_64_linux/Lingma")
    put(tmp_path / ".vscode/extensions/other.thing-9.9.9/dist/bin/lingma-9.9.9.zip")
    remote = ".vscode-server/extensions/alibaba-cloud.tongyi-lingma-2.5.20-linux-x64/dist/bin"
    put(tmp_path / remote / "lingma-2.5.20.zip", 0o644)

    assert found(tmp_path) == [
        f"{extension}/2.6.10/x86_64_linux/Lingma",
        f"{extension}/lingma-2.6.10.zip",
        f"{remote}/lingma-2.5.20.zip",
    ]


def test_a_named_copy_goes_first(tmp_path: Path) -> None:
    """`LINGMA_SERVICE_BINARY`, if it is executable."""
    put(tmp_path / shared("2.11.1"))
    named, plain = put(tmp_path / "mine"), put(tmp_path / "plain", 0o644)

    assert found(tmp_path, LINGMA_SERVICE_BINARY=str(named))[0] == "mine"
    assert found(tmp_path, LINGMA_SERVICE_BINARY=str(plain)) == [shared("2.11.1")]


def test_only_what_may_run_is_found(tmp_path: Path) -> None:
    """Not a file without the bit, not a folder, not another system's build."""
    put(tmp_path / shared("2.6.10"), 0o644)
    (tmp_path / shared("2.6.9")).mkdir(parents=True)
    put(tmp_path / ".lingma/bin/2.6.8/x86_64_darwin/Lingma")

    assert found(tmp_path) == []


def test_an_arm_machine_takes_the_other_build_if_it_must(tmp_path: Path) -> None:
    """Its own goes first."""
    put(tmp_path / ".lingma/bin/2.6.10/x86_64_linux/Lingma")
    put(tmp_path / ".lingma/bin/2.6.9/aarch64_linux/Lingma")
    put(tmp_path / ".lingma/bin/2.6.9/x86_64_linux/Lingma")
    arm = machine("Linux", "aarch64")

    copies = find_copies(home=tmp_path, environ={}, machine=arm, extension=EXTENSION)
    assert [(copy.version, copy.platform) for copy in copies] == [
        ("2.6.10", "x86_64_linux"),
        ("2.6.9", "aarch64_linux"),
    ]


def test_the_windows_app(tmp_path: Path) -> None:
    """Below `LOCALAPPDATA`; its place does not tell the version."""
    app = "Programs/Lingma/resources/app/resources/bin/x86_64_windows/Lingma.exe"
    put(tmp_path / app)
    windows = machine("Windows", "AMD64")

    (copy,) = find_copies(
        home=tmp_path, environ={"LOCALAPPDATA": str(tmp_path)}, machine=windows, extension=EXTENSION
    )
    assert (copy.path, copy.version) == (tmp_path / app, "")
