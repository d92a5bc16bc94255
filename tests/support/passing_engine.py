"""An engine that embeds and completes by script, and the forwarding over some of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lingma_cli.control.registry import EngineState, Registry, Slot
from lingma_cli.core.chat import Model
from lingma_cli.core.record import Record
from lingma_cli.errors import LingmaError
from lingma_cli.gateway.admission import Admission, AdmissionLimits
from lingma_cli.gateway.errands import Completions, Embeddings, Errand
from lingma_cli.gateway.failover import RetryOptions
from lingma_cli.gateway.forwarding import Forwarding
from lingma_cli.gateway.model_names import ModelRules
from lingma_cli.gateway.raw_answers import EVENTS
from lingma_cli.gateway.router import PolicyRules
from lingma_cli.metrics.tallies import Tallies
from tests.support.house import NAMES, RULES, router_of
from tests.support.scripted_engine import ScriptedEngine, Silence
from tests.support.virtual_time import now, run

# Bytes, an error to raise, or a wait without an end; after the last one the answer ends.
Piece = bytes | LingmaError | Silence


class _Played:
    def __init__(self, pieces: Sequence[Piece], content_type: str) -> None:
        self._pieces = list(pieces)
        self.content_type = content_type

    async def next_chunk(self) -> bytes:
        """Play the next piece."""
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Silence):
            await asyncio.get_running_loop().create_future()
        if isinstance(piece, LingmaError):
            raise piece
        return piece if isinstance(piece, bytes) else b""


class PassingEngine(ScriptedEngine):
    """Answers each body with the next of its answers, and with the last one for ever.

    Attributes:
        bodies: what it got.
        is_well: what it says when it is checked.
        open_answers: how many are entered and not left.
    """

    def __init__(
        self,
        *answers: Sequence[Piece],
        name: str = "a",
        models: Sequence[str] = ("m",),
        content_type: str = EVENTS,
        refusal: LingmaError | None = None,
    ) -> None:
        super().__init__(name=name, models=[Model(key=key, name=f"The {key}") for key in models])
        self.bodies: list[Mapping[str, Any]] = []
        self.refusal = refusal
        self.is_well = True
        self.open_answers = 0
        self._answers = list(answers)
        self._content_type = content_type

    async def check(self, within: float | None = None) -> None:
        """Be well, or silent."""
        if not self.is_well:
            await asyncio.get_running_loop().create_future()

    async def embed(self, body: Mapping[str, Any]) -> bytes:
        """Play the next answer as a whole."""
        pieces = self._taken(body)
        played = _Played(pieces, "")
        return b"".join([await played.next_chunk() for _ in pieces])

    @asynccontextmanager
    async def complete(self, body: Mapping[str, Any]) -> AsyncIterator[_Played]:
        """Play the next answer."""
        pieces = self._taken(body)
        self.open_answers += 1
        try:
            yield _Played(pieces, self._content_type)
        finally:
            self.open_answers -= 1

    def _taken(self, body: Mapping[str, Any]) -> Sequence[Piece]:
        self.bodies.append(body)
        if isinstance(self.refusal, LingmaError):
            raise self.refusal
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Passing:
    """Forwarding over engines that are all ready, with its records kept."""

    def __init__(
        self,
        *slots: Slot,
        names: ModelRules = NAMES,
        rules: PolicyRules = RULES,
        retry: RetryOptions | None = None,
        ready: bool = True,
    ) -> None:
        self.records: list[Record] = []
        self.registry = Registry(slots)
        self.tallies = Tallies()
        self.admission = Admission(
            AdmissionLimits(max_in_flight=2, queue_size=10, queue_timeout=30.0)
        )
        self.router = router_of(self.registry, self.tallies, names=names, rules=rules)
        self.forwarding = Forwarding(
            self.router,
            self.admission,
            retry or RetryOptions(),
            patience=40.0,
            clock=now,
            on_record=self.records.append,
        )
        for slot in slots if ready else ():
            self.registry.move(slot, EngineState.READY)

    async def ask(self, errand: Errand, body: Mapping[str, Any], **headers: str) -> list[bytes]:
        """Pass `body` on and return all chunks."""
        chunks: list[bytes] = []
        async with self.forwarding.open(
            errand,
            body,
            request_id="r1",
            caller="key-1",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        ) as forward:
            while chunk := await forward.next_chunk():
                chunks.append(chunk)
        return chunks

    async def embed(self, model: str = "m", **headers: str) -> bytes:
        """Pass on one text to embed, and return the answer."""
        return b"".join(await self.ask(Embeddings(), {"model": model, "input": "hi"}, **headers))

    async def complete(self, model: str = "m", **headers: str) -> list[bytes]:
        """Pass on one prompt, and return the chunks."""
        body = {"model": model, "prompt": "hi", "stream": True}
        return await self.ask(Completions(), body, **headers)

    @property
    def record(self) -> Record:
        """The only one."""
        (record,) = self.records
        return record

    def assert_nothing_is_held(self) -> None:
        """Ticket, leases and answers are back."""
        assert self.admission.in_flight == 0
        for slot in self.registry.slots:
            assert slot.in_flight == 0
            assert not isinstance(slot.engine, PassingEngine) or slot.engine.open_answers == 0


def embedder(name: str = "e", *models: str, **options: Any) -> Slot:
    """Return an engine of kind `embedding`."""
    engine = PassingEngine([VECTORS], name=name, models=models or ("bge",), **options)
    return Slot(engine=engine, kind="embedding")


def completer(*answers: Sequence[Piece], name: str = "a", **options: Any) -> Slot:
    """Return an engine of kind `llm`."""
    return Slot(engine=PassingEngine(*(answers or (GOOD,)), name=name, **options))


def event(text: str, finish: str | None = None) -> bytes:
    """Return one event of a completion."""
    choice = {"index": 0, "text": text, "finish_reason": finish}
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()


def bodies(slot: Slot) -> list[Any]:
    """Return what reached an engine."""
    assert isinstance(slot.engine, PassingEngine)
    return [dict(body) for body in slot.engine.bodies]


def refused(ask: Callable[[], Coroutine[Any, Any, object]]) -> LingmaError:
    """Return the error that `ask` ends with."""
    with pytest.raises(LingmaError) as caught:
        run(ask())
    return caught.value


DONE = b"data: [DONE]\n\n"
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
GOOD = (event("a"), event("b", "length"), USAGE, DONE)
WHOLE = b"".join(GOOD)
VECTORS = json.dumps({"data": [], "usage": {"prompt_tokens": 7, "total_tokens": 7}}).encode()
