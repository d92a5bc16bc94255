"""`lingma config import-env`: one command to move in."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from lingma_cli.auth.bundles.bundle import Bundle, pack, to_text
from tests.cli.test_session import kept
from tests.support.cli import Result, run_lingma

BUNDLE = Bundle(files={"id": b"i", "user": b"u"})
ENV = f"""\
# the old gateway
HOST=0.0.0.0
PORT=9000
API_KEYS=key-0123456789abcdef
GATEWAY_MAX_IN_FLIGHT=8
SESSION_REUSE_ENABLED=true
SESSION_CACHE_PATH=/app
LINGMA_BIN=/app/bin/Lingma
LINGMA_ACCOUNTS='{
    json.dumps(
        [
            {"username": "Alice@example.com", "password": "canary-1"},
            {"username": "bob", "password": "canary-2", "session_bundle": to_text(pack(BUNDLE))},
            {"session_bundle_file": "/app/canary"},
        ]
    )
}'
"""


def run(home: Path, text: str, **env: str) -> Result:
    (home / "old.env").write_text(text)
    return run_lingma(
        "config", "import-env", str(home / "old.env"),
        home=home, env={"LINGMA_STORE": "plain", **env},
    )  # fmt: skip


def test_settings_and_logins_move_in(tmp_path: Path) -> None:
    """File, vault, and what a person has still to do; passwords stay where they were."""
    result = run(tmp_path, ENV)

    assert (result.code, result.out) == (0, "")
    assert tomllib.loads((tmp_path / "config" / "config.toml").read_text()) == {
        "host": "0.0.0.0",
        "port": 9000,
        "api_keys": ["key-0123456789abcdef"],
        "gateway_max_in_flight": 8,
        "session_reuse_enabled": True,
    }
    assert kept(tmp_path, "bob") == BUNDLE
    lines = result.err.splitlines()
    assert "imported a login as `bob`" in lines
    assert "a login is missing: run `lingma login --account alice-example.com`" in lines
    assert "a login is missing: run `lingma login --account account-3`" in lines
    assert "no settings here: SESSION_CACHE_PATH" in lines
    assert "passwords are not taken over" in lines
    assert any(line.startswith("left out LINGMA_BIN: ") for line in lines)
    assert any("entry 3 of `accounts`" in line for line in lines)
    assert "canary" not in result.err
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "old.env"]
    assert not any(b"canary" in path.read_bytes() for path in left)


def test_twice_is_as_good_as_once(tmp_path: Path) -> None:
    """The second time there is nothing to write, and the login stays."""
    run(tmp_path, ENV)
    before = (tmp_path / "config" / "config.toml").read_bytes()

    again = run(tmp_path, ENV)

    assert again.code == 0
    assert (tmp_path / "config" / "config.toml").read_bytes() == before
    assert "kept the login that `bob` has already" in again.err
    assert "wrote to" not in again.err
    assert "lingma login --account bob" not in again.err


def test_without_bundles_no_vault_is_begun(tmp_path: Path) -> None:
    """And the other value in the file is told, and stays."""
    (tmp_path / "config").mkdir(mode=0o700)
    (tmp_path / "config" / "config.toml").write_text("port = 1\n")

    result = run(tmp_path, "PORT=9000\nLINGMA_USERNAME=u\nLINGMA_PASSWORD=canary\n")

    assert result.code == 0
    assert "kept `port` of" in result.err
    assert "run `lingma login --account default`" in result.err
    assert (tmp_path / "config" / "config.toml").read_text() == "port = 1\n"
    assert not (tmp_path / "state").exists()


def test_a_file_without_sense_changes_nothing(tmp_path: Path) -> None:
    """No file, no text, no variables, no accounts."""
    for text in ("PORT=1\n'", "PORT=1\nLINGMA_ACCOUNTS=canary"):
        result = run(tmp_path, text)
        assert (result.code, result.out) == (2, "")
        assert "canary" not in result.err
    missing = run_lingma("config", "import-env", str(tmp_path / "none"), home=tmp_path)
    assert missing.code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["old.env"]
