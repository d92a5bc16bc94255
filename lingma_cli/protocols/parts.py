"""What the protocols read alike: results among a turn's parts, and where a block has its bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from lingma_cli.core.chat import MediaPart, Message, Part, Role, TextPart, ToolOutputPart


class BlockSource(msgspec.Struct):
    """Where an Anthropic block has its bytes; some editors put such blocks into OpenAI's bodies."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None

    @property
    def reference(self) -> str:
        """The bytes as a data URL, else where they are; empty when nothing is said."""
        if self.data is not None:
            return f"data:{self.media_type or ''};base64,{self.data}"
        return self.url or self.file_id or ""


def by_speaker(role: Role, parts: Iterable[Part]) -> Iterator[Message]:
    """Yield the turns in `parts` of `role`: results of tools are turns of their own."""
    held = list(parts)
    if not held:
        yield Message(role=role, parts=())
    for is_output, group in groupby(held, lambda part: isinstance(part, ToolOutputPart)):
        yield Message(role=Role.TOOL if is_output else role, parts=tuple(group))


def tool_output(call_id: str, parts: Iterable[Part], *, is_error: bool = False) -> ToolOutputPart:
    """Return what a tool answered: the texts in `parts` as lines, and the media."""
    held = list(parts)
    return ToolOutputPart(
        call_id=call_id,
        text="\n".join(part.text for part in held if isinstance(part, TextPart)),
        media=tuple(part for part in held if isinstance(part, MediaPart)),
        is_error=is_error,
    )
