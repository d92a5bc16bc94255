"""`python -m benchmarks.http_clients`: what an HTTP client costs on the way to an engine.

Every client talks to the same scripted upstream on another CPU; what is counted is the CPU time
of this process. The clients take turns within a round, so the ratios hold on a busy machine;
absolute numbers are for orientation. Linux only.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import aiohttp
import httpcore
import httpx
import msgspec
import uvloop

from benchmarks.errors import BenchmarkError
from benchmarks.processes import choose_cores, running_sse_upstream
from benchmarks.records import check_completion, check_stream
from benchmarks.report import Row, table
from benchmarks.script import Script

_JSON = {"content-type": "application/json"}
_PAIRS: list[tuple[bytes | str, bytes | str]] = list(_JSON.items())
_LIMIT = 60.0


class Client(Protocol):
    """One client library, opened; bodies in, bytes out."""

    def post(self, body: bytes) -> AsyncIterator[bytes]:
        """Send one request and yield its body as it comes."""
        ...


Opened = Callable[[str], AbstractAsyncContextManager[Client]]


class _Aiohttp:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def post(self, body: bytes) -> AsyncIterator[bytes]:
        async with self._session.post(self._url, data=body, headers=_JSON) as answer:
            while ready := await answer.content.readany():
                yield ready


class _Httpx:
    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url, self._client = url, client

    async def post(self, body: bytes) -> AsyncIterator[bytes]:
        async with self._client.stream("POST", self._url, content=body, headers=_JSON) as answer:
            async for ready in answer.aiter_raw():
                yield ready


class _Httpcore:
    def __init__(self, url: str, pool: httpcore.AsyncConnectionPool) -> None:
        self._url, self._pool = url, pool

    async def post(self, body: bytes) -> AsyncIterator[bytes]:
        async with self._pool.stream("POST", self._url, content=body, headers=_PAIRS) as answer:
            async for ready in answer.aiter_stream():
                yield ready


@asynccontextmanager
async def _aiohttp(url: str) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        yield _Aiohttp(url, session)


@asynccontextmanager
async def _httpx(url: str) -> AsyncIterator[Client]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=500)
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=_LIMIT) as client:
        yield _Httpx(url, client)


@asynccontextmanager
async def _httpcore(url: str) -> AsyncIterator[Client]:
    async with httpcore.AsyncConnectionPool(
        max_connections=1000, max_keepalive_connections=500
    ) as pool:
        yield _Httpcore(url, pool)


# The first one is what the others are measured by.
CLIENTS: tuple[tuple[str, Opened], ...] = (
    ("aiohttp", _aiohttp),
    ("httpx", _httpx),
    ("httpcore", _httpcore),
)


def _body(script: Script, *, stream: bool) -> bytes:
    message = {"role": "user", "content": script.prompt()}
    return msgspec.json.encode({"model": "m", "stream": stream, "messages": [message]})


async def _whole(client: Client, body: bytes) -> bytes:
    return b"".join([ready async for ready in client.post(body)])


async def requests(client: Client, *, at_once: int, count: int) -> float:
    """CPU time of one small request, `at_once` of them under way, in µs."""
    script = Script(stream=0, chunks=1, rate=0)
    body = _body(script, stream=False)

    async def one_after_another(number: int) -> list[bytes]:
        return [await _whole(client, body) for _ in range(number)]

    await asyncio.gather(*(one_after_another(1) for _ in range(at_once)))
    before = time.process_time_ns()
    answers = await asyncio.gather(*(one_after_another(count) for _ in range(at_once)))
    spent = time.process_time_ns() - before
    for answer in answers:
        for each in answer:
            check_completion(each, script)
    return spent / 1000 / (at_once * count)


async def chunks(client: Client, *, streams: int, count: int, rate: int) -> float:
    """CPU time of one chunk of a stream, in µs; its share of the request is in it."""
    scripts = [Script(stream=each, chunks=count, rate=rate) for each in range(streams)]
    before = time.process_time_ns()
    answers = await asyncio.gather(
        *(_whole(client, _body(script, stream=True)) for script in scripts)
    )
    spent = time.process_time_ns() - before
    for answer, script in zip(answers, scripts, strict=True):
        check_stream(answer, script)
    return spent / 1000 / (streams * count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of traffic, and what its CPU time is divided by."""

    name: str
    unit: str
    run: Callable[[Client], Awaitable[float]]


def loads(scale: int) -> Sequence[Load]:
    """All kinds of traffic; `scale` is their length."""

    def request(at_once: int, count: int) -> Load:
        run = partial(requests, at_once=at_once, count=count * scale)
        return Load(name=f"requests, {at_once} at once", unit="µs/request", run=run)

    paced = partial(chunks, streams=32, count=25 * scale, rate=50)
    flood = partial(chunks, streams=16, count=500 * scale, rate=0)
    return (
        request(1, 60),
        request(16, 8),
        request(64, 4),
        Load(name="paced 32 × 50/s", unit="µs/chunk", run=paced),
        Load(name="flood 16", unit="µs/chunk", run=flood),
    )


def measure(port: int, plan: Sequence[Load], rounds: int) -> list[Row]:
    """Let the clients take turns; a row compares one of them with the first, load by load."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"

    async def sample(opened: Opened, load: Load) -> float:
        async with asyncio.timeout(_LIMIT), opened(url) as client:
            return await load.run(client)

    samples: dict[tuple[str, Load], list[float]] = {}
    for turn in range(rounds):
        print(f"round {turn + 1} of {rounds}", file=sys.stderr)
        for load in plan:
            for name, opened in CLIENTS:
                spent = uvloop.run(sample(opened, load))
                samples.setdefault((name, load), []).append(spent)
    (base, _), *others = CLIENTS
    return [
        Row(
            name=f"{name}: {load.name}",
            unit=load.unit,
            product=tuple(samples[name, load]),
            base_name=base,
            base=tuple(samples[base, load]),
        )
        for load in plan
        for name, _ in others
    ]


def main() -> int:
    """Exit code 0 if every byte that came was right, 1 if not."""
    parser = argparse.ArgumentParser("python -m benchmarks.http_clients", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    options = parser.parse_args()
    if sys.platform != "linux":
        parser.error("the benchmark pins its programs to CPUs, which only Linux lets it do")
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.servers})
    plan, rounds = (loads(1), 2) if options.quick else (loads(4), 5)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="lingma-bench-") as folder,
            running_sse_upstream(Path(folder), cores) as port,
        ):
            print(table(measure(port, plan, rounds)))
    except (BenchmarkError, TimeoutError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
