"""Lingma engines from settings: which executable, which folder, and one on its own.

`lingma serve` keeps a pool of them; the commands that log in, check or export run one for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from lingma_cli.core.ids import random_hex
from lingma_cli.engines.lingma.engine import LingmaEngine, LingmaOptions
from lingma_cli.engines.lingma.prompt import AgentWords
from lingma_cli.errors import LingmaError
from lingma_cli.paths import Paths, private_folder
from lingma_cli.settings import Settings
from lingma_cli.wiring.install import find_command


def engine_options(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    command: tuple[str, ...],
    work_dir: Path,
    endpoint: str = "",
) -> LingmaOptions:
    """Return how one process is run; its work directory is made if need be.

    Args:
        settings: all of them.
        environ: the process environment, without secrets.
        command: the executable and its leading arguments.
        work_dir: the process's data folder.
        endpoint: https address of a dedicated service; empty for the setting's.
    """
    private_folder(work_dir)
    return LingmaOptions(
        command=command,
        work_dir=work_dir,
        socket_port=settings.socket_port,
        endpoint=endpoint or settings.dedicated_domain_url,
        environ=dict(environ),
        startup_timeout=settings.startup_timeout,
        rpc_timeout=settings.rpc_timeout,
        first_event_timeout=settings.first_event_timeout,
        idle_timeout=settings.idle_timeout,
        agent=AgentWords(
            session_type=settings.agent_session_type,
            chat_task=settings.agent_chat_task,
            mode=settings.agent_mode,
        ),
    )


@asynccontextmanager
async def running_engine(
    settings: Settings, paths: Paths, environ: Mapping[str, str], *, work_dir: Path
) -> AsyncIterator[LingmaEngine]:
    """Run one engine for this context; entering waits until it is connected, logged in or not.

    Raises:
        LingmaError: there is no executable, or it does not start.
    """
    # The engine of a server may hold the port that is configured.
    settings = replace(settings, socket_port=0)
    command = find_command(settings, paths, environ)
    options = engine_options(settings, environ, command=command, work_dir=work_dir)
    engine = LingmaEngine("login", options, random_hex)
    connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_change(error: LingmaError | None) -> None:
        if connected.done():
            return
        if error is None:
            connected.set_result(None)
        else:
            connected.set_exception(error)

    life = asyncio.create_task(engine.run(on_change))
    try:
        await asyncio.wait([life, connected], return_when=asyncio.FIRST_COMPLETED)
        if not connected.done():
            await life
        await connected
        yield engine
    finally:
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
