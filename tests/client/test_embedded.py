"""A server of the program's own, as a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from lingma_cli.client.embedded import EmbeddedServer
from lingma_cli.client.finding import announced
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support.agents import KEY
from tests.support.serving import program_environment, serving, wait_until


def test_it_serves_until_it_is_stopped(tmp_path: Path) -> None:
    """At an address of its own, with its whole family gone in the end; twice is once."""
    environ = program_environment(tmp_path, LINGMA_DEMO="true")
    server = EmbeddedServer.start(environ)
    found = announced(environ)
    assert found is not None
    family = [psutil.Process(found.pid)]
    try:
        health = httpx.get(f"{server.url}/healthz", trust_env=False)
        family += family[0].children(recursive=True)
    finally:
        server.stop()
        server.stop()

    assert health.json()["ok"] is True
    wait_until(lambda: not any(member.is_running() for member in family), what="the family's end")
    assert announced(environ) is None


def test_it_brings_its_key(tmp_path: Path) -> None:
    """The home's own; what the callers of another server have is not passed on to it."""
    others = {"LINGMA_URL": "http://127.0.0.1:9", "LINGMA_API_KEY": "of another server"}
    environ = program_environment(tmp_path, LINGMA_DEMO="true", LINGMA_API_KEYS=KEY, **others)
    server = EmbeddedServer.start(environ)
    try:
        found = announced(environ)
        assert found is not None
        assert not set(others) & set(psutil.Process(found.pid).environ())
        assert server.api_key is not None
        headers = {"authorization": f"Bearer {server.api_key.reveal()}"}
        with httpx.Client(base_url=server.url, trust_env=False) as http:
            assert http.get("/v1/models").status_code == 401
            assert http.get("/v1/models", headers=headers).status_code == 200
    finally:
        server.stop()


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    """In its own words: here that another one serves the home."""
    environ = program_environment(tmp_path, LINGMA_DEMO="true")
    with serving(tmp_path, "--demo") as running, pytest.raises(LingmaError) as raised:
        EmbeddedServer.start(environ)

    assert raised.value.kind is ErrorKind.SERVER_NOT_FOUND
    assert f"already runs for this home: {running.url}" in raised.value.message
    assert "LINGMA_HOME" in (raised.value.hint or "")


PROGRAM = """
import os, sys
from lingma_cli.client.embedded import EmbeddedServer
server = EmbeddedServer.start(os.environ)
print("up", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="kills by a signal of POSIX")
def test_it_does_not_outlive_its_program(tmp_path: Path) -> None:
    """However that ends: the pipe between them is closed by the system."""
    environ = program_environment(tmp_path, LINGMA_DEMO="true")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"up\n"
        family = psutil.Process(program.pid).children(recursive=True)
        program.send_signal(signal.SIGKILL)

    assert len(family) >= 2
    wait_until(lambda: not any(member.is_running() for member in family), what="the family's end")
