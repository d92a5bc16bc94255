"""The results that a request brings back for calls of the turn before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lingma_cli.core.chat import (
    MediaPart,
    Message,
    Part,
    Role,
    TextPart,
    ToolOutputPart,
    ToolUsePart,
)
from lingma_cli.core.notes import Note, NoteCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What stands at the end of a conversation.

    Attributes:
        results: all of the conversation, by call id.
        latest: ids of those that follow the last assistant turn.
        earlier: ids of all calls of the conversation that have no result among the latest.
        notes: what had to be degraded.
    """

    results: Mapping[str, ToolOutputPart]
    latest: frozenset[str]
    earlier: frozenset[str]
    notes: tuple[Note, ...]


def returned(messages: Sequence[Message]) -> Returned:
    """Return the results in `messages`; what was said beside the latest goes into the last."""
    spoken = [index for index, turn in enumerate(messages) if turn.role is Role.ASSISTANT]
    tail = messages[spoken[-1] + 1 :] if spoken else ()
    latest = _results(tail)
    everything = _results(messages)
    notes: list[Note] = []
    if any(result.media for result in everything.values()):
        notes.append(Note.of(NoteCode.MEDIA_DROPPED))
        everything = {call_id: _as_text(result) for call_id, result in everything.items()}
    words = "\n\n".join(text for turn in tail for part in turn.parts if (text := _said(part)))
    if latest and words:
        notes.append(Note.of(NoteCode.TEXT_JOINED))
        last = everything[list(latest)[-1]]
        everything[last.call_id] = replace(last, text=f"{last.text}\n\nThe user adds:\n{words}")
    calls = {
        part.call_id for turn in messages for part in turn.parts if isinstance(part, ToolUsePart)
    }
    return Returned(
        results=everything,
        latest=frozenset(latest),
        earlier=frozenset(calls - latest.keys()),
        notes=tuple(notes),
    )


def _results(messages: Sequence[Message]) -> dict[str, ToolOutputPart]:
    parts = [part for turn in messages for part in turn.parts]
    return {part.call_id: part for part in parts if isinstance(part, ToolOutputPart)}


def _said(part: Part) -> str:
    match part:
        case TextPart(text=text):
            return text
        case MediaPart(kind=kind):
            return f"[{kind.value}]"
        case _:
            return ""


def _as_text(result: ToolOutputPart) -> ToolOutputPart:
    placeholders = "".join(f"\n[{media.kind.value}]" for media in result.media)
    return replace(result, text=f"{result.text}{placeholders}".strip(), media=())
