"""The generated keys move into the vault, unchanged or not at all."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from lingma_cli.auth import keys_file
from lingma_cli.auth.generated_keys import load, load_or_create
from lingma_cli.auth.keys_file import GeneratedKeys
from lingma_cli.auth.vault.base import Vault
from lingma_cli.auth.vault.keyring_vault import Found, KeyringVault
from lingma_cli.auth.vault.plain_vault import PlainVault
from lingma_cli.errors import FACES, LingmaError
from tests.support.keyrings import DyingKeyring, ForgetfulKeyring, MemoryKeyring


def new_token() -> str:
    return secrets.token_urlsafe(32)


def revealed(keys: GeneratedKeys | None) -> tuple[str, str] | None:
    return (keys.api_key.reveal(), keys.admin_token.reveal()) if keys else None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.json"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return PlainVault(tmp_path / "vault")


def keyring_vault(tmp_path: Path, backend: MemoryKeyring) -> KeyringVault:
    found = Found(backend=backend, limit=60_000)
    return KeyringVault("service", tmp_path / "lock", find=lambda: found, timeout=20)


def test_new_keys_are_born_in_the_vault(vault: Vault, file: Path) -> None:
    """They never touch their old place, and are new only once."""
    warnings: list[str] = []
    assert load(vault) is None
    first = load_or_create(vault, file, new_token, warn=warnings.append)
    second = load_or_create(vault, file, new_token, warn=warnings.append)

    assert (first.is_new, second.is_new) == (True, False)
    assert revealed(first) == revealed(second) == revealed(load(vault))
    assert not file.parent.exists()
    assert warnings == []


def test_old_keys_move_unchanged(vault: Vault, file: Path) -> None:
    """Clients notice nothing; the file is gone."""
    warnings: list[str] = []
    old = keys_file.load_or_create(file, new_token)
    moved = load_or_create(vault, file, new_token, warn=warnings.append)

    assert revealed(moved) == revealed(old) == revealed(load(vault))
    assert not moved.is_new
    assert not file.exists()
    assert warnings == []


def test_a_crash_at_any_step_of_the_move_keeps_the_keys(tmp_path: Path, file: Path) -> None:
    """The file goes after the vault has given back the keys; until then it stays as it is."""
    old = keys_file.load_or_create(file, new_token)
    content = file.read_bytes()
    entries: dict[str, str] = {}
    for crash in range(10):
        vault = keyring_vault(tmp_path, DyingKeyring(entries, crash, atomic=False))
        try:
            load_or_create(vault, file, new_token, warn=pytest.fail)
        except LingmaError:
            assert file.read_bytes() == content
        else:
            break
    else:
        pytest.fail("it never moves")

    assert crash > 0
    assert revealed(load(keyring_vault(tmp_path, MemoryKeyring(entries)))) == revealed(old)
    assert not file.exists()


def test_a_move_that_was_cut_off_before_its_end_is_ended(vault: Vault, file: Path) -> None:
    """In both places and equal: the file goes."""
    old = load_or_create(vault, file, new_token, warn=pytest.fail)
    keys_file.load_or_create(file, new_token)
    file.write_bytes(keys_file.encode(old))
    again = load_or_create(vault, file, new_token, warn=pytest.fail)

    assert revealed(again) == revealed(old)
    assert not file.exists()


def test_keys_that_differ_are_left_to_a_person(vault: Vault, file: Path) -> None:
    """Both stay; those in the file count, and a warning names it."""
    kept = load_or_create(vault, file, new_token, warn=pytest.fail)
    filed = keys_file.load_or_create(file, new_token)
    warnings: list[str] = []
    used = load_or_create(vault, file, new_token, warn=warnings.append)

    assert revealed(used) == revealed(filed) != revealed(kept)
    assert revealed(load(vault)) == revealed(kept)
    assert file.exists()
    assert len(warnings) == 1
    assert str(file) in warnings[0]


def test_a_vault_that_keeps_nothing_does_not_get_the_keys(tmp_path: Path, file: Path) -> None:
    """What does not come back was not kept."""
    keys_file.load_or_create(file, new_token)
    before = file.read_bytes()

    with pytest.raises(LingmaError, match="does not give back"):
        load_or_create(
            keyring_vault(tmp_path, ForgetfulKeyring()), file, new_token, warn=pytest.fail
        )

    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"{}", b'{"api_key": "lgm-x", "admin_token": "lga-x"}'])
def test_corrupt_keys_are_not_made_anew(vault: Vault, file: Path, content: bytes) -> None:
    """Clients hold the old key, so a person has to decide."""
    vault.put("keys", content)

    with pytest.raises(LingmaError, match="in the vault are corrupt") as caught:
        load_or_create(vault, file, new_token, warn=pytest.fail)

    assert FACES[caught.value.kind].exit_code == 5
    assert vault.get("keys") == content
    assert not file.exists()


def test_a_file_that_cannot_be_trusted_is_not_moved(vault: Vault, file: Path) -> None:
    """Nothing from it enters the vault."""
    keys_file.load_or_create(file, new_token)
    file.chmod(0o644)

    with pytest.raises(LingmaError, match="cannot trust"):
        load_or_create(vault, file, new_token, warn=pytest.fail)

    assert load(vault) is None
    assert file.exists()
