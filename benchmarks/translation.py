"""`python -m benchmarks.translation`: an engine's event bytes translated, against passed on.

Both sides get the same stream in the same pieces, without sockets. Translated means what the
product does: bytes to events, sealed, counted, and to bytes again. Passed on means the least that
a careful pass-through may do: cut into events, and look for what it must not let through.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.frames import sse_stream
from benchmarks.report import Row, table
from benchmarks.script import Script
from lingma_cli.core.chat import ChatRequest, Message, Role, TextPart
from lingma_cli.core.grammar import Seal
from lingma_cli.engines.openai_http.answer import AnswerReader
from lingma_cli.engines.openai_http.endings import Endings
from lingma_cli.protocols.openai_chat import Encoder
from lingma_cli.secret import Redactor
from lingma_cli.transforms.counting import UsageCounter

_CHUNKS = 5000
_ROUNDS = 9
_TURN = Message(role=Role.USER, parts=(TextPart(text="hi"),))
_REQUEST = ChatRequest(model="m", messages=(_TURN,), stream=True)


def translate(pieces: Sequence[bytes]) -> bytes:
    """Bytes to events to bytes."""
    reader = AnswerReader(_REQUEST, Endings("e", Redactor()), lambda: "0")
    seal, counter = Seal("m"), UsageCounter(1)
    encoder = Encoder(_REQUEST, response_id="r", created=0)
    told = [encoder.feed(seal.feed(counter.feed(reader.feed(piece)))) for piece in pieces]
    return b"".join(told)


def pass_on(pieces: Sequence[bytes]) -> bytes:
    """Bytes to the same bytes, event by event."""
    rest, told = b"", []
    for piece in pieces:
        *events, rest = (rest + piece).split(b"\n\n")
        passed = [
            event
            for event in events
            if b'"error"' not in event and b'"usage":{' not in event and event[:6] == b"data: "
        ]
        told.append(b"\n\n".join([*passed, b""]))
    return b"".join(told)


def _cost(run: Callable[[Sequence[bytes]], bytes], pieces: Sequence[bytes]) -> float:
    before = time.process_time_ns()
    said = run(pieces)
    spent = time.process_time_ns() - before
    if said.count(b"data: ") < _CHUNKS:
        raise SystemExit("chunks are missing")
    return spent / 1000 / _CHUNKS


def main() -> int:
    """Print the costs in µs per chunk, for pieces of one event and of many."""
    role, events, end = sse_stream(Script(stream=0, chunks=_CHUNKS, rate=0))
    rows = []
    for size in (1, 32):
        blocks = [b"".join(events[at : at + size]) for at in range(0, _CHUNKS, size)]
        pieces = [role, *blocks, end]
        pairs = [(_cost(translate, pieces), _cost(pass_on, pieces)) for _ in range(_ROUNDS)]
        ours, theirs = zip(*pairs, strict=True)
        name = f"{size} at a time"
        rows.append(
            Row(name=name, unit="µs/chunk", product=ours, base_name="passed on", base=theirs)
        )
    print(table(rows))
    added = [statistics.median(row.product) - statistics.median(row.base) for row in rows]
    print("saved by passing on: " + ", ".join(f"{each:.1f} µs" for each in added))
    return 0


if __name__ == "__main__":
    sys.exit(main())
