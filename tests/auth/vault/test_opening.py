"""Which vault a home gets, and that it keeps it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from keyring.backend import KeyringBackend

from lingma_cli.auth.vault.base import Vault
from lingma_cli.auth.vault.keyring_vault import Found
from lingma_cli.auth.vault.opening import kind_in_use, open_vault
from lingma_cli.errors import FACES, LingmaError
from lingma_cli.secret import Secret
from tests.support.keyrings import FailingKeyring, LockedKeyring, MemoryKeyring

PASSPHRASE = Secret("correct horse battery staple")


@dataclass
class Home:
    """A home with its keyring and its owner, who is asked and answers `passphrase`."""

    folder: Path
    keyring: KeyringBackend | None = None
    passphrase: Secret | None = None
    home_id: str = "home-1"
    asked: list[Secret | None] = field(default_factory=list)

    def open(self, choice: str = "auto") -> Vault:
        return open_vault(
            choice,
            folder=self.folder,
            home_id=self.home_id,
            passphrase=self._answer,
            find=self._find,
        )

    def _answer(self) -> Secret | None:
        self.asked.append(self.passphrase)
        return self.passphrase

    def _find(self) -> Found | None:
        return Found(backend=self.keyring, limit=60_000) if self.keyring else None


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "state" / "vault")


def exit_code(error: LingmaError) -> int:
    return FACES[error.kind].exit_code


def test_auto_takes_the_keyring_first(home: Home) -> None:
    """Nobody is asked for a passphrase, and nothing of the value is in a file."""
    home.keyring, home.passphrase = MemoryKeyring(), PASSPHRASE
    assert kind_in_use(home.folder) is None
    home.open().put("keys", b"canary-0123456789")

    assert home.open().kind == kind_in_use(home.folder) == "keyring"
    assert home.open().get("keys") == b"canary-0123456789"
    assert home.asked == []
    for path in home.folder.iterdir():
        assert b"canary" not in path.read_bytes()


@pytest.mark.parametrize("keyring", [None, LockedKeyring(), FailingKeyring()])
def test_auto_takes_an_encrypted_file_then(home: Home, keyring: KeyringBackend | None) -> None:
    """Without a keyring that works, if there is a passphrase; it is asked once an opening."""
    home.keyring, home.passphrase = keyring, PASSPHRASE
    home.open().put("keys", b"value")

    assert home.open().kind == kind_in_use(home.folder) == "encrypted"
    assert home.open().get("keys") == b"value"
    assert home.asked == [PASSPHRASE] * 3


@pytest.mark.parametrize(
    ("keyring", "reason"),
    [(None, "there is no keyring"), (LockedKeyring(), "locked"), (FailingKeyring(), "refuses")],
)
def test_auto_never_takes_plain_files(
    home: Home, keyring: KeyringBackend | None, reason: str
) -> None:
    """With neither keyring nor passphrase, the error says why and names the ways out."""
    home.keyring = keyring

    with pytest.raises(LingmaError, match=reason) as caught:
        home.open()

    assert exit_code(caught.value) == 5
    assert "--store encrypted" in (caught.value.hint or "")
    assert "--store plain" in (caught.value.hint or "")
    assert kind_in_use(home.folder) is None


@pytest.mark.parametrize("choice", ["keyring", "encrypted", "plain"])
def test_a_choice_is_kept_by_auto(home: Home, choice: str) -> None:
    """What was chosen once is found again without choosing."""
    home.keyring, home.passphrase = MemoryKeyring(), PASSPHRASE
    home.open(choice).put("keys", b"value")

    assert (home.open().kind, home.open().get("keys")) == (choice, b"value")
    assert home.open(choice).get("keys") == b"value"


@pytest.mark.parametrize(
    ("choice", "reason"),
    [("keyring", "there is no keyring"), ("encrypted", "needs its passphrase")],
)
def test_a_choice_that_cannot_be_met_begins_nothing(home: Home, choice: str, reason: str) -> None:
    """No other vault is taken in its place."""
    with pytest.raises(LingmaError, match=reason) as caught:
        home.open(choice)

    assert exit_code(caught.value) == 5
    assert kind_in_use(home.folder) is None


@pytest.mark.parametrize("choice", ["keyring", "encrypted", "plain"])
def test_another_choice_hides_nothing(home: Home, choice: str) -> None:
    """A home with a vault does not get a second one; the error names the one it has."""
    home.keyring, home.passphrase = MemoryKeyring(), PASSPHRASE
    home.open(choice).put("keys", b"value")
    for other in {"keyring", "encrypted", "plain"} - {choice}:
        with pytest.raises(LingmaError, match=f"`{choice}` vault, not in `{other}`") as caught:
            home.open(other)
        assert exit_code(caught.value) == 2

    assert home.open().get("keys") == b"value"


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (None, "there is no keyring"),
        (LockedKeyring(), "the keyring is locked"),
        (MemoryKeyring(), "is gone"),
    ],
    ids=["absent", "locked", "emptied"],
)
@pytest.mark.parametrize("choice", ["auto", "keyring"])
def test_a_keyring_in_use_is_not_replaced(
    home: Home, choice: str, now: KeyringBackend | None, reason: str
) -> None:
    """When it is not there, that is an error, also for one who has a passphrase."""
    before = home.keyring = MemoryKeyring()
    home.passphrase = PASSPHRASE
    home.open().put("keys", b"value")
    home.keyring = now

    with pytest.raises(LingmaError, match=reason) as caught:
        home.open(choice)

    assert exit_code(caught.value) == 5
    assert caught.value.hint
    assert home.asked == []
    home.keyring = before
    assert home.open().get("keys") == b"value"


def test_an_encrypted_vault_needs_the_same_passphrase(home: Home) -> None:
    """Another, or none, is told at once, and changes nothing."""
    home.passphrase = PASSPHRASE
    home.open().put("keys", b"value")
    for wrong, reason in ((Secret("wrong"), "does not fit"), (None, "needs its passphrase")):
        home.passphrase = wrong
        with pytest.raises(LingmaError, match=reason) as caught:
            home.open()
        assert exit_code(caught.value) == 5

    home.passphrase = PASSPHRASE
    assert home.open().get("keys") == b"value"


def test_two_homes_share_a_keyring_but_no_entry(home: Home, tmp_path: Path) -> None:
    """Neither by reading, nor by writing, nor by deleting."""
    home.keyring = MemoryKeyring()
    other = Home(tmp_path / "other", home.keyring, home_id="home-2")
    home.open().put("keys", b"one")
    assert other.open().get("keys") is None
    other.open().put("keys", b"two")

    assert home.open().get("keys") == b"one"
    assert other.open().delete("keys")
    assert home.open().get("keys") == b"one"


def test_a_copied_home_has_no_part_in_the_keyring(home: Home, tmp_path: Path) -> None:
    """It has the mark, but the keyring does not know it; the error says so."""
    home.keyring = MemoryKeyring()
    home.open().put("keys", b"value")
    shutil.copytree(home.folder, tmp_path / "copy")
    copy = Home(tmp_path / "copy", home.keyring, home_id="home-2")

    with pytest.raises(LingmaError, match="is gone") as caught:
        copy.open()

    assert str(copy.folder) in (caught.value.hint or "")


def test_a_new_home_does_not_inherit(home: Home) -> None:
    """Who removes a home and begins anew at the same path begins with nothing."""
    home.keyring = MemoryKeyring()
    home.open().put("keys", b"old")
    shutil.rmtree(home.folder)

    assert home.open().get("keys") is None


@pytest.mark.parametrize("choice", ["encrypted", "plain"])
def test_entries_without_a_mark_are_not_passed_over(home: Home, choice: str) -> None:
    """A lost mark is no reason to begin a new vault beside the entries of the old."""
    home.keyring, home.passphrase = MemoryKeyring(), PASSPHRASE
    home.open(choice).put("keys", b"value")
    (home.folder / "vault.json").unlink()
    for again in ("auto", choice):
        with pytest.raises(LingmaError, match="is missing, but there are entries"):
            home.open(again)
    with pytest.raises(LingmaError, match="is missing, but there are entries"):
        kind_in_use(home.folder)


@pytest.mark.parametrize("choice", ["encrypted", "plain"])
def test_a_start_that_was_cut_off_can_be_repeated(home: Home, choice: str) -> None:
    """Killed before the mark was written, nothing has been lost."""
    home.passphrase = Secret("first try")
    home.open(choice)
    (home.folder / "vault.json").unlink()
    home.passphrase = PASSPHRASE
    home.open(choice).put("keys", b"value")

    assert home.open().get("keys") == b"value"


def _readable(mark: Path) -> None:
    mark.chmod(0o644)


def _writing(content: bytes) -> Callable[[Path], None]:
    def write(mark: Path) -> None:
        mark.write_bytes(content)

    return write


@pytest.mark.parametrize(
    "spoil",
    [
        _readable,
        _writing(b""),
        _writing(b'{"kind":"none","id":"0123456789abcdef"}'),
        _writing(b'{"kind":"plain","id":"../../x"}'),
        _writing(b'{"kind":"plain"}'),
        _writing(b"\xff" * 9000),
    ],
)
def test_a_doubtful_mark_is_refused(home: Home, spoil: Callable[[Path], None]) -> None:
    """It is not guessed which vault was meant."""
    home.keyring = MemoryKeyring()
    home.open()
    spoil(home.folder / "vault.json")

    with pytest.raises(LingmaError, match="cannot trust"):
        home.open()
    with pytest.raises(LingmaError, match="cannot trust"):
        kind_in_use(home.folder)


def test_who_comes_while_a_vault_is_begun_waits_for_it(home: Home) -> None:
    """Two that start together begin one vault, and neither loses what the other keeps."""
    rivals: list[threading.Thread] = []
    rival_is_in = threading.Event()

    def keep_as_rival() -> None:
        found = Found(backend=keyring, limit=60_000)
        vault = open_vault(
            "auto",
            folder=home.folder,
            home_id=home.home_id,
            passphrase=lambda: None,
            find=lambda: found,
        )
        vault.put("login/b", b"two")
        rival_is_in.set()

    class Busy(MemoryKeyring):
        """While it is being tried out, somebody else comes."""

        def set_password(self, service: str, username: str, password: str) -> None:
            if not rivals:
                rivals.append(threading.Thread(target=keep_as_rival))
                rivals[0].start()
                rival_is_in.wait(0.5)
            super().set_password(service, username, password)

    home.keyring = keyring = Busy()
    home.open().put("login/a", b"one")
    assert rival_is_in.wait(20)
    rivals[0].join()

    assert [home.open().get(name) for name in ("login/a", "login/b")] == [b"one", b"two"]
