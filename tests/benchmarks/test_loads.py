"""The loads, the pass-through and its upstream together, with a clock that is not real."""

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterator

import pytest

from benchmarks.errors import BenchmarkError, RecordError
from benchmarks.frames import completion, sse_stream
from benchmarks.loads import Flood, Load, Paced, Requests, measure
from benchmarks.processes import (
    System,
    choose_cores,
    cpu_time_ns,
    running_pass_through,
    running_sse_upstream,
)
from benchmarks.script import Script

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs CPU clocks and affinity")

TICK_NS = 2_400_000


@pytest.fixture(scope="module")
def pass_through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("systems")
    cores = choose_cores()
    with (
        running_sse_upstream(folder, cores) as port,
        running_pass_through(folder, cores, port) as system,
    ):
        yield system


def cost(load: Load, system: System) -> float:
    """Measure with a clock that advances by one tick between its two readings."""
    readings = itertools.count(0, TICK_NS)
    return asyncio.run(measure(load, system.port, lambda: next(readings)))


def test_flood_divides_by_all_chunks(pass_through: System) -> None:
    """Every chunk of every stream counts, and all records are right."""
    expected = 2400 / (4 * 300)

    assert expected == cost(Flood(streams=4, chunks=300), pass_through)


def test_requests_are_divided_by_their_number(pass_through: System) -> None:
    """The warming request of each connection does not count."""
    expected = 2400 / (3 * 4)

    assert expected == cost(Requests(connections=3, count=4), pass_through)


def test_paced_divides_by_the_chunks_seen_in_the_window(pass_through: System) -> None:
    """The divisor is a count, between none and all of the scripted chunks."""
    load = Paced(streams=4, window=0.1, rate=50)

    seen = 2400 / cost(load, pass_through)

    assert seen == pytest.approx(round(seen))
    assert 0 < seen < 4 * 30


async def measure_against(load: Load, answer: Callable[[bytes], bytes]) -> None:
    """Measure a server that gives one answer per connection, for the request it is shown."""
    handlers: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        writer.write(answer(await reader.read(65536)))
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        try:
            await measure(load, server.sockets[0].getsockname()[1], lambda: 0)
        finally:
            await asyncio.gather(*filter(None, handlers))


def test_an_answer_that_is_cut_ends_the_run() -> None:
    """A server that closes instead of answering is an error, not a figure."""
    load = Flood(streams=1, chunks=1)

    with pytest.raises(BenchmarkError, match="closed"):
        asyncio.run(
            measure_against(load, lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        )


@pytest.mark.parametrize(
    "load",
    [
        Flood(streams=2, chunks=3),
        Paced(streams=2, window=0.02, rate=50),
        Requests(connections=1, count=1),
    ],
    ids=str,
)
def test_wrong_records_end_the_run(load: Load) -> None:
    """Every kind of load checks what it got: here each answer is that of another stream."""
    other = Script(stream=99, chunks=3, rate=0)
    role, chunks, end = sse_stream(other)
    bodies = {True: b"".join([role, *chunks, end]), False: completion(other)}

    def answer(request: bytes) -> bytes:
        body = bodies[b'"stream":true' in request]
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)

    with pytest.raises(RecordError, match="s99"):
        asyncio.run(measure_against(load, answer))


def test_cpu_clock_of_a_process_advances_with_its_work(pass_through: System) -> None:
    """The clock belongs to the server and counts what it does."""
    before = cpu_time_ns(pass_through.pid)

    cost(Flood(streams=4, chunks=300), pass_through)

    assert cpu_time_ns(pass_through.pid) > before
