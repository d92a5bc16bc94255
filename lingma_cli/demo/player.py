"""Plays one stream: performs the steps of its script on a connection.

Owns pace, acknowledgements of one stream and the doing of faults. Which steps there are is the
business of `script`.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from lingma_cli.demo import demands, replies, rpc
from lingma_cli.demo.answers import Ask
from lingma_cli.demo.connection import Connection
from lingma_cli.demo.directives import Directives
from lingma_cli.demo.faults import garbage
from lingma_cli.demo.journal import Journal
from lingma_cli.demo.rounds import Rounds
from lingma_cli.demo.script import Await, Demand, Ended, Fault, Invoke, Pause, Push, Script, Step
from lingma_cli.demo.switches import Sides
from lingma_cli.demo.tooldesk import ToolDesk
from lingma_cli.demo.wire import Wire

NO_RESPONSE = "no response from client, timeout reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What all streams of the process share."""

    sides: Sides
    desk: ToolDesk
    journal: Journal


class UnacknowledgedError(Exception):
    """The strict side waited in vain for an acknowledgement."""


class Running:
    """One stream: its script, its connection, and how many pushes were acknowledged.

    `on_over` is called once, with the ending, when the stream is over for the client.
    """

    def __init__(
        self,
        *,
        ask: Ask,
        wish: Directives,
        stage: Stage,
        wire: Wire | None,
        connection: Connection,
        call_id: rpc.Id | None,
        on_over: "Callable[[Running, str], None]",
    ) -> None:
        self.ask = ask
        self.wish = wish
        self.connection = connection
        self.script = Script(ask, wish)
        self.rounds = Rounds(
            ask, wish, self.script, desk=stage.desk, send=self.send, demand=self._demand
        )
        self.task: asyncio.Task[None] | None = None
        self._sides = stage.sides
        self._wire = wire
        self._call_id = call_id
        self._journal = stage.journal
        self._on_over = on_over
        self._is_over = False
        self._pushed = 0
        self._acked = 0
        self._ack = asyncio.Event()

    def push(self, push: Push) -> None:
        """Send a push of this stream and count it."""
        self._pushed += 1
        self._ack.clear()
        self.connection.push(push.method, push.params, on_reply=self._acknowledge, wire=self._wire)

    async def send(self, push: Push) -> None:
        """Send a push as fast as the client takes them.

        Raises:
            UnacknowledgedError: the side is strict and the acknowledgement is overdue.
        """
        self.push(push)
        sides = self._sides
        is_strict = sides.acks == "strict" and sides.pushes == "requests"
        if is_strict and not await self._acknowledged(sides.ack_wait):
            raise UnacknowledgedError
        await self.connection.writable()

    def _demand(
        self,
        method: str,
        params: object,
        on_reply: Callable[[rpc.Answer], None],
        patience: float | None,
    ) -> None:
        self.connection.push(
            method, params, on_reply=on_reply, wire=self._wire, demand=True, patience=patience
        )

    def reply(self, form: str) -> None:
        """Answer chat/ask in a form of the `reply` directive; a notification gets none."""
        if self._call_id is not None:
            body = replies.render(form, self._call_id, self.ask.request_id)
            if body is not None:
                self.connection.send(body, self._wire)

    def note(self, event: str, **fields: object) -> None:
        """Write an event of this stream with its counts."""
        counts = {"pushed": self._pushed, "acked": self._acked}
        self._journal.note(event, requestId=self.ask.request_id, **counts, **fields)

    def over(self, ending: str) -> None:
        """Mark the stream as over, once."""
        if not self._is_over:
            self._is_over = True
            self._on_over(self, ending)
            self._note_all_acked()

    async def _acknowledged(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._ack.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _acknowledge(self, answer: rpc.Answer) -> None:
        self._acked += 1
        self._ack.set()
        if self._journal.every_ack:
            self._journal.note("ack", id=answer.id, result=answer.payload)
        self._note_all_acked()

    def _note_all_acked(self) -> None:
        if self._is_over and self._acked == self._pushed:
            self.note("all-acked")


async def play(running: Running, waits: demands.Waits, hang: Callable[[], None]) -> None:
    """Perform every step; ends early when a strict side misses an acknowledgement."""
    try:
        for step in running.script.steps():
            await _perform(running, step, waits, hang)
    except UnacknowledgedError:
        running.push(running.script.finish(500, NO_RESPONSE))
        running.over("unacknowledged")
        return
    if running.wish.reply == "late":
        running.reply("success")


async def _perform(
    running: Running, step: Step, waits: demands.Waits, hang: Callable[[], None]
) -> None:
    match step:
        case Push():
            await running.send(step)
        case Pause():
            await asyncio.sleep(step.seconds)
        case Demand():
            text = await demands.perform(step, running.ask, running.connection, waits, running.note)
            running.push(running.script.answer(text))
        case Invoke():
            await running.rounds.begin(step.calls)
        case Await():
            running.script.settle(await running.rounds.wait())
        case Fault():
            await _break(running, step, hang)
        case Ended():
            running.over(str(step.status))


async def _break(running: Running, fault: Fault, hang: Callable[[], None]) -> None:
    connection = running.connection
    running.note("fault", kind=fault.kind)
    await connection.drain()
    match fault.kind:
        case "garbage":
            _send_garbage(running, str(fault.argument))
            return
        case "freeze":
            time.sleep(float(fault.argument))  # noqa: ASYNC251 - blocking the loop is the fault
            return
        case "crash":
            os._exit(int(fault.argument))
        case "drop":
            connection.drop(reset=fault.argument == "reset")
        case "close":
            connection.close(int(fault.argument))
        case "hang":
            hang()
        case _:  # silence: this stream only
            pass
    await asyncio.Event().wait()


def _send_garbage(running: Running, kind: str) -> None:
    rubbish = garbage(kind, running.ask.request_id)
    if rubbish.message is None:
        running.connection.send_raw(rubbish.raw)
    else:
        running.connection.send_messages([rubbish.message])
