"""One engine on its own, for the commands that log in, check and export."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lingma_cli.core.login import LoginState
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import find_paths
from lingma_cli.settings import Settings
from lingma_cli.wiring.engines import engine_options, running_engine
from tests.support.logins import binary


def run(folder: Path, settings: Settings) -> LoginState:
    """Run an engine until it is connected and return what it says of its login."""

    async def main() -> LoginState:
        paths = find_paths({"LINGMA_HOME": str(folder)})
        async with running_engine(settings, paths, {}, work_dir=folder / "work") as engine:
            return (await engine.account.status()).state

    return asyncio.run(main())


def test_a_running_engine_is_connected(tmp_path: Path) -> None:
    """Logged in or not."""
    assert run(tmp_path, Settings(demo=True)) is LoginState.IN
    assert run(tmp_path / "two", Settings(bin=str(binary(tmp_path)))) is LoginState.OUT


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (Settings(bin="/bin/false"), ErrorKind.ENGINE_UNAVAILABLE),
        (Settings(bin="/no/such/file"), ErrorKind.USAGE),
    ],
)
def test_an_engine_that_does_not_start(tmp_path: Path, settings: Settings, kind: ErrorKind) -> None:
    """Entering fails with the reason."""
    with pytest.raises(LingmaError) as caught:
        run(tmp_path, settings)

    assert caught.value.kind is kind


def test_the_service_of_an_account_goes_before_the_settings(tmp_path: Path) -> None:
    """Which count for accounts without one."""
    settings = Settings(dedicated_domain_url="https://all.example.com")

    def endpoint(own: str) -> str:
        options = engine_options(
            settings, {}, command=("x",), work_dir=tmp_path / "work", endpoint=own
        )
        return options.endpoint

    assert endpoint("") == "https://all.example.com"
    assert endpoint("https://own.example.com") == "https://own.example.com"
