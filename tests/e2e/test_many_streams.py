"""Many streams at once arrive whole, in order and byte for byte."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx

from tests.support.serving import Serving, serving, wait_until

STREAMS = 200
CHUNKS = 200
PHRASE = "今日は🙂é→x"


def test_two_hundred_streams(tmp_path: Path) -> None:
    """200 streams of 200 chunks, each with Chinese and emoji, the wire cut at odd places."""
    environ = {"LINGMA_DEMO_WIRE": "cut=7"}
    with serving(tmp_path, "--demo", "--max-in-flight", "0", environ=environ) as server:
        answers = asyncio.run(_all(server, STREAMS, chunks=CHUNKS))

        expected = [_text(number, CHUNKS) for number in range(STREAMS)]
        assert answers == expected
        wait_until(lambda: server.in_flight() == 0, within=2)


def test_cut_at_every_byte(tmp_path: Path) -> None:
    """The same with every WebSocket message one byte long."""
    environ = {"LINGMA_DEMO_WIRE": "cut=1"}
    with serving(tmp_path, "--demo", environ=environ) as server:
        assert asyncio.run(_all(server, 4, chunks=20)) == [_text(number, 20) for number in range(4)]


def _text(number: int, chunks: int) -> str:
    return f"{number}:" + PHRASE * chunks


async def _all(server: Serving, streams: int, *, chunks: int) -> list[str]:
    limits = httpx.Limits(max_connections=streams)
    async with httpx.AsyncClient(timeout=60, limits=limits, trust_env=False) as client:
        return await asyncio.gather(
            *(_one(client, server.url, number, chunks) for number in range(streams))
        )


async def _one(client: httpx.AsyncClient, url: str, number: int, chunks: int) -> str:
    directive = f'[[demo: say="{_text(number, chunks)}" chunks={chunks}]]'
    message = {"role": "user", "content": directive}
    body = {"model": "org_auto", "messages": [message], "stream": True}
    pieces: list[str] = []
    frames = 0
    async with client.stream("POST", f"{url}/v1/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                delta = json.loads(line[6:])["choices"][0]["delta"]
                pieces.append(delta.get("content") or "")
                frames += bool(pieces[-1])
            elif line and not line.startswith(":"):
                assert line == "data: [DONE]"
    assert frames == chunks
    return "".join(pieces)
