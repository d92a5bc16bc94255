"""An HTTP engine on a loop of its own, for tests that ask it something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from lingma_cli.core.chat import ChatRequest, Message, Role, TextPart
from lingma_cli.core.events import ChatEvent
from lingma_cli.core.ids import random_hex
from lingma_cli.engines.openai_http.ask import HttpAsk
from lingma_cli.engines.openai_http.engine import OpenAiHttpEngine, OpenAiHttpOptions
from lingma_cli.errors import LingmaError
from tests.support.openai_server import Reply, json_reply
from tests.support.playbook import Line, transcript

T = TypeVar("T")
LIMIT = 15.0
MODELS: Reply = json_reply({"object": "list", "data": [{"id": "m1"}, {"id": "m2"}]})
WELL: Reply = json_reply({"status": "ok"})


def options(url: str, **changes: Any) -> OpenAiHttpOptions:
    """Return options with time-outs that no good test reaches."""
    given: dict[str, Any] = {
        "url": url,
        "startup_timeout": 5.0,
        "rpc_timeout": 5.0,
        "first_event_timeout": 5.0,
        "idle_timeout": 5.0,
    }
    return OpenAiHttpOptions(**(given | changes))


def question(text: str = "hi", **fields: Any) -> ChatRequest:
    """Return a request with one user turn."""
    turn = Message(role=Role.USER, parts=(TextPart(text=text),))
    return ChatRequest(model="m1", messages=(turn,), stream=True, **fields)


class Live:
    """An engine that runs between the calls of a test."""

    def __init__(self, url: str, **changes: Any) -> None:
        self.engine = OpenAiHttpEngine("local", options(url, **changes), random_hex)
        self.changes: list[LingmaError | None] = []
        self._runner = asyncio.Runner()
        self._changed = asyncio.Event()
        self._life = self._begun()

    def _begun(self) -> asyncio.Task[None]:
        return self._runner.get_loop().create_task(self.engine.run(self._on_change))

    def _on_change(self, error: LingmaError | None) -> None:
        self.changes.append(error)
        self._changed.set()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run one coroutine to its end, or fail when it takes too long."""

        async def limited() -> T:
            async with asyncio.timeout(LIMIT):
                return await coroutine

        return self._runner.run(limited())

    def restart(self) -> None:
        """End this life, and wait until the next one is ready."""

        async def end() -> None:
            self.end()
            await asyncio.wait([self._life])

        self.run(end())
        self._changed.clear()
        self._life = self._begun()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until asks may come."""

        async def wait() -> None:
            changed = asyncio.ensure_future(self._changed.wait())
            await asyncio.wait([self._life, changed], return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            assert not self._life.done(), self._life.exception()

        self.run(wait())

    def death(self) -> LingmaError:
        """Wait for the end of the engine's life and return what it died of."""

        async def wait() -> BaseException | None:
            await asyncio.wait([self._life])
            return self._life.exception()

        error = self.run(wait())
        assert isinstance(error, LingmaError)
        return error

    def events(self, request: ChatRequest) -> tuple[list[ChatEvent], HttpAsk]:
        """Ask, and return all events and the ask; a refusal is raised."""

        async def main() -> tuple[list[ChatEvent], HttpAsk]:
            events: list[ChatEvent] = []
            async with self.engine.ask(request) as ask:
                while batch := await ask.next_batch():
                    events += batch
            return events, ask

        return self.run(main())

    def ask(self, request: ChatRequest | None = None) -> list[Line]:
        """Ask one question, and return what its client would see."""
        return transcript(self.events(request or question())[0])

    def refusal(self, request: ChatRequest | None = None) -> LingmaError:
        """Ask one question that is refused on entering."""
        return self.raised(lambda: self.events(request or question()))

    def raised(self, act: Callable[[], object]) -> LingmaError:
        """Return the error that `act` raises."""
        try:
            act()
        except LingmaError as error:
            return error
        raise AssertionError("nothing was raised")

    def end(self) -> None:
        """Begin to end the engine's life."""
        self._life.cancel()

    def close(self) -> None:
        """End the engine's life and the loop."""

        async def end() -> None:
            self.end()
            with suppress(asyncio.CancelledError, LingmaError):
                await self._life

        self.run(end())
        self._runner.close()


@contextmanager
def living(url: str, *, ready: bool = True, **changes: Any) -> Iterator[Live]:
    """Run an engine for this context."""
    live = Live(url, **changes)
    try:
        if ready:
            live.wait_ready()
        yield live
    finally:
        live.close()


def texts(lines: Sequence[Line]) -> str:
    """Return the text lines joined."""
    return "".join(text for kind, text in lines if kind == "text")
