"""Nobody, and the login that is done for them. The browser is tested in `tests/e2e`."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from pathlib import Path

import pytest

from lingma_cli.core.ids import random_hex
from lingma_cli.engines.lingma.engine import LingmaEngine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths
from lingma_cli.secret import Secret
from lingma_cli.settings import Settings
from lingma_cli.wiring.engines import engine_options
from lingma_cli.wiring.unattended import Nobody, PasswordOfRun


def test_nobody_answers(caplog: pytest.LogCaptureFixture) -> None:
    """What is said to them is in the log."""
    with caplog.at_level(logging.WARNING):
        Nobody().say("The login page wants a captcha.")
    with pytest.raises(LingmaError, match="nobody is there to answer: Organisation") as caught:
        asyncio.run(Nobody().ask("Organisation: "))

    assert caught.value.kind is ErrorKind.LOGIN_REQUIRED
    assert "captcha" in caplog.text


def test_a_login_needs_its_engine(tmp_path: Path) -> None:
    """One that is away, or without the extra, is an error of ours; nothing is left behind."""
    paths = find_paths({"LINGMA_HOME": str(tmp_path)})
    options = engine_options(
        Settings(), {}, command=("/bin/false",), work_dir=tmp_path / "work", endpoint=""
    )
    log_in = PasswordOfRun(
        engine=LingmaEngine("inst-0", options, random_hex),
        username="ann",
        password=Secret("hush-hush"),
        endpoint="",
        settings=Settings(),
        paths=paths,
    )

    with pytest.raises(LingmaError) as caught:
        asyncio.run(log_in())

    has_extra = importlib.util.find_spec("playwright") is not None
    assert caught.value.kind in (
        {ErrorKind.ENGINE_UNAVAILABLE, ErrorKind.LOGIN_REQUIRED, ErrorKind.USAGE}
        if has_extra
        else {ErrorKind.USAGE}
    )
    assert "hush" not in caught.value.advice + repr(log_in)
    assert not list(paths.state.rglob("temp"))
