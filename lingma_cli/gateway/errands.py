"""What can be passed on: which engines take it, which model is meant, and how it is put."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from lingma_cli.control.registry import EngineState, Slot
from lingma_cli.engines.base import Engine
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.gateway.model_names import Goal
from lingma_cli.gateway.raw_answers import Answer, Completes, Embeds, Opening
from lingma_cli.gateway.router import Plan, Router, chats

_ADD_EMBEDDING: Final = (
    "start a server with such a model, then run `lingma engine add URL --kind embedding`"
)
# What engines take to start that only have to be found.
_UNTOLD_SECONDS: Final = 2.0
_ADD: Final = "start a server that does, then run `lingma engine add URL`"


class Errand(Protocol):
    """One thing that is passed on.

    Attributes:
        protocol: its name in records.
        hint: what to do when nobody can do it.
    """

    @property
    def protocol(self) -> str:
        """See above."""
        ...

    @property
    def hint(self) -> str:
        """See above."""
        ...

    def able(self, slots: Sequence[Slot]) -> Sequence[Slot]:
        """Return the slots that can do it, whatever their models.

        Raises:
            LingmaError: there is none.
        """
        ...

    def plan(self, router: Router, name: str) -> Plan:
        """Return what may serve the model `name`.

        Raises:
            LingmaError: nothing may.
        """
        ...

    def put(self, engine: Engine, body: Mapping[str, Any]) -> Opening:
        """Return what sends `body` to an engine that can do it."""
        ...

    def text(self, body: Mapping[str, Any]) -> str:
        """Return what policies may tell requests apart by."""
        ...


class Embeddings:
    """`/v1/embeddings`: engines that are there for it go before others.

    A model that nobody knows means the first one's first, and only that: vectors of two models
    cannot be compared. So nothing stands in while the first one has not told its models.
    """

    protocol = "openai_embeddings"
    hint = _ADD_EMBEDDING

    def able(self, slots: Sequence[Slot]) -> Sequence[Slot]:
        """Return the engines that are there for it, else all that can do it."""
        found = [slot for slot in slots if _is_for_embeddings(slot)]
        found = found or [slot for slot in slots if _can_embed(slot)]
        if not found:
            raise _nobody(self, "no engine here makes embeddings")
        return found

    def plan(self, router: Router, name: str) -> Plan:
        """Return the engines of the model's name, else the model of those that are for it."""
        own = [slot for slot in router.registry.slots if _is_for_embeddings(slot)]
        default = next((model.key for slot in own[:1] for model in slot.engine.models), "")
        for fits in (_is_for_embeddings, _can_embed):
            goals = router.goals(name, fits=fits, default=default)
            if _is_meant(goals[0]):
                return goals, fits
        if not own:
            which = f"with a model `{name[:100]}`" if name else "by itself: name the model"
            raise _nobody(self, f"no engine here makes embeddings {which}")
        if not default and own[0].state is not EngineState.READY:
            raise _untold(own[0])
        return router.goals(name, fits=_is_for_embeddings, default=default), _is_for_embeddings

    def put(self, engine: Engine, body: Mapping[str, Any]) -> Opening:
        """Return what sends `body` and holds the whole answer."""
        if not isinstance(engine, Embeds):
            raise TypeError(engine.name)
        return _embedded(engine, body)

    def text(self, body: Mapping[str, Any]) -> str:
        """Return nothing: one text to embed has nothing to do with the next."""
        del body
        return ""


class Completions:
    """`/v1/completions`, which Lingma does not have."""

    protocol = "openai_completions"
    hint = f"ask `/v1/chat/completions`, or {_ADD}"

    def able(self, slots: Sequence[Slot]) -> Sequence[Slot]:
        """Return the engines that can do it."""
        found = [slot for slot in slots if _can_complete(slot)]
        if not found:
            raise _nobody(self, "no engine here takes `/v1/completions`")
        return found

    def plan(self, router: Router, name: str) -> Plan:
        """Return what serves the name, as in chat."""
        goals = router.goals(name, fits=_can_complete)
        if name and not _is_meant(goals[0]) and _is_meant(router.goals(name)[0]):
            raise _nobody(self, f"no engine of `{name[:100]}` takes `/v1/completions`")
        return goals, _can_complete

    def put(self, engine: Engine, body: Mapping[str, Any]) -> Opening:
        """Return what sends `body`."""
        if not isinstance(engine, Completes):
            raise TypeError(engine.name)
        return engine.complete(body)

    def text(self, body: Mapping[str, Any]) -> str:
        """Return the prompt, if it is text."""
        prompt = body.get("prompt")
        texts = prompt if isinstance(prompt, list) else [prompt]
        return "\n".join(text for text in texts if isinstance(text, str))


class _Embedded:
    """An answer that is there as a whole."""

    content_type = "application/json"

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def next_chunk(self) -> bytes:
        body, self._body = self._body, b""
        return body


@asynccontextmanager
async def _embedded(engine: Embeds, body: Mapping[str, Any]) -> AsyncIterator[Answer]:
    yield _Embedded(await engine.embed(body))


def _is_meant(goal: Goal) -> bool:
    """Tell whether a model is the one that was named, and not one that stands in for it."""
    return goal.is_known and goal.note is None


def _can_embed(slot: Slot) -> bool:
    return isinstance(slot.engine, Embeds)


def _is_for_embeddings(slot: Slot) -> bool:
    return slot.kind == "embedding" and _can_embed(slot)


def _can_complete(slot: Slot) -> bool:
    return chats(slot) and isinstance(slot.engine, Completes)


def _untold(slot: Slot) -> LingmaError:
    return LingmaError(
        ErrorKind.ENGINE_UNAVAILABLE,
        f"the model for embeddings is not known yet: the engine `{slot.engine.name}` is not ready",
        hint="see `lingma engine list`, or name a model that another engine has",
        retry_after=_UNTOLD_SECONDS,
    )


def _nobody(errand: Errand, what: str) -> LingmaError:
    return LingmaError(ErrorKind.NOT_FOUND, what, hint=errand.hint, param="model")
