"""The vault without encryption: private at least."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lingma_cli.auth.vault.plain_vault import PlainVault
from lingma_cli.errors import LingmaError


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024])
def test_what_is_put_comes_back(tmp_path: Path, size: int) -> None:
    """Whole, in a file of mode 0600 from its birth; deleted, it leaves nothing but the lock."""
    value = os.urandom(size)
    folder = tmp_path / "vault"
    PlainVault(folder).put("login/work", value)

    assert PlainVault(folder).get("login/work") == value
    assert PlainVault(folder).get("login/other") is None
    (path,) = folder.glob("entry.*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [PlainVault(folder).delete("login/work") for _ in range(2)] == [True, False]
    assert [left.name for left in folder.iterdir()] == ["files.lock"]


def test_a_file_that_others_may_open_is_refused(tmp_path: Path) -> None:
    """What others may have read or put there is not used."""
    vault = PlainVault(tmp_path)
    vault.put("keys", b"value")
    (path,) = tmp_path.glob("entry.*")
    path.chmod(0o644)

    with pytest.raises(LingmaError, match="others may open it"):
        vault.get("keys")


def test_a_value_too_large_is_refused(tmp_path: Path) -> None:
    """4 MiB is the most."""
    with pytest.raises(LingmaError, match="too large to keep"):
        PlainVault(tmp_path).put("keys", bytes(4 * 1024 * 1024 + 1))
