"""A Lingma engine over a real process of the demo, for tests that ask it something."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from lingma_cli.core.chat import ChatRequest, Message, Role, TextPart
from lingma_cli.core.events import ChatEvent
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.lingma.ask import LingmaAsk
from lingma_cli.engines.lingma.engine import LingmaEngine, LingmaOptions
from lingma_cli.engines.lingma.prompt import AgentWords
from lingma_cli.errors import LingmaError
from tests.support.playbook import Line, transcript

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
LIMIT = 15.0


def options(work_dir: Path, **switches: str) -> LingmaOptions:
    """Return options for a demo with `LINGMA_DEMO_*` switches."""
    named = {f"LINGMA_DEMO_{name.upper()}": value for name, value in switches.items()}
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    # The child gets no PYTHONPATH, so the demo is run by a line that knows where it is.
    start = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from lingma_cli.demo.__main__ import main; "
        "raise SystemExit(main(sys.argv[1:], os.environ))"
    )
    return LingmaOptions(
        command=(sys.executable, "-c", start),
        work_dir=work_dir,
        socket_port=0,
        environ=kept | {"HOME": "/nonexistent"} | named,
        startup_timeout=10.0,
        rpc_timeout=5.0,
        first_event_timeout=5.0,
        idle_timeout=5.0,
        agent=AgentWords(session_type="ask", chat_task="chat", mode="agent"),
    )


def question(text: str, *, stream: bool = True) -> ChatRequest:
    """Return a request with one user turn."""
    turn = Message(role=Role.USER, parts=(TextPart(text=text),))
    return ChatRequest(model="org_auto", messages=(turn,), stream=stream)


class Live:
    """An engine that runs between the calls of a test, on a loop of its own."""

    def __init__(self, work_dir: Path, *, ready: bool = True, **changes: Any) -> None:
        ours = {field.name for field in fields(LingmaOptions)} & changes.keys()
        switches = {name: value for name, value in changes.items() if name not in ours}
        chosen = replace(options(work_dir, **switches), **{name: changes[name] for name in ours})
        self.work_dir = work_dir
        self.changes: list[LingmaError | None] = []
        self.engine = LingmaEngine("demo-0", chosen, random_hex)
        self._runner = asyncio.Runner()
        self._changed = asyncio.Event()
        self._life = self._runner.get_loop().create_task(self.engine.run(self._on_change))
        if ready:
            self.until(lambda: self.changes[-1:] == [None])

    def _on_change(self, error: LingmaError | None) -> None:
        self.changes.append(error)
        self._changed.set()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end, or fail when it takes too long."""

        async def limited() -> T:
            async with asyncio.timeout(LIMIT):
                return await coroutine

        return self._runner.run(limited())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the engine's changes fulfil a condition."""

        async def wait() -> None:
            while not condition():
                assert not self._life.done(), self._life.exception()
                self._changed.clear()
                await asyncio.wait(
                    [self._life, asyncio.ensure_future(self._changed.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )

        self.run(wait())

    def death(self) -> LingmaError:
        """Wait for the end of the engine's life and return what it died of."""

        async def wait() -> BaseException | None:
            await asyncio.wait([self._life])
            return self._life.exception()

        error = self.run(wait())
        assert isinstance(error, LingmaError)
        return error

    def events(self, request: ChatRequest) -> tuple[list[ChatEvent], LingmaAsk]:
        """Ask, and return all events and the ask."""

        async def main() -> tuple[list[ChatEvent], LingmaAsk]:
            events: list[ChatEvent] = []
            async with self.engine.ask(request) as ask:
                while batch := await ask.next_batch():
                    events += batch
            return events, ask

        return self.run(main())

    def ask(self, text: str, *, stream: bool = True) -> list[Line]:
        """Ask one question, and return what its client would see."""
        return transcript(self.events(question(text, stream=stream))[0])

    def journal(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Return the demo's notes of one event that have these fields."""
        path = self.work_dir / "logs" / "demo.jsonl"
        notes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        wanted = {"event": event} | fields
        return [note for note in notes if wanted.items() <= note.items()]

    def noted(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Wait for notes of one event and return them."""

        async def wait() -> list[dict[str, Any]]:
            while not (notes := self.journal(event, **fields)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.005)
            return notes

        return self.run(wait())

    def close(self) -> None:
        """End the engine's life, if that has not been done, and the loop."""
        self.end()
        self._runner.close()

    def end(self) -> None:
        """End the engine's life."""

        async def end() -> None:
            self._life.cancel()
            with suppress(asyncio.CancelledError, LingmaError):
                await self._life

        self.run(end())


def texts(lines: Sequence[Line]) -> str:
    """Return the text lines joined."""
    return "".join(text for kind, text in lines if kind == "text")
