"""Notes: what was dropped, degraded, estimated or emulated, in one closed list of codes.

The codes go out in the header `x-lingma-notes` and, with their sentence, into the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final


class NoteCode(Enum):
    """What can happen to a request or an answer; `MEANINGS` tells each in a sentence."""

    ANSWER_REWRITTEN = "answer_rewritten"
    BACKGROUND_IGNORED = "background_ignored"
    CALL_ARGUMENTS_REPAIRED = "call_arguments_repaired"
    CALLS_DROPPED = "calls_dropped"
    FIELDS_IGNORED = "fields_ignored"
    MAX_TOKENS_ESTIMATED = "max_tokens_estimated"
    MEDIA_DROPPED = "media_dropped"
    MODEL_FALLBACK = "model_fallback"
    NAME_DROPPED = "name_dropped"
    NOT_STORED = "not_stored"
    PARKED_ASK_LOST = "parked_ask_lost"
    PART_DROPPED = "part_dropped"
    REASONING_DROPPED = "reasoning_dropped"
    REASONING_EFFORT_IGNORED = "reasoning_effort_ignored"
    REASONING_HIDDEN = "reasoning_hidden"
    RESPONSE_FORMAT_EMULATED = "response_format_emulated"
    RESPONSE_FORMAT_UNMET = "response_format_unmet"
    RESULT_MISSING = "result_missing"
    RESULT_ORPHANED = "result_orphaned"
    SAMPLING_IGNORED = "sampling_ignored"
    TEXT_JOINED = "text_joined"
    TOOL_CHOICE_IGNORED = "tool_choice_ignored"
    TOOL_CHOICE_UNMET = "tool_choice_unmet"
    TOOL_DEFERRED = "tool_deferred"
    TOOL_DROPPED = "tool_dropped"
    TOOL_RAN_UPSTREAM = "tool_ran_upstream"
    TOOL_REFUSED = "tool_refused"
    TOOL_RETRIED = "tool_retried"
    TOOLS_EMULATED = "tools_emulated"
    TOOLS_OFF = "tools_off"
    TOOLS_SHORTENED = "tools_shortened"
    USAGE_ESTIMATED = "usage_estimated"


MEANINGS: Final[Mapping[NoteCode, str]] = MappingProxyType(
    {
        NoteCode.ANSWER_REWRITTEN: "the engine replaced text that had already been sent",
        NoteCode.BACKGROUND_IGNORED: "the response was made at once, not in the background",
        NoteCode.CALL_ARGUMENTS_REPAIRED: "a call's arguments were no valid JSON and were mended",
        NoteCode.CALLS_DROPPED: "calls beyond the allowed number were left out",
        NoteCode.FIELDS_IGNORED: "fields of the request that are not forwarded",
        NoteCode.MAX_TOKENS_ESTIMATED: "the answer was cut at an estimate of the token limit",
        NoteCode.MEDIA_DROPPED: "images, sounds or files became placeholders",
        NoteCode.MODEL_FALLBACK: "the model's name is not known, the default model serves",
        NoteCode.NAME_DROPPED: "speakers' names are not forwarded",
        NoteCode.NOT_STORED: "the response could not be stored",
        NoteCode.PARKED_ASK_LOST: "the waiting ask was gone, so the conversation was sent again",
        NoteCode.PART_DROPPED: "a part of a message that is not known was left out",
        NoteCode.REASONING_DROPPED: "reasoning of earlier turns is not sent again",
        NoteCode.REASONING_EFFORT_IGNORED: "the engine takes no reasoning effort",
        NoteCode.REASONING_HIDDEN: "the model's reasoning is not shown, as the request asks",
        NoteCode.RESPONSE_FORMAT_EMULATED: (
            "the output format was asked for in the prompt; the answer is checked but for patterns"
        ),
        NoteCode.RESPONSE_FORMAT_UNMET: "the answer does not fit the output format",
        NoteCode.RESULT_MISSING: "an earlier call has no result; one was made up that says so",
        NoteCode.RESULT_ORPHANED: "a result that belongs to no call is sent as plain text",
        NoteCode.SAMPLING_IGNORED: "the engine takes no sampling parameters",
        NoteCode.TEXT_JOINED: "text that came with tool results was joined to the last of them",
        NoteCode.TOOL_CHOICE_IGNORED: "the choice of tool could not be followed",
        NoteCode.TOOL_CHOICE_UNMET: "a call was demanded and the model gave none",
        NoteCode.TOOL_DEFERRED: "tools that the client defers are not offered to the model",
        NoteCode.TOOL_DROPPED: "a tool of a kind that cannot run here was left out",
        NoteCode.TOOL_RAN_UPSTREAM: "the engine ran a tool itself; its call is not passed on",
        NoteCode.TOOL_REFUSED: "the engine wanted to run a tool not on offer, and was refused",
        NoteCode.TOOL_RETRIED: "no call came at first, so the model was asked once more",
        NoteCode.TOOLS_EMULATED: "tools are described in the prompt, and calls read from the text",
        NoteCode.TOOLS_OFF: "tools are switched off and were not offered",
        NoteCode.TOOLS_SHORTENED: "long descriptions of tools were cut to fit into the prompt",
        NoteCode.USAGE_ESTIMATED: "token counts are an estimate",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One thing that happened, and the sentence that tells it in this case."""

    code: NoteCode
    text: str

    @classmethod
    def of(cls, code: NoteCode) -> Note:
        """Return a note that says no more than its code does."""
        return cls(code=code, text=MEANINGS[code])


def codes(notes: Iterable[Note]) -> tuple[str, ...]:
    """Return the codes of `notes`, each once, in the order of their first appearance."""
    return tuple(dict.fromkeys(note.code.value for note in notes))
