"""The plain HTTP upstream of the pass-through: ready-made OpenAI bytes at a script's pace.

Streams end with their connection, JSON bodies keep it open; the pass-through relies on this.
Runs as a program of its own.
"""

import asyncio
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import uvloop

from benchmarks.frames import completion, sse_stream
from benchmarks.metronome import Metronome
from benchmarks.player import Player
from benchmarks.port_file import announce
from benchmarks.script import Script

_SIZE = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
_BODY_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"


class SseConnection(Player):
    """One HTTP client that sends one request after the other."""

    def __init__(self, metronome: Metronome) -> None:
        super().__init__(metronome)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, _, body = self._buffer.partition(b"\r\n\r\n")
        size = _SIZE.search(head + b"\r\n")
        if size is None or len(body) < int(size[1]):
            return
        self._buffer = b""
        script = Script.find(body) or Script(stream=0, chunks=1, rate=0)
        if b'"stream":true' in body:
            self.spawn(self._stream(script))
        else:
            answer = completion(script)
            self.write(_BODY_HEAD % len(answer) + answer)

    async def _stream(self, script: Script) -> None:
        role, events, end = sse_stream(script)
        self.write(_STREAM_HEAD + role)
        await self.play(script, events)
        self.write(end)
        if self._transport is not None:
            self._transport.close()


async def serve(port_file: Path) -> None:
    """Serve on a free port of loopback, named in the file, until the parent process is gone."""
    loop = asyncio.get_running_loop()
    parent = os.getppid()
    with Metronome() as metronome:
        server = await loop.create_server(lambda: SseConnection(metronome), "127.0.0.1", 0)
        announce(port_file, server.sockets[0].getsockname()[1])
        while os.getppid() == parent:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
        server.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        uvloop.run(serve(Path(sys.argv[1])))
