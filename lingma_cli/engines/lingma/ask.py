"""One ask on a connection: sent, listened to, timed, and stopped when nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from lingma_cli.core.chat import ChatRequest
from lingma_cli.core.events import BlockDelta, ChatEvent
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.engines.lingma import jsonrpc
from lingma_cli.engines.lingma.answer import Answer
from lingma_cli.engines.lingma.endings import failure, unsupported_runtime
from lingma_cli.engines.lingma.link import Link
from lingma_cli.engines.lingma.prompt import AgentWords, ask_params, losses
from lingma_cli.engines.lingma.pushes import ChatPush
from lingma_cli.errors import ErrorKind, LingmaError

# The connection is shared, so a slow reader cannot make the binary pause: what piles up for one
# stream is bounded. A burst may be large, but it has to be taken away in a while.
_HIGH_PILE: Final = 4 * 1024 * 1024
_HIGH_PILE_SECONDS: Final = 10.0
_MAX_PILE: Final = 256 * 1024 * 1024
# How long a silent process may take to show that it lives: when an answer is overdue, and after
# it was told to stop one.
_OVERDUE_SECONDS: Final = 3.0
_STOPPED_SECONDS: Final = 5.0
_TOOL_REFUSED: Final = Note.of(NoteCode.TOOL_REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTimeouts:
    """Seconds until the first piece of an answer, and of silence after it."""

    first_event: float
    idle: float


class _AskReply(msgspec.Struct):
    success: bool = True
    isSuccess: bool = True  # noqa: N815 - the protocol's spelling, here and below
    status: int | str | None = None
    errorCode: int | str | None = None  # noqa: N815
    errorMessage: str | None = None  # noqa: N815


class LingmaAsk:
    """An ask under way; made and left by the engine.

    Args:
        link: the connection it lives on.
        request: what is asked; `request.model` is a key of the binary.
        request_id: the key of all its pushes.
        session_id: the new upstream session it opens.
        agent: the words of agent mode.
        timeouts: when silence ends it.
    """

    def __init__(
        self,
        link: Link,
        request: ChatRequest,
        *,
        request_id: str,
        session_id: str,
        agent: AgentWords,
        timeouts: AskTimeouts,
    ) -> None:
        self.request_id = request_id
        self.session_id = session_id
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._params = ask_params(
            request, request_id=request_id, session_id=session_id, agent=agent
        )
        self._answer = Answer(request.model, replaceable=not request.stream)
        self._notes = list(losses(request))
        self._refused: set[str] = set()
        self._timeouts = timeouts
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._begun = False
        self._pile: list[ChatEvent] = []
        self._pile_size = 0
        self._high_since: float | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._rpc_id = 0
        self._stopped = False

    @property
    def notes(self) -> Sequence[Note]:
        """What was lost on the way, so far."""
        return (*self._notes, *self._answer.notes)

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Wait for events and return all that are ready; empty after the end."""
        while not self._pile and not self._answer.ended:
            self._waiter = self._loop.create_future()
            await self._waiter
        batch, self._pile, self._pile_size, self._high_since = self._pile, [], 0, None
        return batch

    def abort(self, error: LingmaError) -> None:
        """End the answer with `error` and stop it upstream."""
        if not self._answer.ended:
            self._stop()
        self._add(self._answer.fail(error))

    # for the engine

    def send(self) -> None:
        """Put the question; its answer comes in pushes, whatever the call itself returns."""
        self._rpc_id = self._link.send("chat/ask", self._params, self._hear_reply)
        self._params = {}
        self._set_deadline(self._timeouts.first_event)

    def hear(self, method: str, push: ChatPush) -> None:
        """Take one push that carries this ask's request id."""
        # Steps before the first piece are no answer yet: only the answer itself earns more time.
        if self._begun:
            self._deadline = self._loop.time() + self._timeouts.idle
        elif method in ("chat/answer", "chat/think"):
            self._begun = True
            self._set_deadline(self._timeouts.idle)
        if push.sessionId:
            self.session_id = push.sessionId
        self._add(self._answer.read(method, push))

    def fail(self, error: LingmaError) -> None:
        """End the answer with `error`, unless it has ended."""
        self._add(self._answer.fail(error))

    def refuses(self, tool_call_id: str) -> bool:
        """Tell whether this tool call is still to be refused; true once a call."""
        fresh = tool_call_id not in self._refused
        self._refused.add(tool_call_id)
        if _TOOL_REFUSED not in self._notes:
            self._notes.append(_TOOL_REFUSED)
        return fresh

    def leave(self) -> None:
        """Stop the answer upstream unless it has ended, and remove its session there."""
        if self._timer is not None:
            self._timer.cancel()
        self._link.forget(self._rpc_id)
        if self._answer.ended and not self._stopped:
            self._delete_session()
        else:
            self._stop()

    # inside

    def _stop(self) -> None:
        link = self._link
        if self._stopped or not link.is_open:
            return
        self._stopped = True
        ids = {"requestId": self.request_id, "sessionId": self.session_id}

        def forget(_: object = None) -> None:
            waiting.cancel()
            link.forget(rpc_id)
            self._delete_session()

        # Not every build answers this; the session goes either way.
        rpc_id = link.send("chat/stop", ids, forget)
        waiting = self._loop.call_later(_STOPPED_SECONDS, forget)
        link.want_sign_of_life(_STOPPED_SECONDS)

    def _delete_session(self) -> None:
        # Each ask opens a session; without this they would fill the user's history.
        if self._link.is_open:
            self._link.send("chat/deleteSessionById", {"sessionId": self.session_id})

    def _hear_reply(self, reply: jsonrpc.Response | jsonrpc.ErrorResponse | None) -> None:
        """Take the call's own answer: it may only say no, a yes means nothing."""
        match reply:
            case jsonrpc.ErrorResponse(code=jsonrpc.METHOD_NOT_FOUND):
                self.fail(unsupported_runtime())
            case jsonrpc.ErrorResponse(code=code, message=message):
                self.fail(failure(code, message))
            case jsonrpc.Response(result=result):
                self._hear_result(result)
            case None:
                # The engine ends all answers of a lost connection.
                return

    def _hear_result(self, result: bytes) -> None:
        try:
            said = msgspec.json.decode(result, type=_AskReply | None, strict=False)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        if said is not None and not (said.success and said.isSuccess):
            code = said.errorCode or said.status or ""
            status = int(code) if str(code).isdecimal() else None
            self.fail(failure(status, said.errorMessage or str(code)))

    def _set_deadline(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._deadline = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._deadline, self._check_silence)

    def _check_silence(self) -> None:
        """At the deadline, tell a slow process from a dead one before giving up."""
        if self._answer.ended:
            return
        if self._loop.time() < self._deadline:
            # Lazily re-armed: a push only moves the deadline.
            self._timer = self._loop.call_at(self._deadline, self._check_silence)
        else:
            self._link.want_sign_of_life(_OVERDUE_SECONDS, self._give_up_if_silent)

    def _give_up_if_silent(self) -> None:
        if self._loop.time() < self._deadline:
            self._check_silence()
        else:
            self.abort(LingmaError(ErrorKind.ENGINE_TIMEOUT, "Lingma fell silent and was stopped"))

    def _is_too_high(self) -> bool:
        """Tell whether the client lets too much lie."""
        if self._pile_size < _HIGH_PILE:
            return False
        now = self._loop.time()
        self._high_since = self._high_since or now
        return self._pile_size > _MAX_PILE or now - self._high_since > _HIGH_PILE_SECONDS

    def _add(self, events: list[ChatEvent]) -> None:
        if not events:
            return
        if self._is_too_high() and not self._answer.ended:
            self._stop()
            stalled = LingmaError(ErrorKind.OVERLOADED, "the client reads too slowly")
            events = [*events, *self._answer.fail(stalled)]
        self._pile += events
        self._pile_size += sum(len(event.text) for event in events if isinstance(event, BlockDelta))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
