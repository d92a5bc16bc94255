"""One ask on a connection: sent, listened to, timed, and stopped when nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from lingma_cli.core.chat import ChatRequest, ToolOutputPart
from lingma_cli.core.events import (
    BlockClosed,
    BlockDelta,
    BlockKind,
    BlockOpened,
    ChatEvent,
    Finished,
    FinishReason,
)
from lingma_cli.core.ids import NewId
from lingma_cli.core.notes import Note, NoteCode
from lingma_cli.engines.lingma import jsonrpc
from lingma_cli.engines.lingma.answer import Answer
from lingma_cli.engines.lingma.endings import failure, unsupported_runtime
from lingma_cli.engines.lingma.link import Link
from lingma_cli.engines.lingma.prompt import AgentWords, ask_params, losses
from lingma_cli.engines.lingma.pushes import ChatPush, ToolPush
from lingma_cli.engines.lingma.tool_calls import Action, Respond, Send, ToolCalls
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
_ALIVE_SECONDS: Final = 1.5
_CALLED: Final = Finished(reason=FinishReason.TOOL_CALLS)
# Calls that belong to one step come one after another: the answer ends with all of them when no
# further one has come for a moment, or when one that was announced has not come for a while.
_SETTLED_SECONDS: Final = 0.2
_UNSETTLED_SECONDS: Final = 1.0
_GONE: Final = "the client did not come back with a result"


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
        session_id: the upstream session, a new one unless the request names one.
        new_id: makes the ids of tool calls.
        images: the runtime's URLs of the images it has, by reference.
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
        new_id: NewId,
        images: Mapping[str, str],
        agent: AgentWords,
        timeouts: AskTimeouts,
    ) -> None:
        self.request_id = request_id
        self.session_id = session_id
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._params = ask_params(
            request, request_id=request_id, session_id=session_id, agent=agent, images=images
        )
        self._goes_on = request.session is not None
        self._is_kept = self._is_complete = False
        self._answer = Answer(request.model, replaceable=not request.stream)
        self._notes = list(losses(request, images))
        self._calls = ToolCalls(_names(request), new_id)
        self._parallel = request.parallel_tool_calls
        self._turn_over = False
        self._settling: asyncio.TimerHandle | None = None
        self._timeouts = timeouts
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._begun = False
        self._pile: list[ChatEvent] = []
        # Of the pile, what belongs to a turn that is over.
        self._turn_end = 0
        self._pile_size = 0
        self._high_since: float | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._rpc_id = 0
        self._stopped = False

    @property
    def notes(self) -> Sequence[Note]:
        """What was lost on the way, so far."""
        told = [*self._notes, *self._answer.notes]
        if self._calls.refused:
            told.append(Note.of(NoteCode.TOOL_REFUSED))
        if self._calls.ran_upstream:
            told.append(Note.of(NoteCode.TOOL_RAN_UPSTREAM))
        return told

    @property
    def pending_calls(self) -> frozenset[str]:
        """The calls whose results the binary waits for; none once the ask can only be left."""
        is_alive = self._turn_over and not self._answer.ended and self._link.is_open
        return self._calls.pending if is_alive else frozenset()

    def keep_session(self) -> str | None:
        """Keep the session for a later ask and return its id; `None` after anything but an end."""
        self._is_kept = self._is_complete and not self._stopped and self._link.is_open
        return self.session_id if self._is_kept else None

    def resume(self, request: ChatRequest, results: Mapping[str, ToolOutputPart]) -> None:
        """Answer the pending calls and begin the next turn of the same answer."""
        self._notes = list(losses(request))
        self._parallel = request.parallel_tool_calls
        # What was said while the client was away comes first.
        self._add(self._answer.end_turn())
        self._answer.begin_turn(replaceable=not request.stream)
        self._turn_over = self._begun = False
        self._perform([*self._calls.answer(results), *self._calls.offer(_names(request))])
        self._set_deadline(self._timeouts.first_event)
        self._look_at_calls()

    async def is_alive(self) -> bool:
        """Tell whether the process gives a sign of life right now."""
        return not self._answer.ended and await self._link.is_alive(_ALIVE_SECONDS)

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Wait for events and return all that are ready; empty after the end."""
        while not self._pile and not self._answer.ended and not self._turn_over:
            self._waiter = self._loop.create_future()
            await self._waiter
        # What comes after the turn's end is for the next one, however late this one is read.
        end = self._turn_end if self._turn_over else len(self._pile)
        batch, self._pile, self._turn_end = self._pile[:end], self._pile[end:], 0
        self._pile_size, self._high_since = 0, None
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
        if self._begun or method in ("chat/answer", "chat/think"):
            self._earn_time()
        if self._goes_on and push.sessionId not in (None, "", self.session_id):
            # The answer would come from somebody who has heard nothing of what was said before.
            self.session_id = push.sessionId
            self.abort(failure(None, "the session is not known any more"))
            return
        if push.sessionId:
            self.session_id = push.sessionId
        events = self._answer.read(method, push)
        is_end = bool(events) and isinstance(events[-1], Finished)
        self._is_complete |= is_end
        if is_end:
            # Of what was announced no more will come.
            self._perform(self._calls.settle(self._ids))
        if is_end and self._calls.ready:
            # A build that does not wait for results: what it asked for is still the client's.
            events = [*events[:-1], *self._given(), _CALLED]
            if self._calls.ready:
                self._notes.append(Note.of(NoteCode.CALLS_DROPPED))
        self._add(events)
        if (names := self._answer.tool_names) and not self._answer.ended:
            self._perform(self._calls.name(names, self._ids))
            names.clear()
            self._look_at_calls()

    def knows_call(self, tool_id: str) -> bool:
        """Tell whether a tool call of the binary belongs to this ask."""
        return self._calls.knows(tool_id)

    def hear_tool(self, method: str, push: ToolPush, id_: jsonrpc.MessageId | None) -> None:
        """Take one tool message of this ask; what must be said to it is sent."""
        self._earn_time()
        if push.sessionId:
            self.session_id = push.sessionId
        if method == "tool/invoke":
            self._perform(self._calls.invoke(push, id_, self._ids))
        else:
            self._perform(self._calls.sync(push, self._ids))
        self._look_at_calls()

    def fail(self, error: LingmaError) -> None:
        """End the answer with `error`, unless it has ended."""
        self._add(self._answer.fail(error))

    def leave(self) -> None:
        """Stop the answer upstream unless it has ended; remove its session unless it is kept."""
        for timer in (self._timer, self._settling):
            if timer is not None:
                timer.cancel()
        self._perform(self._calls.refuse_all(_GONE))
        self._link.forget(self._rpc_id)
        if self._is_kept:
            return
        if self._answer.ended and not self._stopped:
            delete_session(self._link, self.session_id)
        else:
            self._stop()

    # inside

    @property
    def _ids(self) -> dict[str, str]:
        return {"requestId": self.request_id, "sessionId": self.session_id}

    def _perform(self, actions: Sequence[Action]) -> None:
        for action in actions if self._link.is_open else ():
            match action:
                case Send(method=method, params=params):
                    self._link.send(method, params)
                case Respond(id=id_, result=result):
                    self._link.respond(id_, result)

    def _earn_time(self) -> None:
        """Move the deadline, as something has come; a client that runs a tool has none."""
        if self._turn_over:
            return
        if self._begun:
            self._deadline = self._loop.time() + self._timeouts.idle
        else:
            self._begun = True
            self._set_deadline(self._timeouts.idle)

    def _look_at_calls(self) -> None:
        """Give calls out once no more of them are to be expected."""
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if self._turn_over or self._answer.ended:
            return
        if self._calls.is_unsettled:
            self._settling = self._loop.call_later(_UNSETTLED_SECONDS, self._settle)
        elif self._calls.ready:
            self._settling = self._loop.call_later(_SETTLED_SECONDS, self._end_turn)

    def _settle(self) -> None:
        self._perform(self._calls.settle(self._ids))
        if self._calls.ready:
            self._end_turn()

    def _end_turn(self) -> None:
        """End this turn's events with the calls; the answer itself goes on after their results."""
        self._add([*self._answer.end_turn(), *self._given(), _CALLED])
        self._turn_over, self._turn_end = True, len(self._pile)
        if self._timer is not None:
            self._timer.cancel()

    def _given(self) -> list[ChatEvent]:
        events: list[ChatEvent] = []
        for call in self._calls.ready[: None if self._parallel else 1]:
            call.is_given = True
            kind = BlockKind.TOOL_CALL
            events.append(BlockOpened(kind=kind, call_id=call.call_id, name=call.name))
            events.append(BlockDelta(kind=kind, text=call.arguments))
            events.append(BlockClosed())
        return events

    def _stop(self) -> None:
        link = self._link
        if self._stopped or not link.is_open:
            return
        self._stopped = True

        def forget(_: object = None) -> None:
            waiting.cancel()
            link.forget(rpc_id)
            delete_session(link, self.session_id)

        # Not every build answers this; the session goes either way.
        rpc_id = link.send("chat/stop", self._ids, forget)
        waiting = self._loop.call_later(_STOPPED_SECONDS, forget)
        link.want_sign_of_life(_STOPPED_SECONDS)

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
        if self._answer.ended or self._turn_over:
            return
        if self._loop.time() < self._deadline:
            # Lazily re-armed: a push only moves the deadline.
            self._timer = self._loop.call_at(self._deadline, self._check_silence)
        else:
            self._link.want_sign_of_life(_OVERDUE_SECONDS, self._give_up_if_silent)

    def _give_up_if_silent(self) -> None:
        # The turn may have ended, and even a new one begun, while a sign of life was waited for.
        if self._turn_over or self._loop.time() < self._deadline:
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


def delete_session(link: Link | None, session_id: str) -> None:
    """Remove a session from the binary's history, which it would fill, if there is a connection."""
    if link is not None and link.is_open:
        link.send("chat/deleteSessionById", {"sessionId": session_id})


def _names(request: ChatRequest) -> frozenset[str]:
    return frozenset(tool.name for tool in request.tools)
