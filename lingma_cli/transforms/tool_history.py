"""Calls and results of earlier turns, made whole: each call is followed by exactly one result.

Clients shorten, join and retry conversations, and leave calls without results and results without
calls; engines refuse both. A result is looked for anywhere after its call and moved behind it, so
that the results of parallel calls stand together in one turn.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from lingma_cli.core.chat import (
    Message,
    Part,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode

_NO_RESULT: Final = "no result of this call was given"
# Where a part stands: the index of its turn, and its own in that turn.
_Place = tuple[int, int]


def repaired(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Note, ...]]:
    """Return the turns with calls and results in pairs, and what that took.

    A call without a result gets one that says so; a result without a call becomes the user's text;
    ids that are used twice, or are empty, become unique. Pure, and nothing is left for a second
    time.
    """
    pairs = _Pairs(messages)
    turns: list[Message] = []
    notes: list[Note] = []
    for index, message in enumerate(messages):
        turns += _turn(index, message, pairs, notes)
        if answers := tuple(_answers(index, message, pairs, notes)):
            turns.append(Message(role=Role.TOOL, parts=answers))
    return tuple(turns), tuple(notes)


class _Pairs:
    """Which result answers which call, and the unique id of each call."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.ids: dict[_Place, str] = {}
        self.results: dict[_Place, ToolOutputPart] = {}
        self.paired: set[_Place] = set()
        self._taken = {
            part.call_id
            for message in messages
            for part in message.parts
            if isinstance(part, ToolUsePart | ToolOutputPart)
        }
        self._used: set[str] = set()
        self._counts: defaultdict[str, int] = defaultdict(lambda: 2)
        waiting: defaultdict[str, deque[_Place]] = defaultdict(deque)
        for turn, message in enumerate(messages):
            for index, part in enumerate(message.parts):
                place = turn, index
                if isinstance(part, ToolUsePart):
                    self.ids[place] = self._unique(part.call_id)
                    calls = waiting[part.call_id]
                    if calls and calls[0][0] != turn:
                        # A later turn that uses an id again takes the results from now on.
                        calls.clear()
                    calls.append(place)
                elif isinstance(part, ToolOutputPart) and waiting[part.call_id]:
                    self.results[waiting[part.call_id].popleft()] = part
                    self.paired.add(place)

    def _unique(self, call_id: str) -> str:
        candidate = call_id
        while not candidate or candidate in self._used:
            candidate = f"{call_id or 'call'}_{self._counts[call_id]}"
            self._counts[call_id] += 1
            if candidate in self._taken:
                candidate = ""
        self._used.add(candidate)
        return candidate


def _turn(index: int, message: Message, pairs: _Pairs, notes: list[Note]) -> Iterator[Message]:
    """Yield the turn without results, after one of the user's that tells of those without call."""
    kept: list[Part] = []
    orphans: list[Part] = []
    for at, part in enumerate(message.parts):
        match part:
            case ToolUsePart():
                kept.append(replace(part, call_id=pairs.ids[index, at]))
            case ToolOutputPart(call_id=call_id):
                if (index, at) not in pairs.paired:
                    orphans += _as_text(part)
                    sentence = f"a result belongs to no call: {call_id!r}"
                    notes.append(Note(code=NoteCode.RESULT_ORPHANED, text=sentence))
            case _:
                kept.append(part)
    if orphans:
        yield Message(role=Role.USER, parts=tuple(orphans))
    if kept or not message.parts:
        yield Message(role=message.role, parts=tuple(kept))


def _as_text(output: ToolOutputPart) -> Iterator[Part]:
    outcome = "error" if output.is_error else "result"
    yield TextPart(text=f"Tool {outcome} for id {output.call_id}:\n{output.text}")
    yield from output.media


def _answers(
    index: int, message: Message, pairs: _Pairs, notes: list[Note]
) -> Iterator[ToolOutputPart]:
    """Yield the results of the turn's calls, in the order of the calls."""
    for at, part in enumerate(message.parts):
        if not isinstance(part, ToolUsePart):
            continue
        call_id = pairs.ids[index, at]
        result = pairs.results.get((index, at))
        if result is None:
            result = ToolOutputPart(call_id=call_id, text=_NO_RESULT, is_error=True)
            sentence = f"a call has no result: {part.name} {call_id!r}"
            notes.append(Note(code=NoteCode.RESULT_MISSING, text=sentence))
        yield replace(result, call_id=call_id)
