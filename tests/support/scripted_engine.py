"""An engine that plays a script: batches, a raised error, a silence, or nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lingma_cli.core.chat import ChatRequest, Model, ToolOutputPart
from lingma_cli.core.events import BlockOpened, ChatEvent, Failed
from lingma_cli.core.login import LoginState
from lingma_cli.core.notes import Note
from lingma_cli.engines.base import Ask, Engine, OnChange
from lingma_cli.errors import ErrorKind, LingmaError


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A step that waits until the ask is aborted or left."""


SILENCE = Silence()
# A batch, an error to raise, or a wait without an end; after the last step the ask just stops.
Step = Sequence[ChatEvent] | BaseException | Silence
Script = Sequence[Step]


class ScriptedAsk:
    """One ask that plays its script; with `waits_for_tools` its calls wait for results.

    Attributes:
        results: what `resume` was given, turn by turn.
        resumed: the requests that came with it.
        unfit: raised by `resume`, if set.
        refused: the calls that waited when it was left, once for each time it was left.
    """

    def __init__(
        self, script: Script, notes: Sequence[Note], *, waits_for_tools: bool = False
    ) -> None:
        self._steps = list(script)
        self._waits = waits_for_tools
        self.pending_calls: frozenset[str] = frozenset()
        self.results: list[Mapping[str, ToolOutputPart]] = []
        self.resumed: list[ChatRequest] = []
        self.unfit: LingmaError | None = None
        self.refused: list[frozenset[str]] = []
        self._aborted: asyncio.Future[LingmaError] = asyncio.get_running_loop().create_future()
        self._ended = False
        self.notes = notes

    async def next_batch(self) -> Sequence[ChatEvent]:
        """Play the next step."""
        if self._aborted.done():
            return self._end_aborted()
        step: Step = self._steps.pop(0) if self._steps else ()
        match step:
            case Silence():
                await asyncio.wait([self._aborted])
                return self._end_aborted()
            case BaseException():
                raise step
            case _:
                calls = (event.call_id for event in step if isinstance(event, BlockOpened))
                self.pending_calls |= frozenset(filter(None, calls)) if self._waits else frozenset()
                return step

    def resume(self, request: ChatRequest, results: Mapping[str, ToolOutputPart]) -> None:
        """Take the results and play on."""
        if self.unfit is not None:
            raise self.unfit
        self.resumed.append(request)
        self.results.append(results)
        self.pending_calls = frozenset()

    def die(self) -> None:
        """Lose the engine: nothing can be told to it any more."""
        self.pending_calls = frozenset()

    def leave(self) -> None:
        """Refuse what waits."""
        self.refused.append(self.pending_calls)
        self.pending_calls = frozenset()

    async def is_alive(self) -> bool:
        """Live."""
        return True

    def abort(self, error: LingmaError) -> None:
        """End it with `error`."""
        if not self._aborted.done():
            self._aborted.set_result(error)

    def _end_aborted(self) -> Sequence[ChatEvent]:
        if self._ended:
            return ()
        self._ended = True
        return (Failed(error=self._aborted.result()),)


@dataclass(slots=True, kw_only=True)
class Life:
    """One call of `run`: get ready or not, live for a while, die of `error` or never.

    Attributes:
        starts_in: seconds until it is ready; `None` when it never gets there.
        breaks_after: seconds of readiness until it is away for one second; `None` for never.
        lasts: seconds until it dies, from the call or from being ready; `None` for ever.
        error: what it dies of.
    """

    starts_in: float | None = 0.0
    breaks_after: float | None = None
    lasts: float | None = None
    error: Exception = field(
        default_factory=lambda: LingmaError(ErrorKind.ENGINE_UNAVAILABLE, "died")
    )


class ScriptedEngine:
    """An engine whose lives and answers are written down.

    Attributes:
        refusal: raised by every `ask` on entering, if set.
        asked: the requests it got.
        asks: what they became.
        open_asks: how many are entered and not left.
        login: what it says of its login.
        starts: the clock at each call of `run`.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        name: str = "scripted",
        models: Sequence[Model] = (Model(key="org_auto", name="Auto", is_default=True),),
        scripts: Sequence[Script] = (),
        lives: Sequence[Life] = (),
        notes: Sequence[Note] = (),
        reports_usage: bool = True,
        native_tools: bool = False,
        native_options: bool = False,
        agent_mode: bool = True,
        waits_for_tools: bool = False,
    ) -> None:
        self.name = name
        self.models = models
        self.reports_usage = reports_usage
        self.refusal: Exception | None = None
        self.asked: list[ChatRequest] = []
        self.asks: list[ScriptedAsk] = []
        self.native_tools = native_tools
        self.native_options = native_options
        self.agent_mode = agent_mode
        self.login = LoginState.IN
        self._waits_for_tools = waits_for_tools
        self.open_asks = 0
        self.starts: list[float] = []
        self._script = script
        self._scripts = list(scripts)
        self._lives = list(lives)
        self._notes = notes

    async def refresh_models(self) -> Sequence[Model]:
        """Return the list."""
        return self.models

    async def run(self, on_change: OnChange) -> None:
        """Play the next life; the last is played for ever."""
        self.starts.append(asyncio.get_running_loop().time())
        life = self._lives.pop(0) if self._lives else Life()
        if life.starts_in is not None:
            await asyncio.sleep(life.starts_in)
            on_change(None)
        if life.breaks_after is not None:
            await asyncio.sleep(life.breaks_after)
            on_change(LingmaError(ErrorKind.ENGINE_FAILED, "broke"))
            await asyncio.sleep(1)
            on_change(None)
        if life.lasts is None:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(life.lasts or 0)
        raise life.error

    @asynccontextmanager
    async def ask(self, request: ChatRequest) -> AsyncIterator[Ask]:
        """Open an ask that plays the script."""
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        self.open_asks += 1
        script = self._scripts.pop(0) if self._scripts else self._script
        ask = ScriptedAsk(script, self._notes, waits_for_tools=self._waits_for_tools)
        self.asks.append(ask)
        try:
            yield ask
        finally:
            ask.leave()
            self.open_asks -= 1


_: type[Engine] = ScriptedEngine
