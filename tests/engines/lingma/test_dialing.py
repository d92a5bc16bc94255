"""Which path is dialled, with what, and what becomes of a port where nobody helps."""

from __future__ import annotations

import asyncio
import json
import socket
from http import HTTPStatus
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from lingma_cli.engines.lingma.dialing import dial
from lingma_cli.errors import ErrorKind, LingmaError
from tests.engines.lingma.test_link import LIMIT, Peer, listening

Seen = list[tuple[str, str | None, str | None]]


async def _silence(_: Peer) -> None:
    """Say nothing."""


async def _dialled(work_dir: Path, refusals: dict[str, HTTPStatus]) -> Seen:
    """Dial a server that refuses some paths; return what it saw."""
    seen: Seen = []

    def look(connection: ServerConnection, request: Request) -> Response | None:
        headers = request.headers
        seen.append((request.path, headers.get("Cosy-MachineToken"), headers.get("Origin")))
        if (status := refusals.get(request.path)) is None:
            return None
        return connection.respond(status, "no")

    async with listening(_silence, process_request=look) as port:
        link = await dial(port, work_dir=work_dir, on_call=lambda _: None, within=LIMIT)
        assert link.is_open
        await link.close()
    return seen


def _with_token(work_dir: Path) -> Path:
    (work_dir / "cache").mkdir()
    (work_dir / "cache" / "machine_token.json").write_text(json.dumps({"token": "mt-1"}))
    return work_dir


def test_the_usual_path(tmp_path: Path) -> None:
    """One try, without a token where there is none, and never with an origin."""
    assert asyncio.run(_dialled(tmp_path, {})) == [("/", None, None)]


def test_the_path_of_qoder_cn(tmp_path: Path) -> None:
    """It is tried when the usual one is refused, and the token goes along."""
    seen = asyncio.run(_dialled(_with_token(tmp_path), {"/": HTTPStatus.NOT_FOUND}))

    assert seen == [("/", "mt-1", None), ("/ws", "mt-1", None)]


REFUSALS = {
    "both paths": {"/": HTTPStatus.FORBIDDEN, "/ws": HTTPStatus.FORBIDDEN},
    "a fault of its own": {"/": HTTPStatus.INTERNAL_SERVER_ERROR},
}


@pytest.mark.parametrize("refusals", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal(tmp_path: Path, refusals: dict[str, HTTPStatus]) -> None:
    """The status is told."""
    with pytest.raises(LingmaError) as caught:
        asyncio.run(_dialled(tmp_path, refusals))

    assert caught.value.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert str(next(iter(refusals.values())).value) in caught.value.message


@pytest.mark.parametrize("accepts", [False, True], ids=["closed", "silent"])
def test_nobody_who_speaks(tmp_path: Path, accepts: bool) -> None:
    """A port that is closed, and one whose owner never answers the handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if not accepts:
            listener.close()
        with pytest.raises(LingmaError) as caught:
            asyncio.run(dial(port, work_dir=tmp_path, on_call=lambda _: None, within=0.2))

    assert caught.value.kind is ErrorKind.ENGINE_UNAVAILABLE
    assert "cannot connect to Lingma" in caught.value.message
