"""`lingma session`: the whole way of a login, from one home to another."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from lingma_cli.auth.accounts import Accounts
from lingma_cli.auth.bundles.bundle import Bundle, from_text, pack, to_text, unpack
from lingma_cli.auth.bundles.sealed import inspect, open_any, seal
from lingma_cli.paths import find_paths, write_private
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.home import open_home, stored_bundle
from lingma_cli.wiring.session import import_session
from tests.support.accounts import bundle_of, record
from tests.support.cli import Result, run_lingma, terminal
from tests.support.evil_bundles import evil_bundles

BUNDLE = Bundle(files={"id": b"canary-id", "user": b"canary-user"})
PLAIN = {"LINGMA_STORE": "plain"}
DAY = 86_400


def keep(home: Path, name: str = "work", bundle: Bundle = BUNDLE) -> None:
    """Put a login into a home."""
    paths = find_paths({"LINGMA_HOME": str(home)})
    opened = open_home(Settings(store="plain"), paths, warn=lambda _: None)
    import_session(opened, bundle, name, endpoint="", now=time.time())


def kept(home: Path, name: str) -> Bundle:
    """Return the login of an account."""
    paths = find_paths({"LINGMA_HOME": str(home)})
    opened = open_home(Settings(store="plain"), paths, warn=lambda _: None)
    return stored_bundle(opened, opened.accounts.choose(name))


def session(*arguments: str, home: Path, stdin: str | bytes = "", **env: str) -> Result:
    return run_lingma("session", *arguments, home=home, stdin=stdin, env={**PLAIN, **env})


@pytest.fixture
def phrase(tmp_path: Path) -> str:
    write_private(tmp_path / "phrase", "correct horse\n")
    return str(tmp_path / "phrase")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    keep(tmp_path / "here")
    return tmp_path / "here"


def test_plain_from_one_home_to_another(here: Path, tmp_path: Path) -> None:
    """One line on stdout in the old gateway's form, and standard input takes it."""
    exported = session("export", "--plaintext", home=here)
    imported = session("import", "-", home=tmp_path / "there", stdin=exported.out)

    assert (exported.code, exported.out.count("\n")) == (0, 1)
    assert unpack(from_text(exported.out)) == BUNDLE
    assert "whoever has this text is logged in as you" in exported.err
    assert (imported.code, imported.out) == (0, "")
    assert "imported the login as `default`" in imported.err
    assert kept(tmp_path / "there", "default") == BUNDLE


def test_encrypted_from_one_home_to_another(here: Path, tmp_path: Path, phrase: str) -> None:
    """In a private file, for seven days, under the account's own name."""
    bundle = tmp_path / "bundle"
    exported = session(
        "export", "work", "-o", str(bundle), "--encrypt", "--passphrase-file", phrase, home=here
    )
    imported = session(
        "import", str(bundle), home=tmp_path / "there", LINGMA_PASSPHRASE_FILE=phrase
    )

    assert (exported.code, exported.out) == (0, "")
    assert bundle.stat().st_mode & 0o777 == 0o600
    told = inspect(from_text(bundle.read_text()))
    assert (told.account, told.is_encrypted) == ("work", True)
    assert told.expires - told.created == 7 * DAY
    assert max(map(len, bundle.read_text().splitlines())) == 76
    assert (imported.code, imported.out) == (0, "")
    assert kept(tmp_path / "there", "work") == BUNDLE


def test_an_export_shows_no_secret_besides(here: Path, tmp_path: Path, phrase: str) -> None:
    """Neither login nor passphrase is in what is said."""
    result = session("export", "--encrypt", "--passphrase-file", phrase, home=here)

    assert "canary" not in result.out + result.err
    assert "horse" not in result.out + result.err


def test_an_export_is_encrypted_or_plain_on_purpose(here: Path) -> None:
    """Where nobody can be asked it must be said, and only one of the two."""
    neither = session("export", home=here)
    both = session("export", "--encrypt", "--plaintext", home=here)
    ending = session("export", "--plaintext", "--expires", "3", home=here)
    endless = session("export", "--encrypt", "--expires", "0", home=here)
    speechless = session("export", "--encrypt", home=here)

    results = (neither, both, ending, endless, speechless)
    assert [(result.code, result.out) for result in results] == [(2, "")] * 5
    assert "`--encrypt --passphrase-file FILE`, or `--plaintext`" in neither.err
    assert "--passphrase-file FILE" in speechless.err


def test_a_person_is_asked(here: Path, tmp_path: Path) -> None:
    """Whether to encrypt, and twice for the passphrase, which is not shown."""
    file = tmp_path / "out"
    with terminal("session", "export", "-o", str(file), home=here, env=PLAIN) as screen:
        screen.expect("encrypt it with a passphrase? [Y/n]")
        screen.type("\r")
        screen.expect("passphrase of the bundle:")
        screen.type("correct horse\r")
        screen.expect("the same again:")
        screen.type("correct horse\r")
        assert screen.wait() == 0
        assert "horse" not in screen.text()

    assert (
        open_any(file.read_bytes(), passphrase=lambda: Secret("correct horse"), now=time.time())
        == BUNDLE
    )


def test_two_passphrases_are_none(here: Path, tmp_path: Path) -> None:
    """Then nothing is written."""
    file = tmp_path / "out"
    with terminal(
        "session", "export", "--encrypt", "-o", str(file), home=here, env=PLAIN
    ) as screen:
        screen.expect("passphrase of the bundle:")
        screen.type("one\r")
        screen.expect("the same again:")
        screen.type("two\r")
        screen.expect("the two passphrases differ")
        assert screen.wait() == 2

    assert not file.exists()


def test_an_export_writes_over_nothing(here: Path, tmp_path: Path) -> None:
    """Neither a file nor through a link; and a folder that is not there is told."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "target")

    for name in ("mine", "link", "none/out"):
        result = session("export", "--plaintext", "-o", str(tmp_path / name), home=here)
        assert (result.code, result.out) == (2, "")
        assert str(tmp_path / name) in result.err
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "target").exists()


def test_a_home_without_a_login_exports_none(here: Path, tmp_path: Path) -> None:
    """No vault is begun for the question; an unknown name is another mistake."""
    empty = session("export", "--plaintext", home=tmp_path / "empty")
    unknown = session("export", "other", "--plaintext", home=here)

    assert (empty.code, empty.out) == (5, "")
    assert "run `lingma login`" in empty.err
    assert not (tmp_path / "empty").exists()
    assert (unknown.code, unknown.out) == (2, "")
    assert "no account `other`" in unknown.err


def test_an_import_asks_before_it_replaces(here: Path) -> None:
    """Never over a live login by itself."""
    other = to_text(pack(Bundle(files={"id": b"i", "user": b"u"})))

    refused = session("import", "-", "--account", "work", home=here, stdin=other)
    assert (refused.code, kept(here, "work")) == (2, BUNDLE)
    assert "--replace" in refused.err

    taken = session("import", "-", "--account", "work", "--replace", home=here, stdin=other)
    assert (taken.code, kept(here, "work").files["user"]) == (0, b"u")


def test_an_import_can_be_verified(tmp_path: Path) -> None:
    """An engine says whose login it is, or that it is none, and then nothing is stored."""
    good, bad = to_text(pack(bundle_of(record()))), to_text(pack(BUNDLE))

    taken = session("import", "-", "--verify", home=tmp_path, stdin=good, LINGMA_DEMO="1")
    refused = session(
        "import", "-", "--verify", "--account", "x", home=tmp_path, stdin=bad, LINGMA_DEMO="1"
    )

    assert taken.code == 0, taken.err
    assert "imported the login of demo as `default`" in taken.err
    assert (refused.code, refused.out) == (5, "")
    accounts = Accounts(find_paths({"LINGMA_HOME": str(tmp_path)}).accounts_file)
    assert [(account.name, account.username) for account in accounts.all()] == [("default", "demo")]


def test_an_evil_bundle_changes_nothing(tmp_path: Path) -> None:
    """Through the whole program: exit 2, a sentence, and no file but the ones that were there."""
    evils = dict(evil_bundles())
    for case in ("name: far parent", "symbolic link", "bomb", "sealed: expired", "junk"):
        home = tmp_path / "home"
        before = set(tmp_path.rglob("*"))
        result = session("import", "-", home=home, stdin=evils[case]())

        assert (result.code, result.out) == (2, ""), case
        assert result.err.startswith("error: "), case
        assert "hint: " in result.err
        assert set(tmp_path.rglob("*")) == before, case


def test_the_list(here: Path, tmp_path: Path) -> None:
    """For people and for programs; an empty home says so, and stays empty."""
    shown = session("list", home=here)
    listed = json.loads(session("list", "--json", home=here).out)
    empty = session("list", "--json", home=tmp_path / "empty")

    head, row = shown.out.splitlines()
    assert head.split() == ["ACCOUNT", "USER", "LOGIN", "BY", "SINCE", "EXPIRES"]
    assert row.split()[:5] == ["work", "*", "-", "stored", "import"]
    assert "canary" not in shown.out
    assert [(item["account"], item["active"], item["size"]) for item in listed] == [
        ("work", True, len(pack(BUNDLE)))
    ]
    assert (empty.code, json.loads(empty.out)) == (0, [])
    assert not (tmp_path / "empty").exists()


def test_an_inspection_needs_no_passphrase(tmp_path: Path) -> None:
    """It tells form, account, age and end, of a file and of standard input, and no secret."""
    now = time.time()
    sealed = seal(
        BUNDLE, Secret("p"), account="work", created=now - 3 * DAY, expires=now + 4 * DAY + 60
    )
    (tmp_path / "file").write_text(to_text(sealed, width=76))

    shown = session("inspect", str(tmp_path / "file"), home=tmp_path)
    told = json.loads(session("inspect", "-", "--json", home=tmp_path, stdin=sealed).out)
    plain = session("inspect", "-", home=tmp_path, stdin=to_text(pack(BUNDLE)))

    lines = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    assert (lines["form"], lines["account"]) == ("encrypted", "work")
    assert lines["created"].endswith("(3 days ago)")
    assert lines["expires"].endswith("(in 4 days)")
    assert (told["encrypted"], told["account"], told["expired"]) == (True, "work", False)
    assert (told["size"], told["created"]) == (len(sealed), pytest.approx(now - 3 * DAY))
    assert "plain text" in plain.out
    assert "canary" not in shown.out + plain.out


def test_an_expired_bundle_says_so(tmp_path: Path) -> None:
    """It can be inspected and not be imported."""
    now = time.time()
    sealed = seal(BUNDLE, Secret("p"), account="work", created=now - 9, expires=now - 3)

    shown = session("inspect", "-", home=tmp_path, stdin=sealed)
    told = json.loads(session("inspect", "-", "--json", home=tmp_path, stdin=sealed).out)
    taken = session("import", "-", home=tmp_path, stdin=sealed)

    assert [line.split()[0] for line in shown.out.splitlines()][3] == "expired"
    assert told["expired"] is True
    assert (taken.code, taken.out) == (2, "")
    assert "has expired" in taken.err


def test_a_removed_session_is_gone(here: Path) -> None:
    """With its account; a name that is none is a mistake."""
    removed = session("remove", "work", home=here)
    again = session("remove", "work", home=here)

    assert (removed.code, removed.out) == (0, "")
    assert again.code == 2
    assert not [
        path for path in here.rglob("*") if path.is_file() and b"canary" in path.read_bytes()
    ]
    assert json.loads(session("list", "--json", home=here).out) == []
