"""The results that a request brings back for calls of the turn before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lingma_cli.core.chat import Message, Role, TextPart, ToolOutputPart, ToolUsePart
from lingma_cli.core.notes import Note, NoteCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What stands at the end of a conversation.

    Attributes:
        results: by call id, those that follow the last assistant turn.
        earlier: ids of all calls of the conversation that have no result among those.
        notes: what had to be degraded.
    """

    results: Mapping[str, ToolOutputPart]
    earlier: frozenset[str]
    notes: tuple[Note, ...]


def returned(messages: Sequence[Message]) -> Returned:
    """Return the results at the end of `messages`; words that came with them go into the last."""
    turns = list(messages)
    spoken = [index for index, turn in enumerate(turns) if turn.role is Role.ASSISTANT]
    tail = turns[spoken[-1] + 1 :] if spoken else []
    parts = [part for turn in tail for part in turn.parts]
    results = {part.call_id: part for part in parts if isinstance(part, ToolOutputPart)}
    words = "\n\n".join(part.text for part in parts if isinstance(part, TextPart) and part.text)
    notes: list[Note] = []
    if any(result.media for result in results.values()):
        notes.append(Note.of(NoteCode.MEDIA_DROPPED))
        results = {call_id: _as_text(result) for call_id, result in results.items()}
    if results and words:
        notes.append(Note.of(NoteCode.TEXT_JOINED))
        last = list(results.values())[-1]
        results[last.call_id] = replace(last, text=f"{last.text}\n\nThe user adds:\n{words}")
    calls = {part.call_id for turn in turns for part in turn.parts if isinstance(part, ToolUsePart)}
    return Returned(results=results, earlier=frozenset(calls - results.keys()), notes=tuple(notes))


def _as_text(result: ToolOutputPart) -> ToolOutputPart:
    placeholders = "".join(f"\n[{media.kind.value}]" for media in result.media)
    return replace(result, text=f"{result.text}{placeholders}".strip(), media=())
