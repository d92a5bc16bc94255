"""Transcripts for boxes without I/O: what goes in, what comes out, read like a play."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec

from lingma_cli.core.events import BlockDelta, BlockKind, ChatEvent, Failed, Finished
from lingma_cli.engines.lingma.answer import Answer
from lingma_cli.engines.lingma.pushes import chat_push

# One line of a transcript: `text …` and `reasoning …` (neighbours joined), or how it ended.
Line = tuple[str, str]


def answered(*pushes: tuple[str, dict[str, Any]], replaceable: bool = False) -> list[Line]:
    """Feed pushes of one request to an answer and return what its client would see."""
    answer = Answer("m", replaceable=replaceable)
    return transcript(
        [
            event
            for method, params in pushes
            for event in answer.read(method, chat_push(msgspec.json.encode(params)))
        ]
    )


def transcript(events: list[ChatEvent]) -> list[Line]:
    """Return events as lines; brackets, beginnings and usage are left out."""
    lines = [line for event in events if (line := _line(event))]
    return [
        (kind, "".join(text for _, text in group))
        for kind, group in groupby(lines, key=lambda line: line[0])
    ]


def _line(event: ChatEvent) -> Line | None:
    match event:
        case BlockDelta(kind=BlockKind.TEXT, text=text):
            return "text", text
        case BlockDelta(kind=kind, text=text):
            return kind.value, text
        case Finished(reason=reason):
            return "finished", reason.value
        case Failed(error=error):
            return "failed", error.kind.value
        case _:
            return None
