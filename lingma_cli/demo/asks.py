"""The asks in flight: begin, stop, forget.

Owns the register of running streams and decides what an ask is to do; `player` does it.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lingma_cli.demo import (
    demands,
    dialects,
    directives,
    images,
    models,
    outcomes,
    replies,
    rpc,
    toolplan,
)
from lingma_cli.demo.answers import Ask, prompt_of
from lingma_cli.demo.connection import Connection
from lingma_cli.demo.directives import Directives
from lingma_cli.demo.journal import Journal
from lingma_cli.demo.language import LanguageError
from lingma_cli.demo.logins import Logins
from lingma_cli.demo.player import Running, Stage, play
from lingma_cli.demo.script import Push
from lingma_cli.demo.sessions import Sessions
from lingma_cli.demo.switches import Switches
from lingma_cli.demo.tooldesk import ToolDesk
from lingma_cli.demo.toolplan import Plan
from lingma_cli.demo.workdir import WorkDir


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What asks need of the process around them; `hang` makes it fall silent for good."""

    switches: Switches
    work_dir: WorkDir
    journal: Journal
    sessions: Sessions
    logins: Logins
    clock: Callable[[], float]
    new_id: Callable[[], str]
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    hang: Callable[[], None]


class Asks:
    """Every ask of the process."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._running: dict[str, Running] = {}
        self._results: dict[str, list[dict[str, object]]] = {}
        self.waits = demands.Waits()
        self.tools = ToolDesk(around.journal)
        self._stage = Stage(sides=around.switches.sides, desk=self.tools, journal=around.journal)

    def begin(self, connection: Connection, call_id: rpc.Id | None, params: rpc.Params) -> None:
        """Answer chat/ask the way that is wished and begin its stream."""
        around = self._around
        prompt = prompt_of(params)
        ask = self._ask(prompt, params)
        wish = self._wish(ask)
        plan = toolplan.make(params, prompt, wish, around.switches.sides.tools)
        wish = _planned(plan, wish)
        running = Running(
            ask=ask,
            wish=wish,
            stage=self._stage,
            wire=directives.wire_of(wish.given, around.switches.wire) if wish.given else None,
            connection=connection,
            call_id=call_id,
            on_over=self._over,
        )
        form = wish.reply or "success"
        if form != "late":
            running.reply(form)
        if form not in replies.REFUSALS:
            self._play(running, plan)

    def _play(self, running: Running, plan: Plan) -> None:
        around = self._around
        self._running[running.ask.request_id] = running
        ask = running.ask
        running.note(
            "ask-start",
            active=len(self._running),
            turn=ask.turn,
            model=ask.model.key,
            mode=ask.params.get("mode"),
            agent=plan.is_agent,
            tools=list(plan.offer.names),
            toolsAt=plan.offer.place,
            toolsOdd=plan.offer.odd,
            toolChoice=plan.offer.choice,
            route=plan.route,
            steps=len(plan.steps),
            done=plan.done,
            images=images.in_context(ask.params),
        )
        running.task = around.spawn(play(running, self.waits, around.hang))

    def _over(self, running: Running, ending: str) -> None:
        self._running.pop(running.ask.request_id, None)
        running.rounds.cancelled()
        if running.rounds.results:
            self._results.setdefault(running.ask.session_id, []).extend(running.rounds.results)
        script = running.script
        self._around.sessions.record(running.ask, script.visible, script.thought)
        if self._around.switches.sides.sessions != "kept":
            self._around.sessions.delete(running.ask.session_id)
        running.note("ask-end", active=len(self._running), ending=ending)

    def stop(self, request_id: object) -> None:
        """Cancel a stream by request id: chat/finish 200 `cancelled`, unless it is deaf."""
        running = self._running.get(str(request_id))
        if running is None or running.wish.stop == "deaf":
            return
        for push in self._cancel(running):
            running.push(push)
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

    def tool_results(self, session_id: object) -> list[dict[str, object]]:
        """Return the ends of the native calls of a session, in their order."""
        return self._results.get(str(session_id), [])

    def _cancel(self, running: Running) -> list[Push]:
        """Cancel a stream and return the pushes that end its tool calls."""
        if running.task is not None:
            running.task.cancel()
        return running.rounds.cancelled()

    def _ask(self, prompt: str, params: rpc.Params) -> Ask:
        around = self._around
        now_ms = int(around.clock() * 1000)
        known = around.sessions.get(params.get("sessionId"))
        is_lost = params.get("isReply") is True and known is None
        moves = is_lost and around.switches.sides.sessions == "other"
        session = around.sessions.open(
            str((not moves and params.get("sessionId")) or around.new_id()),
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
            history=session.history,
        )

    def _wish(self, ask: Ask) -> Directives:
        sides, task = self._around.switches.sides, str(ask.params.get("chatTask", ""))
        if not self._around.logins.admit():
            return _logged_out(sides.logged_out)
        if (sides.task == "upper" and task != task.upper()) or (
            sides.task == "lower" and task != task.lower()
        ):
            return Directives(reply="failure")
        is_lost = ask.params.get("isReply") is True and not ask.history
        if is_lost and sides.sessions == "refuse":
            return Directives(reply="failure")
        try:
            return self._directed(ask)
        except LanguageError as error:
            return Directives(say=f"The demo cannot read its directive: {error}.")

    def _directed(self, ask: Ask) -> Directives:
        switches, claim = self._around.switches, self._around.work_dir.claim
        defaults = dict(switches.faults)
        if defaults.pop("once", False) and not claim(switches.faults_text):
            defaults = {}
        # A session remembers directives like everything else that was said in it.
        said = (ask.prompt, *(question for question, _ in reversed(ask.history)))
        text = next((one for one in map(directives.find, said) if one is not None), None)
        if text is None:
            return directives.parse("", defaults)
        wish = directives.parse(text, defaults)
        return Directives() if wish.once and not claim(text) else wish


def _planned(plan: Plan, wish: Directives) -> Directives:
    """Wish for the calls that are left: as native ones, or as the text of the answer."""
    if wish.calls is None:
        return wish
    say = wish.say
    if plan.left and plan.route == "text":
        say = dialects.render(plan.left[0], wish.dialect, wish.prose)
    elif not plan.left and plan.quotes and not wish.has_text:
        say = outcomes.summary(plan.quotes)
    calls = plan.left if plan.route == "native" else ()
    planned = dataclasses.replace(wish, say=say, calls=calls)
    if wish.at != "waiting":
        return planned
    step = wish.after if isinstance(wish.after, int) else 0
    if step >= plan.done:
        return dataclasses.replace(planned, after=step - plan.done)
    return dataclasses.replace(planned, after=-1, finish=None, end="finish")


def _logged_out(form: str) -> Directives:
    if form == "error":
        return Directives(reply="error")
    return Directives(say="", steps="off", finish=int(form))


def _model_key(params: rpc.Params) -> object:
    extra = params.get("extra")
    chosen = extra.get("modelConfig") if isinstance(extra, dict) else None
    return chosen.get("key") if isinstance(chosen, dict) else None
