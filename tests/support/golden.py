"""Golden wire cases: one plain file with a request, an engine's events, and what goes out.

A file has the sections `--- request`, `--- events`, `--- sse` and `--- json`; what stands before
the first is a comment. An event is a line: a word and its JSON values, see `_READERS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
    Usage,
    UsageReported,
)
from lingma_cli.errors import ErrorKind, LingmaError

FOLDER: Final = Path(__file__).parents[1] / "golden"

_READERS: Final[Mapping[str, Callable[..., ChatEvent]]] = {
    "started": lambda model: Started(model=model),
    "text": lambda text: BlockDelta(kind=BlockKind.TEXT, text=text),
    "reasoning": lambda text: BlockDelta(kind=BlockKind.REASONING, text=text),
    "call": lambda id_, name: BlockOpened(kind=BlockKind.TOOL_CALL, call_id=id_, name=name),
    "arguments": lambda text: BlockDelta(kind=BlockKind.TOOL_CALL, text=text),
    "closed": BlockClosed,
    "usage": lambda input_, output, reasoning: UsageReported(
        usage=Usage(input_tokens=input_, output_tokens=output, reasoning_tokens=reasoning)
    ),
    "finished": lambda reason, stop=None: Finished(reason=FinishReason(reason), stop_sequence=stop),
    "failed": lambda kind, message: Failed(error=LingmaError(ErrorKind(kind), message)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file.

    Attributes:
        request: the client's body.
        events: what the engine gave, loosely bracketed.
        sse: every byte of the stream.
        json: the body of the whole answer, or of the error.
    """

    request: bytes
    events: list[ChatEvent]
    sse: bytes
    json: Any


def case_files(protocol: str) -> list[Path]:
    """Return the files of one protocol."""
    return sorted((FOLDER / protocol).glob("*.case"))


def read_case(path: Path) -> Case:
    """Read one file."""
    _, *pieces = re.split(r"(?m)^--- (\w+)\n", path.read_text(encoding="utf-8"))
    sections = dict(zip(pieces[::2], pieces[1::2], strict=True))
    return Case(
        request=sections["request"].encode(),
        events=[_event(line) for line in sections["events"].splitlines()],
        sse=sections["sse"].encode(),
        json=json.loads(sections["json"]),
    )


def _event(line: str) -> ChatEvent:
    word, _, values = line.partition(" ")
    return _READERS[word](*json.loads(f"[{values}]"))
