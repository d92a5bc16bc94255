"""One answer: the binary's pushes in, chat events out, without I/O.

Source: Lingma local protocol, "Pushes during a chat" and the conflicts about `fullAnswer`,
`overwrite`, `statusCode` and `text` or `content`.
"""

from __future__ import annotations

from typing import Final

from lingma_cli.core.events import (
    BlockDelta,
    BlockKind,
    ChatEvent,
    Failed,
    Finished,
    FinishReason,
    Started,
)
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.engines.lingma.endings import failure, filtered
from lingma_cli.engines.lingma.markers import MarkerReader, Piece
from lingma_cli.engines.lingma.pushes import ChatPush
from lingma_cli.errors import LingmaError

_REWRITTEN: Final = Note.of(NoteCode.ANSWER_REWRITTEN)


class Answer:
    """What is known of one answer.

    Args:
        model: the name the stream is served under.
        replaceable: hold everything back until the end, so that a replaced text never shows;
            for callers that get the answer as a whole anyway.
    """

    def __init__(self, model: str, *, replaceable: bool) -> None:
        self._model = model
        self._replaceable = replaceable
        self._reader = MarkerReader()
        # Of the answer as it stands now, what the client has.
        self._shown: dict[BlockKind, list[str]] = {BlockKind.REASONING: [], BlockKind.TEXT: []}
        self._held: list[BlockDelta] = []
        self._started = False
        self.ended = False
        self.notes: list[Note] = []

    @property
    def tool_names(self) -> dict[str, str]:
        """Tool call ids and names that markers in the text have told; the reader may clear it."""
        return self._reader.tool_names

    def begin_turn(self, *, replaceable: bool) -> None:
        """Go on for another client request."""
        self._replaceable = replaceable
        self._started = False
        self.notes = []

    def end_turn(self) -> list[ChatEvent]:
        """Return what was held back; the answer itself is not over."""
        return self._released()

    def read(self, method: str, push: ChatPush) -> list[ChatEvent]:
        """Return the events that `push` makes certain; none once the answer has ended."""
        if self.ended:
            return []
        match method:
            case "chat/answer" if push.is_damaged:
                return self.fail(failure(None, "a piece of the answer could not be read"))
            case "chat/answer" | "chat/filterTimeout" if push.isFiltered or "Timeout" in method:
                return self.fail(filtered())
            case "chat/answer" if push.overwrite:
                return self._overwrite(push.piece)
            case "chat/answer":
                return self._go_on(self._reader.feed(push.piece))
            case "chat/think":
                return self._go_on([(BlockKind.REASONING, push.piece)])
            case "chat/finish":
                return self._finish(push)
            case "error" | "fatal_error":
                return self.fail(failure(None, _complaint(push)))
            case _:
                return []

    def fail(self, error: LingmaError) -> list[ChatEvent]:
        """End the answer with `error`; what was held back still comes before it."""
        if self.ended:
            return []
        last = self._go_on(self._reader.close())
        self.ended = True
        return [*self._released(), *last, Failed(error=error)]

    def _finish(self, push: ChatPush) -> list[ChatEvent]:
        if push.statusCode not in (None, 200):
            return self.fail(failure(push.statusCode, push.reason or ""))
        if push.reason == "cancelled":
            # quirk: a cancel by somebody else arrives as a success.
            return self.fail(failure(push.statusCode, "the answer was cancelled in Lingma"))
        last = self._go_on(self._reader.close())
        last += self._go_on(self._missing(push.fullAnswer or ""))
        self.ended = True
        return [*self._released(), *last, Finished(reason=FinishReason.STOP)]

    def _overwrite(self, text: str) -> list[ChatEvent]:
        self._reader = MarkerReader()
        pieces = self._reader.feed(text)
        if self._replaceable:
            # Thoughts that were pushed apart from the text are not part of what is replaced.
            replaced = {BlockKind.TEXT, *(kind for kind, _ in pieces)}
            self._held = [delta for delta in self._held if delta.kind not in replaced]
            self._shown |= {kind: [] for kind in replaced}
            return self._go_on(pieces)
        events: list[ChatEvent] = []
        for kind in (BlockKind.REASONING, BlockKind.TEXT):
            events += self._replace(kind, "".join(piece for of, piece in pieces if of is kind))
        return events

    def _replace(self, kind: BlockKind, new: str) -> list[ChatEvent]:
        shown = "".join(self._shown[kind])
        if new.startswith(shown):
            return self._go_on([(kind, new[len(shown) :])])
        if kind is BlockKind.REASONING and not new:
            return []
        # What was sent cannot be taken back: a new text follows it in full.
        if _REWRITTEN not in self.notes:
            self.notes.append(_REWRITTEN)
        if shown.startswith(new):
            return []
        self._shown[kind] = []
        return [BlockDelta(kind=kind, text="\n\n"), *self._go_on([(kind, new)])]

    def _missing(self, full: str) -> list[Piece]:
        """Return what `fullAnswer` has beyond the deltas: all when none came, else a tail."""
        reader = MarkerReader()
        pieces = [*reader.feed(full), *reader.close()]
        missing: list[Piece] = []
        for kind, shown in self._shown.items():
            whole = "".join(text for of, text in pieces if of is kind)
            if whole.startswith("".join(shown)):
                missing.append((kind, whole[sum(map(len, shown)) :]))
        return missing

    def _go_on(self, pieces: list[Piece]) -> list[ChatEvent]:
        deltas = [BlockDelta(kind=kind, text=text) for kind, text in pieces if text]
        for delta in deltas:
            self._shown[delta.kind].append(delta.text)
        if self._replaceable:
            self._held += deltas
            return []
        if deltas and not self._started:
            self._started = True
            return [Started(model=self._model), *deltas]
        return [*deltas]

    def _released(self) -> list[ChatEvent]:
        held, self._held = self._held, []
        return [*held]


def _complaint(push: ChatPush) -> str:
    return push.message or bytes(push.error).decode(errors="replace").removeprefix("null")
