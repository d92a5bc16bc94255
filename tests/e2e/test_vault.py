"""`lingma serve` with a real Secret Service, without one, and with one that does not give."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.cli import Result, run_lingma
from tests.support.secret_service import SecretService, secret_service
from tests.support.serving import serving

KEYS = {"api_key": "lgm-canary-0123456789", "admin_token": "lga-canary-0123456789"}


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecretService]:
    # A socket's path must be short.
    with secret_service(tmp_path_factory.mktemp("bus")) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def program(tmp_path: Path) -> str:
    script = tmp_path / "lingma"
    script.write_text("#!/bin/sh\nsleep 60\n")
    script.chmod(0o700)
    return str(script)


def serve_once(tmp_path: Path, home: Path, environ: Mapping[str, str], *arguments: str) -> str:
    """Start and end a server that needs keys; return what it printed."""
    with serving(
        home, "--bin", program(tmp_path), *arguments, environ=environ, ready=False
    ) as server:
        assert server.get("/v1/models").status_code == 401
        return server.log


def refused(tmp_path: Path, home: Path, environ: Mapping[str, str], *arguments: str) -> Result:
    """Let a server start in vain."""
    return run_lingma(
        "serve", "--port", "0", "--bin", program(tmp_path), *arguments, home=home, env=environ
    )


def shown_key(home: Path, environ: Mapping[str, str]) -> str:
    result = run_lingma("key", "show", home=home, env=environ)
    assert (result.code, result.err) == (0, "")
    return result.out.strip()


def old_keys(home: Path) -> Path:
    file = home / "state" / "keys.json"
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_text(json.dumps(KEYS))
    file.chmod(0o600)
    return file


def test_keys_move_into_the_keyring(tmp_path: Path, home: Path, service: SecretService) -> None:
    """Unchanged, over restarts; no file under the home or of the keyring shows them."""
    file = old_keys(home)
    for _ in range(2):
        log = serve_once(tmp_path, home, service.environ)
        assert "generated keys" not in log
        assert not file.exists()
        assert shown_key(home, service.environ) == KEYS["api_key"]

    traces = [key.encode() for key in KEYS.values()]
    traces += [base64.b64encode(trace)[3:-3] for trace in traces]
    searched = [path for root in (home, service.files) for path in root.rglob("*")]
    for path in filter(Path.is_file, searched):
        assert not any(trace in path.read_bytes() for trace in traces), path
    assert any(path.suffix == ".keyring" for path in searched)


def test_new_keys_are_born_in_the_keyring(
    tmp_path: Path, home: Path, service: SecretService
) -> None:
    """And two homes have keys of their own in it."""
    keys = []
    for name in ("one", "two"):
        serve_once(tmp_path, home / name, service.environ)
        assert not (home / name / "state" / "keys.json").exists()
        keys.append(shown_key(home / name, service.environ))

    assert len(set(keys)) == 2
    assert keys == [shown_key(home / name, service.environ) for name in ("one", "two")]


def test_a_keyring_that_holds_the_keys_and_does_not_give_them_is_an_error(
    tmp_path: Path, home: Path, service: SecretService
) -> None:
    """Hanging, locked, gone, out of reach: exit code 5 with the reason, and no new keys."""
    serve_once(tmp_path, home, service.environ)
    key = shown_key(home, service.environ)

    def check(reason: str, environ: Mapping[str, str] = service.environ) -> None:
        for result in (
            refused(tmp_path, home, environ),
            run_lingma("key", "show", home=home, env=environ),
        ):
            assert result.code == 5, result
            assert reason in result.err
            assert "hint: " in result.err
            assert "Traceback" not in result.err
            assert result.out == ""
        assert not (home / "state" / "keys.json").exists()

    service.freeze()
    check("the keyring does not answer within 3 s")
    service.thaw()
    assert shown_key(home, service.environ) == key
    service.lock()
    check("the keyring is locked")
    service.end()
    check("there is no keyring")
    check("there is no keyring", {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"})


def test_a_copied_home_does_not_share_the_entries(
    tmp_path: Path, home: Path, service: SecretService
) -> None:
    """Its mark alone opens nothing."""
    serve_once(tmp_path, home, service.environ)
    shutil.copytree(home, tmp_path / "copy")

    result = run_lingma("key", "show", home=tmp_path / "copy", env=service.environ)

    assert (result.code, result.out) == (5, "")
    assert "is gone" in result.err


@pytest.mark.parametrize("trouble", ["absent", "locked", "disabled"])
def test_without_keyring_and_passphrase_the_keys_stay_in_their_file(
    tmp_path: Path, home: Path, service: SecretService, trouble: str
) -> None:
    """The server starts as before, with one line that says so."""
    environ = dict(service.environ)
    match trouble:
        case "absent":
            del environ["DBUS_SESSION_BUS_ADDRESS"]
        case "locked":
            service.lock()
        case _:
            environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    file = old_keys(home)
    for _ in range(2):
        log = serve_once(tmp_path, home, environ)

        assert log.count("the generated keys stay in") == 1
        assert json.loads(file.read_text()) == KEYS
        assert shown_key(home, environ) == KEYS["api_key"]


def test_the_store_that_was_asked_for_is_not_replaced(tmp_path: Path, home: Path) -> None:
    """With `--store`, keys do not fall back to a file."""
    environ = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    for store, reason in (("keyring", "no keyring"), ("encrypted", "needs its passphrase")):
        result = refused(tmp_path, home, environ, "--store", store)

        assert result.code == 5
        assert reason in result.err
        assert not (home / "state" / "keys.json").exists()


def test_with_a_passphrase_file_the_vault_is_encrypted(tmp_path: Path, home: Path) -> None:
    """Without a keyring; the key is found again with it and not without."""
    phrase = tmp_path / "phrase"
    phrase.write_text("correct horse battery staple\n")
    phrase.chmod(0o600)
    environ = {
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere",
        "LINGMA_PASSPHRASE_FILE": str(phrase),
    }
    file = old_keys(home)
    for _ in range(2):
        serve_once(tmp_path, home, environ)
        assert not file.exists()
        assert shown_key(home, environ) == KEYS["api_key"]

    del environ["LINGMA_PASSPHRASE_FILE"]
    assert refused(tmp_path, home, environ).code == 5


def test_a_plain_vault_warns_at_each_start(tmp_path: Path, home: Path) -> None:
    """Chosen once, kept, and never without a word."""
    environ = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    for arguments in (("--store", "plain"), ()):
        assert serve_once(tmp_path, home, environ, *arguments).count("unencrypted") == 1
    shown = run_lingma("key", "show", home=home, env=environ)

    assert shown.out.startswith("lgm-")
    assert shown.err.startswith("warning: ")


def test_an_open_demo_does_not_touch_the_vault(home: Path, service: SecretService) -> None:
    """It needs no keys, so the keyring is not even asked: a frozen one does not delay it."""
    service.freeze()
    with serving(home, "--demo", environ=service.environ) as server:
        assert server.get("/v1/models").status_code == 200

    assert not (home / "state" / "vault").exists()
