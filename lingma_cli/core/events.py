"""The seven-word alphabet that every engine speaks and every encoder reads.

Grammar of a sealed stream (see `grammar`):

    Started (BlockOpened BlockDelta* BlockClosed | UsageReported)* (Finished | Failed)

with one block open at a time. Engines may be looser: they may leave out brackets, the
beginning and the end; `blocks` and `grammar` add what is missing, once, for everybody.

One of them is made for each piece of each answer, so they are msgspec structs outside the garbage
collector's view: that made a measured fifth of a chunk's cost. Not so `Failed`: its error leads to
frames that may hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import msgspec

from lingma_cli.errors import LingmaError


class BlockKind(Enum):
    """What a block holds."""

    TEXT = "text"
    REASONING = "reasoning"
    TOOL_CALL = "tool_call"


class FinishReason(Enum):
    """Why a stream ended well."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one exchange; `estimated` when they are ours and not the engine's."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    estimated: bool = False


class Started(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The engine took the request.

    `model` is the name it serves it under, `input_tokens` an estimate of the prompt's size.
    """

    model: str
    input_tokens: int = 0


class BlockOpened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A block begins; a tool call brings its id and name, other kinds leave them empty."""

    kind: BlockKind
    call_id: str = ""
    name: str = ""


class BlockDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A piece of the open block: text, reasoning text, or JSON text of a call's arguments."""

    kind: BlockKind
    text: str


class BlockClosed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The open block is complete."""


class UsageReported(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Token counts; a later report replaces an earlier one."""

    usage: Usage


class Finished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The stream ended well; `stop_sequence` is the one that ended it, if one did."""

    reason: FinishReason
    stop_sequence: str | None = None


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The stream ended badly; what was sent before stays."""

    error: LingmaError


ChatEvent = Started | BlockOpened | BlockDelta | BlockClosed | UsageReported | Finished | Failed
