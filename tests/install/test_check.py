"""Whether an executable runs."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.check import run_version

ENVIRON = {"PATH": os.environ["PATH"]}


def script(folder: Path, body: str) -> Path:
    path = folder / "Lingma"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o700)
    return path


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ('echo "$1: 2.11.1"', "2.11.1"),
        ("echo Version 2.6.10-demo; echo more", "2.6.10-demo"),
        ("echo noise >&2; echo version: v2.6", "2.6"),
    ],
)
def test_the_version_is_read(tmp_path: Path, body: str, version: str) -> None:
    """As the executable prints it."""
    assert run_version(script(tmp_path, body), ENVIRON) == version


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo version: 2.6.10; exit 3", "status 3"),
        ("echo hello", "named no version"),
        ("exit 0", "named no version"),
        ("kill -9 $$", "status -9"),
    ],
)
def test_what_fails_or_is_silent_does_not_run(tmp_path: Path, body: str, reason: str) -> None:
    """The reason is told."""
    with pytest.raises(LingmaError, match=reason) as failure:
        run_version(script(tmp_path, body), ENVIRON)

    assert failure.value.kind is ErrorKind.INSTALL_FAILED


def test_what_hangs_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    """Its children hold the output open; they go too."""
    body = f"sleep 300 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(LingmaError, match="did not end within"):
        run_version(script(tmp_path, body), ENVIRON, within=1.0)

    child = int((tmp_path / "child").read_text())
    _, alive = psutil.wait_procs([psutil.Process(child)] if psutil.pid_exists(child) else [], 5)
    assert not alive


def test_endless_output_is_not_kept(tmp_path: Path) -> None:
    """It is cut, and the executable ended."""
    with pytest.raises(LingmaError):
        run_version(script(tmp_path, "yes"), ENVIRON)


def test_the_environment_is_the_one_given(tmp_path: Path) -> None:
    """Nothing of ours reaches it."""
    os.environ["LINGMA_TEST_CANARY"] = "1.2.3"
    try:
        with pytest.raises(LingmaError):
            run_version(script(tmp_path, 'echo "version: $LINGMA_TEST_CANARY"'), ENVIRON)
    finally:
        del os.environ["LINGMA_TEST_CANARY"]


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"\x7fELF and no more", 0o700, "no executable of this system"),
        (b"#!/nowhere/loader\n", 0o700, "the loader that it names"),
        (b"#!/bin/sh\n", 0o600, "may not be executed"),
    ],
)
def test_what_cannot_be_started_says_why(
    tmp_path: Path, content: bytes, mode: int, reason: str
) -> None:
    """In words."""
    path = tmp_path / "Lingma"
    path.write_bytes(content)
    path.chmod(mode)

    with pytest.raises(LingmaError, match=reason):
        run_version(path, ENVIRON)
