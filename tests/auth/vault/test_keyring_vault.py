"""The vault in the keyring: any size, any crash, any mood of the keyring."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend

from lingma_cli.auth.vault.keyring_vault import TRUSTED, Found, KeyringVault, trusted
from lingma_cli.errors import FACES, LingmaError
from tests.support.keyrings import (
    DyingKeyring,
    FailingKeyring,
    FolderKeyring,
    ForgetfulKeyring,
    HangingKeyring,
    LockedKeyring,
    MemoryKeyring,
    PlaintextKeyring,
    SmallKeyring,
    UnmadeKeyring,
)

SMALL, LARGE = TRUSTED["keyring.backends.Windows.WinVaultKeyring"], 60_000
ROOT = Path(__file__).parents[3]


def vault_in(
    folder: Path, backend: KeyringBackend, limit: int = LARGE, timeout: float = 20
) -> KeyringVault:
    found = Found(backend=backend, limit=limit)
    return KeyringVault("service", folder / "lock", find=lambda: found, timeout=timeout)


@pytest.mark.parametrize(("keyring", "limit"), [(MemoryKeyring, LARGE), (SmallKeyring, SMALL)])
@pytest.mark.parametrize("size", [0, 1, 700, 900, 1000, 50_000, 200_000])
def test_what_is_put_comes_back(
    tmp_path: Path, keyring: Callable[[], MemoryKeyring], limit: int, size: int
) -> None:
    """Bytes of any size, over and over, from a vault opened anew; deleted, they leave nothing."""
    backend = keyring()
    for value in (os.urandom(size), b"short", os.urandom(size)):
        vault_in(tmp_path, backend, limit).put("login/work", value)

        assert vault_in(tmp_path, backend, limit).get("login/work") == value
    vault = vault_in(tmp_path, backend, limit)
    assert vault.get("login/other") is None
    assert vault.delete("login/work") is True
    assert (vault.get("login/work"), vault.delete("login/work")) == (None, False)
    assert not backend.entries


def test_a_new_value_leaves_nothing_of_the_old(tmp_path: Path) -> None:
    """Whatever the sizes, only the newest is in the keyring."""
    backend = SmallKeyring()
    vault = vault_in(tmp_path, backend, SMALL)
    for size in (20_000, 10, 3000, 0, 9000, 10):
        vault.put("keys", os.urandom(size))

    assert len(backend.entries) == 1


def test_the_largest_value_fits_and_a_larger_one_is_refused(tmp_path: Path) -> None:
    """4 MiB, with parts of the usual size; one byte more is told to the person."""
    vault = vault_in(tmp_path, MemoryKeyring())
    value = bytes(4 * 1024 * 1024)
    vault.put("login/work", value)

    assert vault.get("login/work") == value
    with pytest.raises(LingmaError, match="too large to keep"):
        vault.put("login/work", value + b"x")
    assert vault.get("login/work") == value


@pytest.mark.parametrize("atomic", [True, False])
@pytest.mark.parametrize("old", [b"old" * 900, b"old"], ids=["long", "short"])
@pytest.mark.parametrize("new", [b"new!" * 900, b"new"], ids=["long", "short"])
def test_a_crash_in_a_write_loses_nothing(
    tmp_path: Path, old: bytes, new: bytes, atomic: bool
) -> None:
    """At each step the entry holds the old value or the new; the next write cleans up."""
    seen = set()
    for crash in range(100):
        entries: dict[str, str] = {}
        for value in (b"first" * 900, old):
            vault_in(tmp_path, MemoryKeyring(entries), SMALL).put("keys", value)
        dying = DyingKeyring(entries, crash, atomic=atomic)
        try:
            vault_in(tmp_path, dying, SMALL).put("keys", new)
        except LingmaError:
            assert dying.steps == 0
        found = vault_in(tmp_path, MemoryKeyring(entries), SMALL).get("keys")
        assert found in (old, new)
        seen.add(found)

        vault_in(tmp_path, MemoryKeyring(entries), SMALL).put("keys", b"later")
        assert vault_in(tmp_path, MemoryKeyring(entries), SMALL).get("keys") == b"later"
        assert len(entries) == 1
        if dying.steps:
            break
    else:
        pytest.fail("a write has no end")
    assert seen == {old, new}


def test_a_crash_in_a_second_write_finds_the_slots_as_the_first_crash_left_them(
    tmp_path: Path,
) -> None:
    """Two crashes in a row, at every pair of steps."""
    old, new = b"old" * 900, b"new!" * 900
    for first in range(12):
        for second in range(12):
            entries: dict[str, str] = {}
            vault_in(tmp_path, MemoryKeyring(entries), SMALL).put("keys", old)
            for crash, value in ((first, new), (second, b"other" * 800)):
                before = vault_in(tmp_path, MemoryKeyring(entries), SMALL).get("keys")
                with suppress(LingmaError):
                    dying = DyingKeyring(entries, crash, atomic=False)
                    vault_in(tmp_path, dying, SMALL).put("keys", value)
                found = vault_in(tmp_path, MemoryKeyring(entries), SMALL).get("keys")
                assert found in (before, value)


def test_a_crash_in_a_deletion_brings_no_older_value_back(tmp_path: Path) -> None:
    """At each step the entry holds its value or nothing, and deleting again leaves no trace."""
    old, new = b"old" * 900, b"new!" * 900
    for before in range(11):
        for crash in range(11):
            entries: dict[str, str] = {}
            vault = vault_in(tmp_path, MemoryKeyring(entries), SMALL)
            vault.put("keys", old)
            with suppress(LingmaError):
                vault_in(tmp_path, DyingKeyring(entries, before, atomic=True), SMALL).put(
                    "keys", new
                )
            held = vault.get("keys")
            with suppress(LingmaError):
                vault_in(tmp_path, DyingKeyring(entries, crash, atomic=True), SMALL).delete("keys")

            assert vault.get("keys") in (held, None)
            vault.delete("keys")
            assert not entries


def test_a_damaged_entry_is_an_error(tmp_path: Path) -> None:
    """Never nothing, which would be taken for a vault without it; a new value repairs it."""
    for spoilt in ("", "{", "{}", '{"count":1,"digest":"0","parts":0,"data":"AAAA"}', "\u00e4"):
        backend = MemoryKeyring()
        vault = vault_in(tmp_path, backend)
        vault.put("keys", b"value")
        backend.entries = dict.fromkeys(backend.entries, spoilt)

        with pytest.raises(LingmaError, match="`keys` is damaged"):
            vault.get("keys")
        vault.put("keys", b"new")
        assert vault.get("keys") == b"new"


def test_a_missing_part_is_damage(tmp_path: Path) -> None:
    """A value that lacks a piece is not handed out."""
    backend = SmallKeyring()
    vault = vault_in(tmp_path, backend, SMALL)
    vault.put("keys", os.urandom(5000))
    backend.entries = {key: text for key, text in backend.entries.items() if not key.endswith(".2")}

    with pytest.raises(LingmaError, match="`keys` is damaged"):
        vault.get("keys")


def _plaintext() -> Found | None:
    return trusted(PlaintextKeyring())


def _with(backend: KeyringBackend) -> Callable[[], Found | None]:
    return lambda: Found(backend=backend, limit=LARGE)


@pytest.mark.parametrize(
    ("find", "reason"),
    [
        pytest.param(lambda: None, "there is no keyring", id="absent"),
        pytest.param(_plaintext, "there is no keyring that can be trusted", id="plaintext"),
        pytest.param(_with(LockedKeyring()), "the keyring is locked", id="locked"),
        pytest.param(_with(UnmadeKeyring()), "the keyring is locked", id="unmade"),
        pytest.param(_with(HangingKeyring()), "does not answer within 0.2 s", id="hanging"),
        pytest.param(_with(FailingKeyring()), "refuses: PasswordSetError", id="failing"),
        pytest.param(_with(ForgetfulKeyring()), "does not keep what is written", id="forgetful"),
    ],
)
def test_a_keyring_that_does_not_work_is_told(
    tmp_path: Path, find: Callable[[], Found | None], reason: str
) -> None:
    """The probe finds out, with a reason, a hint and exit code 5."""
    vault = KeyringVault("service", tmp_path / "lock", find=find, timeout=0.2)

    with pytest.raises(LingmaError, match=reason) as caught:
        vault.probe()

    assert FACES[caught.value.kind].exit_code == 5
    assert caught.value.hint


@pytest.mark.parametrize("backend", [LockedKeyring(), FailingKeyring(), HangingKeyring()])
def test_no_secret_is_in_the_error(tmp_path: Path, backend: KeyringBackend) -> None:
    """A keyring may put into its words what it was to store; we do not."""
    vault = vault_in(tmp_path, backend, timeout=0.2)

    with pytest.raises(LingmaError) as caught:
        vault.put("keys", b"canary-0123456789")

    assert "canary" not in repr((caught.value, caught.value.advice, caught.value.__cause__))


def test_the_probe_leaves_nothing(tmp_path: Path) -> None:
    """A good keyring is as it was."""
    backend = MemoryKeyring()
    vault_in(tmp_path, backend).probe()

    assert not backend.entries


def test_what_was_given_up_is_not_done_later(tmp_path: Path) -> None:
    """Calls that waited behind one that hung are dropped with it."""
    backend = HangingKeyring()
    impatient = vault_in(tmp_path, backend, timeout=0.2)
    for name in ("a", "b"):
        with pytest.raises(LingmaError, match="does not answer"):
            impatient.put(name, b"value")
    backend.released.set()

    # Waits for its turn, behind the call that hung.
    assert impatient.get("c") is None
    assert backend.asked == ["a#0", "c#0", "c#1"]


def test_a_program_can_end_while_the_keyring_hangs(tmp_path: Path) -> None:
    """The call that hangs does not keep the process."""
    program = (
        "import sys; from pathlib import Path\n"
        "from lingma_cli.auth.vault.keyring_vault import Found, KeyringVault\n"
        "from tests.support.keyrings import HangingKeyring\n"
        "found = Found(backend=HangingKeyring(), limit=100)\n"
        "vault = KeyringVault('s', Path(sys.argv[1]), find=lambda: found, timeout=0.2)\n"
        "try: vault.probe()\n"
        "except Exception as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "lock"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert done.stdout == "the keyring does not answer within 0.2 s\n"
    assert done.stderr == ""


def test_only_listed_classes_are_trusted() -> None:
    """Those of the operating systems, which all exist; nothing else, whatever its name."""
    for name in TRUSTED:
        module, _, kind = name.rpartition(".")
        assert issubclass(getattr(importlib.import_module(module), kind), KeyringBackend)

    class Keyring(MemoryKeyring):
        pass

    assert trusted(Keyring()) is None
    assert trusted(PlaintextKeyring()) is None


UNTRUSTED = [
    "tests.support.keyrings.PlaintextKeyring",
    "keyring.backends.null.Keyring",
    "keyring.backends.fail.Keyring",
    "keyring.backends.chainer.ChainerBackend",
    "no.such.Keyring",
]


@pytest.mark.parametrize("by", ["environment", "file"])
@pytest.mark.parametrize("name", UNTRUSTED)
def test_what_the_user_names_is_no_way_around_the_list(tmp_path: Path, name: str, by: str) -> None:
    """A backend outside the list, named by variable or file, counts as no keyring."""
    program = (
        "import sys; from pathlib import Path; import tests.support.keyrings\n"
        "from lingma_cli.auth.vault.keyring_vault import KeyringVault\n"
        "try: KeyringVault('s', Path(sys.argv[1]), timeout=20).probe()\n"
        "except Exception as error: print(error)\n"
    )
    environ = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path)}
    if by == "environment":
        environ["PYTHON_KEYRING_BACKEND"] = name
    else:
        (tmp_path / "python_keyring").mkdir()
        (tmp_path / "python_keyring" / "keyringrc.cfg").write_text(
            f"[backend]\ndefault-keyring={name}\n"
        )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "lock"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    expected = {"no.such.Keyring": "the keyring refuses: ModuleNotFoundError"}
    assert done.stdout.strip() == expected.get(name, "there is no keyring that can be trusted")


_CONTEST = """
import sys; from pathlib import Path
from lingma_cli.auth.vault.keyring_vault import Found, KeyringVault
from tests.support.keyrings import FolderKeyring
found = Found(backend=FolderKeyring(Path(sys.argv[1])), limit=300)
vault = KeyringVault("service", Path(sys.argv[2]), find=lambda: found, timeout=20)
for round in range(25):
    vault.put("shared", sys.argv[3].encode() * (1 + 97 * (round % 7)))
    vault.put(f"own/{sys.argv[3]}", str(round).encode())
    shared = vault.get("shared")
    assert shared and len(set(shared)) == 1, shared
    assert vault.get(f"own/{sys.argv[3]}") == str(round).encode()
"""


def test_two_processes_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each reads whole values only, loses none of its own, and no part is left over."""
    shared = tmp_path / "keyring"
    shared.mkdir()
    contest = [sys.executable, "-c", _CONTEST, str(shared), str(tmp_path / "lock")]
    rivals = [
        subprocess.Popen([*contest, name], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]

    assert [(rival.communicate(timeout=100)[1], rival.returncode) for rival in rivals] == [
        ("", 0),
        ("", 0),
    ]
    vault = vault_in(tmp_path, FolderKeyring(shared), 300)
    for name in ("shared", "own/a", "own/b"):
        assert vault.delete(name)
    assert list(shared.iterdir()) == []
