"""Dialling: a connection to the port of a process, by the path that its build wants.

Source: Lingma local protocol, "Handshake". Must not know what is said on the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from lingma_cli.engines.lingma.link import HandshakeRefusedError, Link, OnCall
from lingma_cli.engines.lingma.workdir import read_machine_token
from lingma_cli.errors import ErrorKind, LingmaError


async def dial(port: int, *, work_dir: Path, on_call: OnCall, within: float) -> Link:
    """Return an open connection.

    Args:
        port: where the process listens at 127.0.0.1.
        work_dir: its data folder, with the machine token if there is one.
        on_call: see `Link`.
        within: seconds for one try.

    Raises:
        LingmaError: nobody takes the connection.
    """
    token = read_machine_token(work_dir)
    headers = {"Cosy-MachineToken": token.reveal()} if token is not None else {}
    # quirk: Qoder CN builds refuse `/` and want `/ws` with the machine token.
    for path in ("/", "/ws"):
        try:
            return await _opened(path, port, headers, on_call, within)
        except HandshakeRefusedError as refused:
            if path == "/" and 400 <= refused.status < 500:
                continue
            raise LingmaError(ErrorKind.ENGINE_UNAVAILABLE, str(refused)) from refused
        except (OSError, TimeoutError) as error:
            words = f"cannot connect to Lingma: {error}"
            raise LingmaError(ErrorKind.ENGINE_UNAVAILABLE, words) from error
    raise AssertionError("both paths were tried")


async def _opened(
    path: str, port: int, headers: Mapping[str, str], on_call: OnCall, within: float
) -> Link:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(within):
        _, link = await loop.create_connection(
            lambda: Link(path=path, port=port, headers=headers, on_call=on_call),
            "127.0.0.1",
            port,
        )
        try:
            await link.opened
        except BaseException:
            await link.close()
            raise
    return link
