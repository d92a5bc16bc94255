"""A whole answer as a fold over its stream: the only way a non-streaming body is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

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
from lingma_cli.errors import LingmaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One complete block; `text` is the arguments' JSON text for a tool call."""

    kind: BlockKind
    text: str
    call_id: str = ""
    name: str = ""


@dataclass(slots=True, kw_only=True)
class Collector:
    """Folds sealed events; `error` or `finished` is set once the stream has ended."""

    model: str = ""
    blocks: list[Block] = field(default_factory=list)
    usage: Usage | None = None
    input_tokens: int = 0
    finished: Finished | None = None
    error: LingmaError | None = None
    _opened: BlockOpened | None = None
    _pieces: list[str] = field(default_factory=list)

    def feed(self, events: Iterable[ChatEvent]) -> None:
        """Add the next events of a sealed stream."""
        for event in events:
            match event:
                case BlockDelta(text=text):
                    self._pieces.append(text)
                case BlockOpened():
                    self._opened = event
                case BlockClosed():
                    self._close_block()
                case Started(model=model, input_tokens=input_tokens):
                    self.model, self.input_tokens = model, input_tokens
                case UsageReported(usage=usage):
                    self.usage = usage
                case Finished():
                    self.finished = event
                case Failed(error=error):
                    self.error = error

    @property
    def has_ended(self) -> bool:
        """Whether the stream is complete."""
        return self.finished is not None or self.error is not None

    @property
    def reason(self) -> FinishReason:
        """Why the stream ended well; `STOP` until it has."""
        return self.finished.reason if self.finished is not None else FinishReason.STOP

    def _close_block(self) -> None:
        if self._opened is None:
            return
        opened, text = self._opened, "".join(self._pieces)
        self.blocks.append(
            Block(kind=opened.kind, text=text, call_id=opened.call_id, name=opened.name)
        )
        self._opened = None
        self._pieces.clear()

    def text(self, kind: BlockKind = BlockKind.TEXT) -> str:
        """Return the text of all blocks of `kind`, joined."""
        return "".join(block.text for block in self.blocks if block.kind is kind)
