"""The law of the stream: one beginning, exactly one end, whatever dies in between.

`Seal` is fed what an engine gave, in batches, and returns a stream that obeys the grammar in
`events`, and whose good end says `TOOL_CALLS` if and only if it has calls, unless it was cut.
`close` ends a stream that has not ended by itself; after the end everything is dropped.
Encoders see only sealed streams, so "the stream always completes" is proved here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingma_cli.core.blocks import BlockBrackets
from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
)
from lingma_cli.errors import ErrorKind, LingmaError


class Seal:
    """Makes any sequence of events a sentence of the grammar.

    Args:
        model: the name for a `Started` that the engine forgot.
        input_tokens: an estimate of the prompt's size, told in every `Started`.
    """

    def __init__(self, model: str, input_tokens: int = 0) -> None:
        self._model = model
        self._input_tokens = input_tokens
        self._brackets = BlockBrackets()
        self._started = False
        self._has_calls = False
        self.ended = False

    def feed(self, events: Iterable[ChatEvent]) -> list[ChatEvent]:
        """Return the next lawful events; nothing once the stream has ended."""
        lawful: list[ChatEvent] = []
        for event in self._brackets.feed(events):
            if self.ended:
                break
            if isinstance(event, Started):
                if not self._started:
                    self._started = True
                    lawful.append(self._beginning(event.model))
                continue
            if not self._started:
                self._started = True
                lawful.append(self._beginning(self._model))
            if isinstance(event, BlockOpened):
                self._has_calls |= event.kind is BlockKind.TOOL_CALL
            lawful.append(self._ending(event) if isinstance(event, Finished) else event)
            self.ended = isinstance(event, Finished | Failed)
        return lawful

    def _beginning(self, model: str) -> Started:
        return Started(model=model, input_tokens=self._input_tokens)

    def _ending(self, finished: Finished) -> Finished:
        """Return the end that fits the calls: clients run them only when it says so."""
        is_called = finished.reason is FinishReason.TOOL_CALLS
        if finished.reason is FinishReason.LENGTH or is_called == self._has_calls:
            return finished
        reason = FinishReason.TOOL_CALLS if self._has_calls else FinishReason.STOP
        return Finished(reason=reason)

    def close(self, error: LingmaError | None = None) -> list[ChatEvent]:
        """End the stream: with `error`, or as an engine that just stopped.

        Returns:
            The closing events, empty when the stream had already ended.
        """
        if self.ended:
            return []
        return self.feed([Failed(error=error or broken_off())])


def failed_early(batch: Iterable[ChatEvent]) -> LingmaError | None:
    """Return what an answer failed with that had nothing to say; told by its first events."""
    for event in batch:
        match event:
            case BlockOpened() | BlockDelta() | Finished():
                return None
            case Failed(error=error):
                return error
            case _:
                pass
    return None


def broken_off() -> LingmaError:
    """Return the error of an engine that just stopped."""
    return LingmaError(ErrorKind.ENGINE_FAILED, "the engine stopped before it finished the answer")
