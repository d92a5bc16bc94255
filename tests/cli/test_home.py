"""What commands on accounts begin with: settings without secrets around them, and the vault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lingma_cli.cli.home import opened_home
from lingma_cli.paths import find_paths
from lingma_cli.settings import Settings

PROGRAM = """
import os
from lingma_cli.cli.home import prepared
settings, paths = prepared(None, {"store": "plain"})
print(settings.store, settings.password.reveal(), "LINGMA_PASSWORD" in os.environ, paths.state)
"""


def test_no_secret_stays_in_the_environment(tmp_path: Path) -> None:
    """The settings have it, flags included; what is started later does not."""
    environ = {"LINGMA_HOME": str(tmp_path), "LINGMA_PASSWORD": "hush"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["plain", "hush", "False", str(tmp_path / "state")]


def test_a_weak_vault_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each time that it is opened."""
    home = opened_home(Settings(store="plain"), find_paths({"LINGMA_HOME": str(tmp_path)}))

    assert (home.vault.kind, home.accounts.all()) == ("plain", ())
    assert "warning: logins and keys lie unencrypted" in capsys.readouterr().err
