"""The installer that the settings ask for. What it downloads is tested in `tests/e2e`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.installer import Installer
from lingma_cli.paths import find_paths
from lingma_cli.settings import resolve
from lingma_cli.wiring.install import build_installer


def built(home: Path, url: str = "", **flags: object) -> Installer:
    environ = {"LINGMA_HOME": str(home)}
    settings = resolve(flags, environ, home / "none.toml").settings
    return build_installer(
        settings,
        find_paths(environ),
        environ,
        say=lambda _line: None,
        on_progress=lambda _done, _total: None,
        url=url,
    )


def test_the_executable_of_the_settings_counts(tmp_path: Path) -> None:
    """`LINGMA_BIN` or `--bin` of `serve`, before all else."""
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)

    assert built(tmp_path, bin=str(program)).find() == program


def test_looking_writes_nothing(tmp_path: Path) -> None:
    """An empty home stays empty."""
    built(tmp_path).versions()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags",
    [
        {"marketplace_publisher": "evil.test/"},
        {"marketplace_extension": "../x"},
        {"source_type": "vsix", "vsix_url": "http://mirror.test/a.vsix"},
        {"url": "http://mirror.test/a.vsix"},
        {"url": "https://me:hush@mirror.test/a.vsix"},
    ],
)
def test_a_source_that_is_none_is_wrong_usage(tmp_path: Path, flags: dict[str, str]) -> None:
    """Before anybody is asked."""
    with pytest.raises(LingmaError) as failure:
        built(tmp_path, **flags)

    assert failure.value.kind is ErrorKind.USAGE
    assert "hush" not in failure.value.advice
