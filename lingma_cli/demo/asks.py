"""The asks in flight: begin, stop, forget.

Owns the register of running streams and decides what an ask is to do; `player` does it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lingma_cli.demo import demands, directives, models, replies, rpc
from lingma_cli.demo.answers import Ask, prompt_of
from lingma_cli.demo.connection import Connection
from lingma_cli.demo.directives import Directives
from lingma_cli.demo.journal import Journal
from lingma_cli.demo.language import LanguageError
from lingma_cli.demo.player import Running, play
from lingma_cli.demo.sessions import Sessions
from lingma_cli.demo.switches import Switches
from lingma_cli.demo.workdir import WorkDir


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What asks need of the process around them; `hang` makes it fall silent for good."""

    switches: Switches
    work_dir: WorkDir
    journal: Journal
    sessions: Sessions
    clock: Callable[[], float]
    new_id: Callable[[], str]
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    hang: Callable[[], None]


class Asks:
    """Every ask of the process."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._running: dict[str, Running] = {}
        self.waits = demands.Waits()

    def begin(self, connection: Connection, call_id: rpc.Id | None, params: rpc.Params) -> None:
        """Answer chat/ask the way that is wished and begin its stream."""
        around = self._around
        prompt = prompt_of(params)
        wish = self._wish(prompt, str(params.get("chatTask", "")))
        running = Running(
            ask=self._ask(prompt, params),
            wish=wish,
            wire=directives.wire_of(wish.given, around.switches.wire) if wish.given else None,
            connection=connection,
            call_id=call_id,
            journal=around.journal,
            on_over=self._over,
        )
        form = wish.reply or "success"
        if form != "late":
            running.reply(form)
        if form not in replies.REFUSALS:
            self._play(running)

    def _play(self, running: Running) -> None:
        around = self._around
        self._running[running.ask.request_id] = running
        ask = running.ask
        running.note("ask-start", active=len(self._running), turn=ask.turn, model=ask.model.key)
        running.task = around.spawn(play(running, self.waits, around.switches.sides, around.hang))

    def _over(self, running: Running, ending: str) -> None:
        self._running.pop(running.ask.request_id, None)
        script = running.script
        self._around.sessions.record(running.ask, script.visible, script.thought)
        running.note("ask-end", active=len(self._running), ending=ending)

    def stop(self, request_id: object) -> None:
        """Cancel a stream by request id: chat/finish 200 `cancelled`, unless it is deaf."""
        running = self._running.get(str(request_id))
        if running is None or running.wish.stop == "deaf":
            return
        self._cancel(running)
        if running.wish.stop == "finish":
            running.push(running.script.finish(200, "cancelled"))
        running.over("cancelled")
        for late in running.script.late_deltas():
            running.push(late)

    def stop_session(self, session_id: object) -> None:
        """Cancel every stream of a session."""
        for running in tuple(self._running.values()):
            if running.ask.session_id == session_id:
                self.stop(running.ask.request_id)

    def leave(self, connection: Connection) -> None:
        """End the streams of a lost connection: they do not survive it."""
        for running in tuple(self._running.values()):
            if running.connection is connection:
                self._cancel(running)
                running.over("lost")

    def _cancel(self, running: Running) -> None:
        if running.task is not None:
            running.task.cancel()

    def _ask(self, prompt: str, params: rpc.Params) -> Ask:
        around = self._around
        now_ms = int(around.clock() * 1000)
        session = around.sessions.open(
            str(params.get("sessionId") or around.new_id()),
            kind=str(params.get("sessionType") or "chat"),
            title=directives.strip(prompt)[:40],
            now_ms=now_ms,
        )
        return Ask(
            request_id=str(params.get("requestId") or around.new_id()),
            session_id=session.id,
            prompt=prompt,
            model=models.by_key(_model_key(params)),
            turn=session.turns,
            received_ms=now_ms,
            params=params,
        )

    def _wish(self, prompt: str, task: str) -> Directives:
        sides = self._around.switches.sides
        if not self._around.work_dir.is_logged_in(self._around.switches.login):
            return _logged_out(sides.logged_out)
        if (sides.task == "upper" and task != task.upper()) or (
            sides.task == "lower" and task != task.lower()
        ):
            return Directives(reply="failure")
        try:
            return self._directed(prompt)
        except LanguageError as error:
            return Directives(say=f"The demo cannot read its directive: {error}.")

    def _directed(self, prompt: str) -> Directives:
        switches, claim = self._around.switches, self._around.work_dir.claim
        defaults = dict(switches.faults)
        if defaults.pop("once", False) and not claim(switches.faults_text):
            defaults = {}
        text = directives.find(prompt)
        if text is None:
            return directives.parse("", defaults)
        wish = directives.parse(text, defaults)
        return Directives() if wish.once and not claim(text) else wish


def _logged_out(form: str) -> Directives:
    if form == "error":
        return Directives(reply="error")
    return Directives(say="", steps="off", finish=int(form))


def _model_key(params: rpc.Params) -> object:
    extra = params.get("extra")
    chosen = extra.get("modelConfig") if isinstance(extra, dict) else None
    return chosen.get("key") if isinstance(chosen, dict) else None
