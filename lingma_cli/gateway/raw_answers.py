"""Answers that are passed on as they come, and what the record can learn of them on the way.

A stream is passed on in whole events, so that a keep-alive or an error can stand between any two
pieces of it. Anything else is passed on in one piece, so that it can still move to another engine.

Source: OpenAI API reference, "Completions" and "Embeddings": `usage`, `choices[].finish_reason`, an
`error` object, and `data: [DONE]` as the last event of a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final, Protocol, runtime_checkable

import msgspec

from lingma_cli.core.events import FinishReason, Usage
from lingma_cli.core.grammar import broken_off
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.protocols.sse import SseReader

EVENTS: Final = "text/event-stream"
_DONE: Final = b"[DONE]"
_MAX_EVENT: Final = 64 * 1024 * 1024
# Vectors in a batch are long.
_MAX_WHOLE: Final = 256 * 1024 * 1024


class Answer(Protocol):
    """An answer as an engine gives it.

    Attributes:
        content_type: without parameters.
    """

    content_type: str

    async def next_chunk(self) -> bytes:
        """Wait for bytes and return all that are ready; none at the end.

        Raises:
            LingmaError: the engine broke off, or fell silent.
        """
        ...


Opening = AbstractAsyncContextManager[Answer]
"""Sends a question; leaving it before the answer's end cancels that upstream."""


@runtime_checkable
class Embeds(Protocol):
    """An engine that makes embeddings."""

    async def embed(self, body: Mapping[str, Any]) -> bytes:
        """Return the JSON that `/v1/embeddings` answers to `body`.

        Raises:
            LingmaError: the engine is away, refuses, or does not answer in time.
        """
        ...


@runtime_checkable
class Completes(Protocol):
    """An engine that goes on with a plain text."""

    def complete(self, body: Mapping[str, Any]) -> Opening:
        """Send `body` to `/v1/completions`; the answer streams if `body` says so.

        Raises:
            LingmaError: on entering, when the engine is away or refuses.
        """
        ...


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Said(msgspec.Struct):
    """What counts of an answer or of one event."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


class RawTurn:
    """One answer on its way through.

    Attributes:
        content_type: there with the first chunk.
        usage: what the answer says of its tokens so far.
        has_failed: whether the engine's own stream says so.

    Args:
        opening: sends the question when the first chunk is wanted.
        held: ends it.
        is_alive: tells whether the engine gives a sign of life.
    """

    def __init__(
        self, opening: Opening, held: AsyncExitStack, is_alive: Callable[[], Awaitable[bool]]
    ) -> None:
        self.content_type = ""
        self.usage: Usage | None = None
        self.has_failed = False
        self._opening = opening
        self._held = held
        self._is_alive = is_alive
        self._answer: Answer | None = None
        self._rest = b""
        self._reader = SseReader()
        self._reason: str | None = None
        self._is_over = False
        self._aborted_by: LingmaError | None = None
        self._limit: asyncio.Timeout | None = None

    @property
    def end(self) -> FinishReason:
        """Why the answer ended, if it ended well."""
        return FinishReason.LENGTH if self._reason == "length" else FinishReason.STOP

    async def is_alive(self) -> bool:
        """Tell whether the engine gives a sign of life."""
        return self._aborted_by is None and not self._is_over and await self._is_alive()

    def abort(self, error: LingmaError) -> None:
        """Let whoever waits for a chunk, and whoever comes, get `error`."""
        self._aborted_by = error
        if self._limit is not None:
            self._limit.reschedule(0)

    async def next_chunk(self) -> bytes:
        """Return whole events of a stream, or the whole of anything else; none at the end.

        Raises:
            LingmaError: the engine refuses or breaks off, or the answer was aborted.
        """
        if self._aborted_by is not None:
            raise self._aborted_by
        try:
            async with asyncio.timeout(None) as self._limit:
                return b"" if self._is_over else await self._read()
        except TimeoutError:
            if self._aborted_by is None:
                raise
            raise self._aborted_by from None
        finally:
            self._limit = None

    async def _read(self) -> bytes:
        if self._answer is None:
            self._answer = await self._held.enter_async_context(self._opening)
            self.content_type = self._answer.content_type
        if self.content_type != EVENTS:
            return await self._whole(self._answer)
        while piece := await self._answer.next_chunk():
            self._rest += piece
            _check_size(len(self._rest), _MAX_EVENT)
            cut = max(self._rest.rfind(b"\n\n") + 2, self._rest.rfind(b"\r\n\r\n") + 4)
            # Nothing found is -1.
            if cut > 3:
                events, self._rest = self._rest[:cut], self._rest[cut:]
                self._follow(events)
                return events
        return self._last()

    def _last(self) -> bytes:
        """Return what came after the last whole event, if the answer has come to an end there."""
        rest = self._rest + b"\n\n" if self._rest else b""
        self._follow(rest)
        if not self._is_over and self._reason is None and not self.has_failed:
            raise broken_off()
        self._rest, self._is_over = b"", True
        return rest

    async def _whole(self, answer: Answer) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await answer.next_chunk():
            pieces.append(piece)
            size += len(piece)
            _check_size(size, _MAX_WHOLE)
        body, self._is_over = b"".join(pieces), True
        try:
            self._note(msgspec.json.decode(body, type=_Said))
        except msgspec.ValidationError:
            # It is for the client to make sense of.
            pass
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise LingmaError(
                ErrorKind.ENGINE_FAILED, "the engine answered with what is no JSON"
            ) from None
        return body

    def _follow(self, events: bytes) -> None:
        for data in self._reader.feed(events):
            if data.strip() == _DONE:
                self._is_over = True
                continue
            try:
                self._note(msgspec.json.decode(data, type=_Said))
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue

    def _note(self, said: _Said) -> None:
        for choice in said.choices or ():
            self._reason = choice.finish_reason or self._reason
        if said.usage is not None:
            self.usage = Usage(
                input_tokens=said.usage.prompt_tokens, output_tokens=said.usage.completion_tokens
            )
        self.has_failed |= bool(said.error)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise LingmaError(
            ErrorKind.ENGINE_FAILED, f"the engine's answer is longer than {most} bytes"
        )
