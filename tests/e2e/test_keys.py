"""Who may do what: every path, every key."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_starts import run
from tests.support.serving import Serving, serving

API, ADMIN, METRICS = "api-key-0123456789abc", "admin-token-0123456789", "metrics-token-01234567"
PATHS = {
    ("GET", "/healthz"): set(),
    ("GET", "/v1/models"): {API},
    ("POST", "/v1/chat/completions"): {API},
    ("GET", "/metrics"): {METRICS},
    ("GET", "/internal/stats"): {ADMIN},
    ("GET", "/nothing"): {API},
}


@pytest.mark.parametrize("presented", [None, "wrong-key", API, ADMIN, METRICS, API[:-1], API + "x"])
def test_each_key_opens_its_own_tier(keyed: Serving, presented: str | None) -> None:
    """A key opens the paths of its tier and no other, by either header."""
    for (method, path), keys in PATHS.items():
        for header in ("authorization", "x-api-key"):
            value = f"Bearer {presented}" if header == "authorization" else presented
            headers = {} if presented is None else {header: value or ""}
            answer = httpx.request(
                method, keyed.url + path, headers=headers, content=b"{}", trust_env=False
            )

            allowed = not keys or presented in keys
            assert (answer.status_code != 401) == allowed, (method, path, header)
            if not allowed:
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert answer.headers["x-should-retry"] == "false"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A demo server with one configured key a tier."""
    environ = {
        "LINGMA_API_KEYS": API,
        "LINGMA_ADMIN_TOKEN": ADMIN,
        "LINGMA_METRICS_TOKEN": METRICS,
    }
    with serving(tmp_path_factory.mktemp("keyed"), "--demo", environ=environ) as server:
        yield server


def test_a_key_is_made_and_kept(tmp_path: Path) -> None:
    """Outside demo mode a first start makes a key: private, stable, never in the log."""
    script = tmp_path / "lingma"
    script.write_text("#!/bin/sh\nsleep 60\n")
    script.chmod(0o700)
    seen: list[str] = []
    for _ in range(2):
        with serving(tmp_path / "home", "--bin", str(script), ready=False) as server:
            file = tmp_path / "home" / "state" / "keys.json"
            keys = json.loads(file.read_text())
            answer = server.get("/v1/models")

            assert answer.status_code == 401
            assert keys["api_key"] not in server.log
            assert "lingma key show" in server.log
            if os.name == "posix":
                assert stat.S_IMODE(file.stat().st_mode) == 0o600
            seen.append(run(tmp_path / "home", "key", "show").stdout.strip())
    assert seen == [keys["api_key"]] * 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--host", "0.0.0.0", "--no-auth"), 2),
        (("--host", "192.0.2.1", "--no-auth"), 2),
    ],
)
def test_no_open_door_beyond_loopback(
    tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    """`--no-auth` is for loopback; elsewhere the server does not start."""
    done = run(tmp_path, "serve", "--demo", "--port", "0", *arguments)

    assert done.returncode == code
    assert "hint: " in done.stderr


def test_beyond_loopback_the_demo_needs_a_key(tmp_path: Path) -> None:
    """On all interfaces also the demo asks for its generated key."""
    with serving(tmp_path, "--demo", "--host", "0.0.0.0", ready=False) as server:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.get("/v1/models").status_code == 401
