"""The vault under a passphrase: what is on disk, and what becomes of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lingma_cli.auth.vault.encrypted_vault import EncryptedVault
from lingma_cli.errors import FACES, LingmaError
from lingma_cli.secret import Secret

CANARY = b"canary-0123456789"
PASSPHRASE = Secret("correct horse battery staple")


def vault_in(folder: Path, passphrase: Secret = PASSPHRASE) -> EncryptedVault:
    # The least that a reader accepts, so that the tests are quick.
    return EncryptedVault(folder, passphrase, n=2**14)


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("entry.*.sealed")
    return path


@pytest.mark.parametrize("size", [0, 1, 100_000, 4 * 1024 * 1024])
def test_what_is_put_comes_back(tmp_path: Path, size: int) -> None:
    """From a vault opened anew; deleted, it leaves nothing but the lock."""
    for value in (os.urandom(size), b"short", os.urandom(size)):
        vault_in(tmp_path / "v").put("login/work", value)

        assert vault_in(tmp_path / "v").get("login/work") == value
    vault = vault_in(tmp_path / "v")
    assert vault.get("login") is None
    assert (vault.delete("login/work"), vault.delete("login/work")) == (True, False)
    assert vault.get("login/work") is None
    assert [path.name for path in (tmp_path / "v").iterdir()] == ["files.lock"]


def test_a_value_too_large_is_refused(tmp_path: Path) -> None:
    """4 MiB is the most."""
    with pytest.raises(LingmaError, match="too large to keep"):
        vault_in(tmp_path).put("keys", bytes(4 * 1024 * 1024 + 1))


def test_nothing_on_disk_tells_the_value(tmp_path: Path) -> None:
    """Private files that hold neither value nor passphrase, and differ though the values do not."""
    vault = vault_in(tmp_path / "v")
    seen = set()
    for _ in range(2):
        vault.put("keys", CANARY)
        path = only_file(tmp_path / "v")
        content = path.read_bytes()
        assert CANARY not in content
        assert PASSPHRASE.reveal().encode() not in content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        seen.add(content)
    assert len(seen) == 2
    assert stat.S_IMODE((tmp_path / "v").stat().st_mode) == 0o700


def test_the_usual_cost_is_high_and_written_down(tmp_path: Path) -> None:
    """scrypt with 2**17 unless told otherwise, and a reader takes the cost from the file."""
    EncryptedVault(tmp_path, PASSPHRASE).put("keys", CANARY)

    header = json.loads(only_file(tmp_path).read_bytes().partition(b"\n")[0])
    assert [header["key"][name] for name in ("n", "r", "p")] == [2**17, 8, 1]
    assert vault_in(tmp_path).get("keys") == CANARY


def test_another_passphrase_is_one_clear_error(tmp_path: Path) -> None:
    """Whatever is asked for first; the file is as it was."""
    vault_in(tmp_path).put("keys", CANARY)
    before = only_file(tmp_path).read_bytes()

    with pytest.raises(LingmaError, match="the passphrase does not fit") as caught:
        vault_in(tmp_path, Secret("wrong")).get("keys")

    assert FACES[caught.value.kind].exit_code == 5
    assert "wrong" not in caught.value.advice
    assert only_file(tmp_path).read_bytes() == before
    assert vault_in(tmp_path).get("keys") == CANARY


def _forged(content: bytes, *, key: Mapping[str, object] | None = None, **changes: object) -> bytes:
    """Return `content` with another header, or `key` in it, and a digest that fits."""
    line, _, rest = content[:-32].partition(b"\n")
    header = json.loads(line) | changes
    header["key"] |= key or {}
    sealed = json.dumps(header, separators=(",", ":")).encode() + b"\n" + rest
    return sealed + hashlib.sha256(sealed).digest()


DAMAGE: list[Callable[[bytes], bytes]] = [
    lambda content: b"",
    lambda content: b"\n",
    lambda content: content[:-1],
    lambda content: content[: len(content) // 2],
    lambda content: content + b"x",
    lambda content: content.replace(b"\n", b" ", 1),
    lambda content: bytes(5000),
    lambda content: _forged(content, key={"n": 2**30}),
    lambda content: _forged(content, key={"n": 2**13}),
    lambda content: _forged(content, key={"n": 2**14 + 1}),
    lambda content: _forged(content, key={"r": 64}),
    lambda content: _forged(content, version=2),
    lambda content: _forged(content, name="other"),
    lambda content: _forged(content, key={"salt": "AA=="}),
    lambda content: _forged(content, key={"nonce": "!"}),
    lambda content: _forged(content, extra=1),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_set_aside_and_not_forgotten(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """It is moved, kept as it is, and an error each time until the entry is written or deleted."""
    vault = vault_in(tmp_path)
    vault.put("keys", CANARY)
    path = only_file(tmp_path)
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)

    for _ in range(2):
        with pytest.raises(LingmaError, match="damaged and set aside") as caught:
            vault_in(tmp_path).get("keys")
        assert FACES[caught.value.kind].exit_code == 5
        aside = path.with_name(f"{path.name}.corrupt-1")
        assert str(aside) in caught.value.message
        assert aside.read_bytes() == damaged
        assert not path.exists()

    vault.put("keys", b"new")
    assert vault.get("keys") == b"new"
    vault.delete("keys")
    assert [left.name for left in tmp_path.iterdir()] == ["files.lock"]


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    """Damage anywhere is damage, never another value."""
    vault = vault_in(tmp_path)
    vault.put("keys", CANARY)
    path = only_file(tmp_path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        path.write_bytes(flipped)

        with pytest.raises(LingmaError, match="damaged and set aside"):
            vault.get("keys")
        vault.delete("keys")
        vault.put("keys", CANARY)


@pytest.mark.parametrize("changes", [{"n": 2**15}, {"nonce": "AAAAAAAAAAAAAAAA"}])
def test_a_forged_header_does_not_open(tmp_path: Path, changes: dict[str, object]) -> None:
    """Who changes the header and makes the digest anew still has no key."""
    vault_in(tmp_path).put("keys", CANARY)
    path = only_file(tmp_path)
    path.write_bytes(_forged(path.read_bytes(), key=changes))

    with pytest.raises(LingmaError, match="the passphrase does not fit"):
        vault_in(tmp_path).get("keys")


def test_one_entry_cannot_stand_for_another(tmp_path: Path) -> None:
    """A file under another entry's name is not its value, even with the name in it changed."""
    vault = vault_in(tmp_path)
    vault.put("login/a", CANARY)
    content = only_file(tmp_path).read_bytes()
    (tmp_path / "entry.login+b.sealed").write_bytes(_forged(content, name="login/b"))
    (tmp_path / "entry.login+b.sealed").chmod(0o600)

    with pytest.raises(LingmaError, match="the passphrase does not fit"):
        vault_in(tmp_path).get("login/b")


def test_salt_and_nonce_come_from_the_given_source(tmp_path: Path) -> None:
    """One salt for the files of a vault, a nonce for each write."""
    counter = itertools.count(1)
    asked: list[int] = []

    def source(size: int) -> bytes:
        asked.append(size)
        return bytes([next(counter)]) * size

    vault = EncryptedVault(tmp_path, PASSPHRASE, n=2**14, random_bytes=source)
    vault.put("a", b"1")
    vault.put("b", b"2")

    assert asked == [16, 12, 12]
    assert vault_in(tmp_path).get("b") == b"2"
