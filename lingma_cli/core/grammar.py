"""The law of the stream: one beginning, exactly one end, whatever dies in between.

`Seal` is fed what an engine gave, in batches, and returns a stream that obeys the grammar in
`events`. `close` ends a stream that has not ended by itself; after the end everything is dropped.
Encoders see only sealed streams, so "the stream always completes" is proved here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingma_cli.core.blocks import BlockBrackets
from lingma_cli.core.events import ChatEvent, Failed, Finished, Started
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
            lawful.append(event)
            self.ended = isinstance(event, Finished | Failed)
        return lawful

    def _beginning(self, model: str) -> Started:
        return Started(model=model, input_tokens=self._input_tokens)

    def close(self, error: LingmaError | None = None) -> list[ChatEvent]:
        """End the stream: with `error`, or as an engine that just stopped.

        Returns:
            The closing events, empty when the stream had already ended.
        """
        if self.ended:
            return []
        return self.feed([Failed(error=error or broken_off())])


def broken_off() -> LingmaError:
    """Return the error of an engine that just stopped."""
    return LingmaError(ErrorKind.ENGINE_FAILED, "the engine stopped before it finished the answer")
