"""A server connection that plays records at the pace of a script.

Owns pace and back pressure. Must not know what the records say.
"""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import cast

from benchmarks.metronome import Metronome
from benchmarks.script import Script

_BLOCK = 32
_GOLDEN = 0.618033988749895


class Player(asyncio.Protocol):
    """Base of both scripted upstreams: a transport, its tasks, and `play`."""

    def __init__(self, metronome: Metronome) -> None:
        self._metronome = metronome
        self._transport: asyncio.Transport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._writable.set()
        for task in self._tasks:
            task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def write(self, payload: bytes) -> None:
        """Write bytes, unless the connection has gone."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(payload)

    def spawn(self, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run a task that ends with the connection at the latest."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def play(self, script: Script, records: Sequence[bytes]) -> None:
        """Write the records: evenly spaced, or in blocks that alternate between streams."""
        if script.rate:
            # Streams of real users do not tick together: spread their phases evenly.
            start = time.monotonic() + (script.stream * _GOLDEN % 1) / script.rate
            for position, record in enumerate(records):
                await self._metronome.until(start + position / script.rate)
                self.write(record)
        else:
            for block in range(0, len(records), _BLOCK):
                self.write(b"".join(records[block : block + _BLOCK]))
                await asyncio.sleep(0)
                await self._writable.wait()
