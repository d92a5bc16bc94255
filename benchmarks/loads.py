"""The kinds of traffic, and which stretch of CPU time is divided by what.

Every record is checked, after the clock has stopped. Must not know who is measured.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.client import Connection, Reply
from benchmarks.errors import BenchmarkError, RecordError
from benchmarks.records import check_completion, check_stream
from benchmarks.script import Script

_SETTLE = 0.25
_LIMIT = 30.0

CpuClock = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paced:
    """Streams of `rate` chunks per second each, observed for `window` seconds in their middle.

    With `ids` every push of the Lingma upstream demands an acknowledgement.
    """

    streams: int
    window: float
    rate: int = 50
    ids: bool = False

    def __str__(self) -> str:
        acknowledged = ", acknowledged" if self.ids else ""
        return f"paced {self.streams} × {self.rate}/s{acknowledged}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flood:
    """Streams whose chunks come all at once; the cost includes their requests."""

    streams: int
    chunks: int

    def __str__(self) -> str:
        return f"flood {self.streams} × {self.chunks}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Small non-streaming requests, one after the other on each keep-alive connection."""

    connections: int
    count: int

    def __str__(self) -> str:
        return f"requests, {self.connections} at once"


Load = Paced | Flood | Requests


def unit(load: Load) -> str:
    """What a load's CPU time is divided by."""
    return "µs/request" if isinstance(load, Requests) else "µs/chunk"


async def measure(load: Load, port: int, clock: CpuClock) -> float:
    """Run a load once; CPU time of the server, in µs per unit. `clock` counts nanoseconds.

    Raises:
        RecordError: if any record is not what it has to be.
        BenchmarkError: if an answer is cut or too late.
    """
    match load:
        case Paced():
            return await _paced(load, port, clock)
        case Flood():
            return await _flood(load, port, clock)
        case Requests():
            return await _requests(load, port, clock)


async def _paced(load: Paced, port: int, clock: CpuClock) -> float:
    chunks = int((load.window + 2 * _SETTLE) * load.rate)
    scripts = [
        Script(stream=number, chunks=chunks, rate=load.rate, ids=load.ids)
        for number in range(load.streams)
    ]
    async with _connections(port, load.streams) as connections:
        replies = _post_all(connections, scripts)
        await asyncio.sleep(_SETTLE)
        before, starts = clock(), [len(connection.parts) for connection in connections]
        await asyncio.sleep(load.window)
        spent, ends = clock() - before, [len(connection.parts) for connection in connections]
        await _check_streams(replies, scripts)
        marks = zip(connections, starts, ends, strict=True)
        seen = sum(each.events_between(start, end) for each, start, end in marks)
        if not seen:
            raise BenchmarkError("paced chunks were held back: none came in the window")
        return spent / 1000 / seen


async def _flood(load: Flood, port: int, clock: CpuClock) -> float:
    scripts = [Script(stream=number, chunks=load.chunks, rate=0) for number in range(load.streams)]
    async with _connections(port, load.streams) as connections:
        before = clock()
        replies = _post_all(connections, scripts)
        await asyncio.gather(*replies)
        spent = clock() - before
        await _check_streams(replies, scripts)
        return spent / 1000 / (load.streams * load.chunks)


async def _requests(load: Requests, port: int, clock: CpuClock) -> float:
    async with _connections(port, load.connections) as connections:
        await asyncio.gather(*(_complete(each, 1) for each in connections))
        before = clock()
        await asyncio.gather(*(_complete(each, load.count) for each in connections))
        return (clock() - before) / 1000 / (load.connections * load.count)


@asynccontextmanager
async def _connections(port: int, count: int) -> AsyncIterator[list[Connection]]:
    connections: list[Connection] = []
    try:
        async with asyncio.timeout(_LIMIT):
            connections.extend([await Connection.open(port) for _ in range(count)])
            yield connections
    except TimeoutError as error:
        raise BenchmarkError(f"no whole answer within {_LIMIT:.0f} s") from error
    finally:
        for connection in connections:
            connection.close()


async def _complete(connection: Connection, requests: int) -> None:
    script = Script(stream=0, chunks=1, rate=0)
    for _ in range(requests):
        check_completion(_body(await connection.post(script, stream=False)), script)


def _post_all(
    connections: Sequence[Connection], scripts: Sequence[Script]
) -> list[asyncio.Future[Reply]]:
    pairs = zip(connections, scripts, strict=True)
    return [connection.post(script, stream=True) for connection, script in pairs]


async def _check_streams(
    replies: Sequence[asyncio.Future[Reply]], scripts: Sequence[Script]
) -> None:
    for reply, script in zip(await asyncio.gather(*replies), scripts, strict=True):
        check_stream(_body(reply), script)


def _body(reply: Reply) -> bytes:
    if reply.status != 200:
        raise RecordError(f"status {reply.status}: {reply.body[:500]!r}")
    return reply.body
