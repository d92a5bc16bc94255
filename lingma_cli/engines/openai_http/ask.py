"""One question to an HTTP engine: sent, read while it is answered, cancelled by hanging up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lingma_cli.core.chat import ChatRequest, ToolOutputPart
from lingma_cli.core.events import ChatEvent
from lingma_cli.core.notes import Note
from lingma_cli.engines.openai_http.answer import MAX_BYTES, AnswerReader
from lingma_cli.engines.openai_http.endings import Endings
from lingma_cli.engines.openai_http.pool import HttpAnswer
from lingma_cli.errors import ErrorKind, LingmaError

# A refusal that comes within this time is raised on entering, a later one is an event: a long
# prompt may take minutes until the head, and meanwhile the client's stream is to be kept alive.
_REFUSAL_SECONDS: Final = 1.0
# What may follow the last word of an answer are its token counts.
_COUNTS_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTimeouts:
    """Seconds until the first piece of an answer, and of silence after it."""

    first_event: float
    idle: float


class HttpAsk:
    """An ask under way; made and left by the engine.

    Args:
        opening: sends the request and returns the accepted answer.
        reader: reads the answer.
        endings: makes the errors.
        timeouts: when silence ends it.
        notes: what the request had to lose.
        is_reachable: tells whether the server answers right now.
    """

    pending_calls: frozenset[str] = frozenset()

    def __init__(
        self,
        opening: Callable[[], Coroutine[Any, Any, HttpAnswer]],
        *,
        reader: AnswerReader,
        endings: Endings,
        timeouts: AskTimeouts,
        notes: Sequence[Note],
        is_reachable: Callable[[], Awaitable[bool]],
    ) -> None:
        self._open = opening
        self._reader = reader
        self._endings = endings
        self._timeouts = timeouts
        self._notes = notes
        self._is_reachable = is_reachable
        self._loop = asyncio.get_running_loop()
        # Owned by the engine's `async with`: `leave` waits for its end.
        self._opening: asyncio.Task[HttpAnswer] | None = None
        self._answer: HttpAnswer | None = None
        self._aborted: LingmaError | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Silence counts only while somebody waits for what comes next.
        self._deadline: float | None = None
        self._begun = False

    @property
    def notes(self) -> Sequence[Note]:
        """What the server does not take, and what of its answer was left out."""
        return (*self._notes, *self._reader.notes)

    @property
    def has_ended_well(self) -> bool:
        """Whether the answer is whole."""
        return self._reader.ended and self._reader.has_reason and self._aborted is None

    def resume(self, request: ChatRequest, results: Mapping[str, ToolOutputPart]) -> None:
        """Refuse: a server answers each request anew."""
        del request, results
        raise self._endings.failed("cannot go on with an answer", ErrorKind.ENGINE_UNSUPPORTED)

    async def is_alive(self) -> bool:
        """Tell whether the server answers right now."""
        return not self._reader.ended and self._aborted is None and await self._is_reachable()

    def abort(self, error: LingmaError) -> None:
        """End the answer with `error` and hang up."""
        if self._aborted is None and not self._reader.ended:
            self._aborted = error
            self._hang_up()

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Wait for events and return all that are ready; empty after the end."""
        while not self._reader.ended:
            if events := await self._step():
                self._begun = True
                # From here on it is the client who lets us wait.
                self._deadline = None
                return events
        return ()

    # for the engine

    async def send(self) -> None:
        """Put the question and wait a moment for a refusal.

        Raises:
            LingmaError: the server refused at once, or is not there.
        """
        self._opening = self._loop.create_task(self._open())
        # Reading the prompt is part of the wait for the first event.
        self._wait(self._timeouts.first_event)
        await asyncio.wait([self._opening], timeout=_REFUSAL_SECONDS)
        if self._opening.done() and not self._opening.cancelled():
            self._answer = self._opening.result()

    async def leave(self) -> None:
        """Hang up, unless the answer has been read to its end."""
        if self._timer is not None:
            self._timer.cancel()
        opening, answer = self._opening, self._answer
        if answer is None and opening is not None:
            opening.cancel()
            await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                answer = opening.result()
        if answer is not None:
            try:
                if self._reader.said_done and self._aborted is None:
                    await answer.finish()
            finally:
                answer.close()

    # inside

    async def _step(self) -> Sequence[ChatEvent]:
        """Wait for one piece of the answer."""
        try:
            data = await self._waited()
        except LingmaError as error:
            return self._reader.fail(self._aborted) if self._aborted else self._reader.end(error)
        if self._aborted is not None:
            return self._reader.fail(self._aborted)
        if self._answer is not None and self._answer.content_type == "application/json":
            # quirk: with tools, some servers do not stream.
            return self._reader.whole(data)
        return self._reader.feed(data) if data else self._reader.end()

    async def _waited(self) -> bytes:
        """Return the next bytes; none at the end of the answer."""
        if self._aborted is not None:
            raise self._aborted
        if self._answer is None and self._opening is not None:
            await asyncio.wait([self._opening])
            if self._opening.cancelled():
                raise self._endings.failed("was left")
            self._answer = self._opening.result()
        if self._answer is None:
            raise self._endings.failed("was not asked")
        if self._reader.has_reason:
            self._wait(_COUNTS_SECONDS)
        elif self._begun:
            self._wait(self._timeouts.idle)
        try:
            if self._answer.content_type == "application/json":
                return await self._answer.read_all(MAX_BYTES)
            return await self._answer.read()
        except LingmaError as error:
            raise self._endings.named(error) from error

    def _wait(self, seconds: float) -> None:
        """Let silence last so long from now on."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        """End an answer whose deadline has passed; else look again when it will have."""
        self._timer = None
        if self._deadline is None or self._reader.ended:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
        elif self._reader.has_reason:
            # All has been said, and the server only does not hang up.
            self._hang_up()
        else:
            self.abort(self._endings.failed("fell silent", ErrorKind.ENGINE_TIMEOUT))

    def _hang_up(self) -> None:
        if self._answer is not None:
            self._answer.close()
        elif self._opening is not None:
            self._opening.cancel()
